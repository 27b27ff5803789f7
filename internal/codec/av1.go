package codec

import (
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"

	"github.com/sluice-live/sluice"
)

const (
	obuSequence    = 1
	obuDelimiter   = 2
	obuFrameHeader = 3
	obuFrame       = 6
)

// AV1Record returns the track that an AV1CodecConfigurationRecord (AV1 Codec
// ISO Media File Format Binding, 2.3; "av1C") describes: its sequence header
// counts.
func AV1Record(av1C []byte) (*sluice.Track, error) {
	if len(av1C) < 4 || av1C[0] != 0x81 {
		return nil, fmt.Errorf("codec: not an AV1 configuration record: %w", ErrInvalid)
	}
	return AV1(av1C[4:])
}

// AV1Config returns the AV1CodecConfigurationRecord of a track.
func AV1Config(t *sluice.Track) ([]byte, error) { return configOf(t, "av1C") }

// AV1 returns the track that a sequence header describes, given as an OBU with
// or without its size field, alone or first among others. Samples are temporal
// units without the delimiter (AV1 Codec ISO Media File Format Binding, 2.4).
func AV1(sequence []byte) (*sluice.Track, error) {
	units, err := av1Units(sequence)
	if err != nil {
		return nil, fmt.Errorf("codec: AV1 sequence header: %w", err)
	}
	for _, u := range units {
		if u[0]>>3&15 == obuSequence {
			return av1Track(u)
		}
	}
	return nil, fmt.Errorf("codec: AV1: no sequence header: %w", ErrInvalid)
}

func av1Track(obu []byte) (*sluice.Track, error) {
	var s av1.SequenceHeader
	if err := s.Unmarshal(obu); err != nil {
		return nil, fmt.Errorf("codec: AV1 sequence header: %w: %w", err, ErrInvalid)
	}
	width, height := int(s.MaxFrameWidthMinus1)+1, int(s.MaxFrameHeightMinus1)+1
	if width > 0xffff || height > 0xffff || len(s.SeqLevelIdx) == 0 {
		return nil, fmt.Errorf("codec: AV1 picture of %dx%d: %w", width, height, ErrInvalid)
	}
	bit := func(v bool, at int) byte {
		if v {
			return 1 << at
		}
		return 0
	}
	c := s.ColorConfig
	tier := len(s.SeqTier) > 0 && s.SeqTier[0]
	record := []byte{0x81, s.SeqProfile<<5 | s.SeqLevelIdx[0]&31,
		bit(tier, 7) | bit(c.HighBitDepth, 6) | bit(c.TwelveBit, 5) | bit(c.MonoChrome, 4) |
			bit(c.SubsamplingX, 3) | bit(c.SubsamplingY, 2) | byte(c.ChromaSamplePosition)&3, 0}
	record = appendOBU(record, obu)
	return &sluice.Track{
		Kind:      sluice.Video,
		Codec:     sluice.AV01,
		Timescale: videoTimescale,
		Width:     width,
		Height:    height,
		Config: box(nil, "av01", func(b []byte) []byte {
			b = visual(b, width, height)
			return box(b, "av1C", func(b []byte) []byte { return append(b, record...) })
		}),
	}, nil
}

// AV1Sample returns a temporal unit without its delimiter, every OBU with a
// size field.
func AV1Sample(unit []byte) ([]byte, error) {
	units, err := av1Units(unit)
	if err != nil {
		return nil, fmt.Errorf("codec: AV1 temporal unit: %w", err)
	}
	out := make([]byte, 0, len(unit))
	for _, u := range units {
		if u[0]>>3&15 != obuDelimiter {
			out = appendOBU(out, u)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("codec: AV1 temporal unit is empty: %w", ErrInvalid)
	}
	return out, nil
}

// av1Units splits OBUs; those returned have no size field. One without ends
// the sequence.
func av1Units(b []byte) (units [][]byte, err error) {
	for len(b) > 0 {
		_, body, rest, err := nextOBU(b)
		if err != nil {
			return nil, err
		}
		u := append([]byte{b[0] &^ 2}, b[1:1+int(b[0]>>2&1)]...)
		units = append(units, append(u, body...))
		b = rest
	}
	return units, nil
}

// nextOBU splits the first OBU off b, which is not empty.
func nextOBU(b []byte) (typ byte, body, rest []byte, err error) {
	head := 1 + int(b[0]>>2&1)
	if len(b) < head {
		return 0, nil, nil, errShort
	}
	typ, body = b[0]>>3&15, b[head:]
	if b[0]&2 != 0 {
		var size av1.LEB128
		n, err := size.Unmarshal(body)
		if err != nil || uint64(size) > uint64(len(body)-n) {
			return 0, nil, nil, errShort
		}
		body, rest = body[n:n+int(size)], body[n+int(size):]
	}
	return typ, body, rest, nil
}

// appendOBU appends an OBU that has no size field, with one.
func appendOBU(b, obu []byte) []byte {
	head := 1 + int(obu[0]>>2&1)
	b = append(b, obu[0]|2)
	b = append(b, obu[1:head]...)
	size := av1.LEB128(len(obu) - head)
	at := len(b)
	b = append(b, make([]byte, size.MarshalSize())...)
	size.MarshalTo(b[at:])
	return append(b, obu[head:]...)
}

// av1MIME writes the string of the binding's section 5: profile, level, tier
// and bit depth.
func av1MIME(entry []byte) (string, error) {
	b, err := child(entry, visualEntry, "av1C")
	if err != nil {
		return "", err
	}
	if len(b) < 4 {
		return "", errShort
	}
	tier, depth := "M", 8
	if b[2]&0x80 != 0 {
		tier = "H"
	}
	if b[2]&0x40 != 0 {
		depth = 10 + int(b[2]>>5&1)*2
	}
	return fmt.Sprintf("av01.%d.%02d%s.%02d", b[1]>>5, b[1]&31, tier, depth), nil
}

func av1Decoder(entry []byte) (name string, private []byte, err error) {
	private, err = child(entry, visualEntry, "av1C")
	return "av1", private, err
}
