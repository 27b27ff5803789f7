package codec

import (
	"fmt"

	"github.com/sluice-live/sluice"
)

// MPEGAudioHeader is the header of a frame of MPEG audio layer II or III.
type MPEGAudioHeader struct {
	MP3Header
	Layer int
	Size  int // of the frame in bytes, header included
}

// mp2BitRates are those of MPEG-1 layer II in kbit/s. MPEG-2's are layer III's.
var mp2BitRates = [16]int{0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, -1}

// ParseMPEGAudio reads the header at the start of a frame.
func ParseMPEGAudio(frame []byte) (MPEGAudioHeader, error) {
	if len(frame) < 4 {
		return MPEGAudioHeader{}, fmt.Errorf("codec: MPEG audio frame: %w", errShort)
	}
	head := [4]byte(frame)
	layer := 4 - int(head[1]>>1&3)
	if layer == 2 { // layer III tells version, rate and channels in the same bits
		head[1] |= 2
		head[1] &^= 4
	}
	h3, err := ParseMP3(head[:])
	if err != nil {
		return MPEGAudioHeader{}, err
	}
	h := MPEGAudioHeader{MP3Header: h3, Layer: layer}
	if layer == 2 {
		h.FrameSamples = 1152
		if head[1]>>3&3 == 3 {
			h.BitRate = mp2BitRates[head[2]>>4] * 1000
		}
	}
	if h.BitRate <= 0 {
		return h, fmt.Errorf("codec: MPEG audio frame of free format: %w", ErrUnsupported)
	}
	h.Size = h.FrameSamples/8*h.BitRate/h.SampleRate + int(head[2]>>1&1)
	return h, nil
}

// MP2 returns the track that a frame of MPEG audio layer II describes. Its
// sample entry is 'mp4a' with the object types of MPEG-1 and MPEG-2 audio
// (mp4ra.org), under which FFmpeg finds layer II.
func MP2(frame []byte) (*sluice.Track, error) {
	h, err := ParseMPEGAudio(frame)
	if err != nil {
		return nil, err
	}
	if h.Layer != 2 {
		return nil, fmt.Errorf("codec: MPEG audio of layer %d, not II: %w", h.Layer, ErrUnsupported)
	}
	object := byte(objectMP1)
	if h.SampleRate < 32000 {
		object = objectMP2
	}
	return &sluice.Track{
		Kind:       sluice.Audio,
		Codec:      sluice.MP4A,
		Timescale:  uint32(h.SampleRate),
		FrameDur:   int64(h.FrameSamples),
		SampleRate: h.SampleRate,
		Channels:   h.Channels,
		Config: box(nil, "mp4a", func(b []byte) []byte {
			b = audio(b, h.Channels, h.SampleRate)
			return box(b, "esds", func(b []byte) []byte { return esds(b, object, 0x15, nil) })
		}),
	}, nil
}

// IsMP2 reports whether a track is MPEG audio in an 'mp4a' sample entry: layer
// II if it is one of ours.
func IsMP2(t *sluice.Track) bool {
	object, _, err := readESDS(t.Config)
	return t.Codec == sluice.MP4A && err == nil && (object == objectMP1 || object == objectMP2)
}
