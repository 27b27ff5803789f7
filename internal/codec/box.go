package codec

import (
	"encoding/binary"
	"fmt"

	"github.com/sluice-live/sluice"
)

var (
	errShort  = fmt.Errorf("too short: %w", ErrInvalid)
	errGolomb = fmt.Errorf("exp-golomb code of more than 32 bits: %w", ErrInvalid)
)

// Lengths of the fixed part of a sample entry, box header included.
const (
	visualEntry = 86
	audioEntry  = 36
)

var be = binary.BigEndian

// box appends a box to b whose body fn appends.
func box(b []byte, name string, fn func([]byte) []byte) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	b = append(b, name...)
	b = fn(b)
	be.PutUint32(b[at:], uint32(len(b)-at))
	return b
}

// child returns the body of the first box called name in an entry whose fixed
// part is skip bytes long.
func child(entry []byte, skip int, name string) ([]byte, error) {
	if len(entry) < skip || int64(be.Uint32(entry)) != int64(len(entry)) {
		return nil, fmt.Errorf("sample entry of %d bytes: %w", len(entry), errShort)
	}
	for b := entry[skip:]; len(b) >= 8; {
		size := uint64(be.Uint32(b))
		if size < 8 || size > uint64(len(b)) {
			break
		}
		if string(b[4:8]) == name {
			return b[8:size], nil
		}
		b = b[size:]
	}
	return nil, fmt.Errorf("sample entry has no %s: %w", name, ErrInvalid)
}

// configOf returns the body of a video track's configuration box.
func configOf(t *sluice.Track, name string) ([]byte, error) {
	b, err := child(t.Config, visualEntry, name)
	if err != nil {
		return nil, fmt.Errorf("codec: %s of track %d: %w", name, t.ID, err)
	}
	return b, nil
}

// visual appends the fixed part of a VisualSampleEntry.
func visual(b []byte, width, height int) []byte {
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 1) // data_reference_index 1
	b = append(b, make([]byte, 16)...)
	b = be.AppendUint16(b, uint16(width))
	b = be.AppendUint16(b, uint16(height))
	b = be.AppendUint32(b, 72<<16)
	b = be.AppendUint32(b, 72<<16)
	b = be.AppendUint32(b, 0)
	b = be.AppendUint16(b, 1)          // one frame a sample
	b = append(b, make([]byte, 32)...) // compressor name
	return append(b, 0, 24, 0xff, 0xff)
}

// audio appends the fixed part of an AudioSampleEntry. A rate that does not
// fit its 16 bits is written as 0: decoders read the codec's own.
func audio(b []byte, channels, rate int) []byte {
	if rate > 0xffff {
		rate = 0
	}
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 1)
	b = append(b, make([]byte, 8)...)
	b = be.AppendUint16(b, uint16(channels))
	b = append(b, 0, 16, 0, 0, 0, 0) // bits a sample
	return be.AppendUint32(b, uint32(rate)<<16)
}
