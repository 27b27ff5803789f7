package codec

import (
	"fmt"

	"github.com/sluice-live/sluice"
)

// VP returns the track of a VP8 or VP9 stream: sample entry vp08 or vp09 with a
// vpcC box (VP Codec ISO Media File Format Binding). A VP9 profile above 1 has
// more than 8 bits a sample, given as depth.
func VP(codec sluice.FourCC, profile, depth, width, height int) (*sluice.Track, error) {
	if codec != sluice.VP08 && codec != sluice.VP09 || profile < 0 || profile > 3 || depth != 8 && depth != 10 && depth != 12 {
		return nil, fmt.Errorf("codec: %q of profile %d with %d bits: %w", codec, profile, depth, ErrInvalid)
	}
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
			return box(b, "vpcC", func(b []byte) []byte {
				// Version 1; level 1.0; 4:2:0; colours are not specified; no private data.
				return append(b, 1, 0, 0, 0, byte(profile), 10, byte(depth)<<4|1<<1, 2, 2, 2, 0, 0)
			})
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
