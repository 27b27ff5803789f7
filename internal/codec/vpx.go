package codec

import (
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/vp9"

	"github.com/sluice-live/sluice"
)

// VP returns the track of a VP8 or VP9 stream: sample entry vp08 or vp09 with a
// vpcC box (VP Codec ISO Media File Format Binding). A VP9 profile above 1 has
// more than 8 bits a sample, given as depth.
func VP(codec sluice.FourCC, profile, depth, width, height int) (*sluice.Track, error) {
	if codec != sluice.VP08 && codec != sluice.VP09 || profile < 0 || profile > 3 || depth != 8 && depth != 10 && depth != 12 {
		return nil, fmt.Errorf("codec: %q of profile %d with %d bits: %w", codec, profile, depth, ErrInvalid)
	}
	// Level 1.0; 4:2:0; colours are not specified; no private data.
	return vpTrack(codec, width, height, []byte{byte(profile), 10, byte(depth)<<4 | vpColocated<<1, 2, 2, 2, 0, 0})
}

const (
	vpColocated = 1 // 4:2:0, as most sources are
	vpRecord    = 8 // bytes of a record without private data
)

// VP8 returns the track that a key frame of VP8 describes (RFC 6386, 9.1).
func VP8(record, keyFrame []byte) (*sluice.Track, error) {
	if len(keyFrame) < 10 || VP8Picture(keyFrame) != Start || string(keyFrame[3:6]) != "\x9d\x01\x2a" {
		return nil, fmt.Errorf("codec: not a VP8 key frame: %w", ErrInvalid)
	}
	width, height := int(keyFrame[6])|int(keyFrame[7]&0x3f)<<8, int(keyFrame[8])|int(keyFrame[9]&0x3f)<<8
	if record = vpRecordOf(record); record != nil {
		return vpTrack(sluice.VP08, width, height, record)
	}
	return VP(sluice.VP08, int(keyFrame[0]>>1&7)&3, 8, width, height)
}

// VP9 returns the track that a VPCodecConfigurationRecord, which may be nil,
// and a key frame describe: the record does not tell the picture's size, the
// frame not the level and the colours.
func VP9(record, keyFrame []byte) (*sluice.Track, error) {
	h, err := parseVP9(keyFrame)
	if err != nil || h.FrameSize == nil {
		return nil, fmt.Errorf("codec: not a VP9 key frame: %w", ErrInvalid)
	}
	// What decides whether it can be decoded is the frame's to say.
	out := []byte{h.Profile, 10, h.ColorConfig.BitDepth<<4 | h.ChromaSubsampling()<<1, 2, 2, 2, 0, 0}
	if h.ColorConfig.ColorRange {
		out[2] |= 1
	}
	if record = vpRecordOf(record); record != nil {
		out[1], out[3], out[4], out[5] = record[1], record[3], record[4], record[5]
	}
	return vpTrack(sluice.VP09, h.Width(), h.Height(), out)
}

// parseVP9 reads the header of a frame. Without FrameSize it is no key frame.
func parseVP9(frame []byte) (h vp9.Header, err error) {
	err = h.Unmarshal(frame)
	return h, err
}

// vpRecordOf returns the record proper, in which the depth is never 0: FFmpeg
// puts version and flags of the vpcC box before it. nil if it is neither.
func vpRecordOf(b []byte) []byte {
	if len(b) >= 4+vpRecord && b[0] == 1 && b[2]>>4 == 0 {
		b = b[4:]
	}
	if len(b) < vpRecord || b[2]>>4 == 0 || b[0] > 3 {
		return nil
	}
	return append(b[:vpRecord-2:vpRecord-2], 0, 0)
}

// VPConfig returns the configuration of a track as encoders send it: version
// and flags of the vpcC box and the VPCodecConfigurationRecord.
func VPConfig(t *sluice.Track) ([]byte, error) { return configOf(t, "vpcC") }

func vpTrack(codec sluice.FourCC, width, height int, record []byte) (*sluice.Track, error) {
	if width <= 0 || height <= 0 || width > 0xffff || height > 0xffff {
		return nil, fmt.Errorf("codec: %q picture of %dx%d: %w", codec, width, height, ErrInvalid)
	}
	return &sluice.Track{
		Kind:      sluice.Video,
		Codec:     codec,
		Timescale: videoTimescale,
		Width:     width,
		Height:    height,
		Config: box(nil, codec.String(), func(b []byte) []byte {
			b = visual(b, width, height)
			return box(b, "vpcC", func(b []byte) []byte { return append(append(b, 1, 0, 0, 0), record...) })
		}),
	}, nil
}

func vpMIME(entry []byte) (string, error) {
	b, err := child(entry, visualEntry, "vpcC")
	if err != nil {
		return "", err
	}
	if len(b) < 7 {
		return "", errShort
	}
	return fmt.Sprintf("%s.%02d.%02d.%02d", entry[4:8], b[4], b[5], b[6]>>4), nil
}

func vpDecoder(entry []byte) (name string, private []byte, err error) {
	if len(entry) < visualEntry {
		return "", nil, errShort
	}
	if entry[7] == '8' {
		return "vp8", nil, nil
	}
	return "vp9", nil, nil
}
