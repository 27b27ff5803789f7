package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/sluice-live/sluice"
)

const (
	opusRate = 48000 // of every Opus clock
	opusHead = "OpusHead"
)

// OpusHead is the identification header of RFC 7845, without a channel mapping
// table: family 0, mono or stereo.
type OpusHead struct {
	Channels int
	// PreSkip is how many samples at 48 kHz a decoder drops at the start. It is
	// 0 where the priming was taken off, as it is in what Sluice encodes.
	PreSkip uint16
	// InputRate is the rate of what was encoded, for information.
	InputRate uint32
}

// Opus returns the track of an Opus stream: sample entry "Opus" with a dOps box
// (Encapsulation of Opus in ISO Base Media File Format, 4.3).
func Opus(h OpusHead) (*sluice.Track, error) {
	if h.Channels < 1 || h.Channels > 2 {
		return nil, fmt.Errorf("codec: Opus of %d channels: %w", h.Channels, ErrUnsupported)
	}
	b := []byte{0, byte(h.Channels)}
	b = be.AppendUint16(b, h.PreSkip)
	b = be.AppendUint32(b, h.InputRate)
	return opusTrack(append(b, 0, 0, 0)), nil // gain, mapping family
}

// OpusRecord returns the track that an identification header (RFC 7845, 5.1)
// describes, of any channel mapping. An empty one stands for stereo.
func OpusRecord(head []byte) (*sluice.Track, error) {
	if len(head) == 0 {
		return Opus(OpusHead{Channels: 2})
	}
	if len(head) < 19 || string(head[:8]) != opusHead || head[8]>>4 != 0 {
		return nil, fmt.Errorf("codec: not an OpusHead: %w", ErrInvalid)
	}
	le := binary.LittleEndian
	b := []byte{0, head[9]}
	b = be.AppendUint16(b, le.Uint16(head[10:]))
	b = be.AppendUint32(b, le.Uint32(head[12:]))
	b = be.AppendUint16(b, le.Uint16(head[16:]))
	b = append(b, head[18])
	if head[18] != 0 {
		b = append(b, head[19:min(len(head), 21+int(head[9]))]...)
	}
	t := opusTrack(b)
	if _, err := opusHeader(t.Config); err != nil {
		return nil, fmt.Errorf("codec: OpusHead: %w", err)
	}
	return t, nil
}

func opusTrack(dOps []byte) *sluice.Track {
	channels := int(dOps[1])
	return &sluice.Track{
		Kind:      sluice.Audio,
		Codec:     sluice.Opus,
		Timescale: opusRate,
		Config: box(nil, "Opus", func(b []byte) []byte {
			b = audio(b, channels, opusRate)
			return box(b, "dOps", func(b []byte) []byte { return append(b, dOps...) })
		}),
		SampleRate: opusRate,
		Channels:   channels,
	}
}

// OpusConfig returns the identification header of a track (RFC 7845, 5.1), of
// any channel mapping.
func OpusConfig(t *sluice.Track) ([]byte, error) {
	head, err := opusHeader(t.Config)
	if err != nil {
		return nil, fmt.Errorf("codec: Opus configuration of track %d: %w", t.ID, err)
	}
	return head, nil
}

// opusHeader turns dOps, big-endian, into OpusHead, little-endian.
func opusHeader(entry []byte) ([]byte, error) {
	b, err := child(entry, audioEntry, "dOps")
	if err != nil {
		return nil, err
	}
	switch {
	case len(b) < 11:
		return nil, errShort
	case b[0] != 0 || b[1] == 0:
		return nil, fmt.Errorf("dOps of version %d, %d channels: %w", b[0], b[1], ErrInvalid)
	case b[10] != 0 && len(b) < 13+int(b[1]), b[10] == 0 && b[1] > 2:
		return nil, fmt.Errorf("dOps: channel mapping: %w", errShort)
	}
	out := bytes.NewBufferString(opusHead)
	out.Write([]byte{1, b[1]})
	out.Write(binary.LittleEndian.AppendUint16(nil, be.Uint16(b[2:])))
	out.Write(binary.LittleEndian.AppendUint32(nil, be.Uint32(b[4:])))
	out.Write(binary.LittleEndian.AppendUint16(nil, be.Uint16(b[8:])))
	out.WriteByte(b[10])
	if b[10] != 0 {
		out.Write(b[11 : 13+int(b[1])])
	}
	return out.Bytes(), nil
}

func opusMIME(entry []byte) (string, error) {
	_, err := opusHeader(entry)
	return "opus", err
}

// Frames last 2.5 to 120 ms, as each says itself.
func opusTiming([]byte) (timescale uint32, frame int64, err error) { return opusRate, 0, nil }

// opusDecoder says no pre-skip: the decoder would throw samples away whose time
// the packets count.
func opusDecoder(entry []byte) (name string, private []byte, err error) {
	if private, err = opusHeader(entry); err != nil {
		return "", nil, err
	}
	private[10], private[11] = 0, 0
	return "opus", private, nil
}

// OpusSamples returns how many samples at 48 kHz a packet lasts (RFC 6716, 3.1
// and 3.2), 0 if it is not valid.
func OpusSamples(packet []byte) int {
	if len(packet) == 0 {
		return 0
	}
	var frame int
	switch config := packet[0] >> 3; {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		frame = [4]int{480, 960, 1920, 2880}[config&3]
	case config < 16: // hybrid: 10, 20 ms
		frame = 480 << (config & 1)
	default: // CELT: 2.5, 5, 10, 20 ms
		frame = 120 << (config & 3)
	}
	switch packet[0] & 3 {
	case 0:
		return frame
	case 1, 2:
		return 2 * frame
	}
	if len(packet) < 2 || frame*int(packet[1]&63) > 5760 {
		return 0
	}
	return frame * int(packet[1]&63)
}
