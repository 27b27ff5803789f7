package codec

import (
	"fmt"

	"github.com/sluice-live/sluice"
)

// Object types of video in esds (mp4ra.org).
const (
	objectMPEG4  = 0x20
	objectMPEG2a = 0x60 // Simple profile; the others follow
	objectMPEG2  = 0x61 // Main profile
	objectMPEG2z = 0x65
	objectMPEG1  = 0x6a
)

// MPEG2 returns the track of an MPEG-2 video stream (ISO/IEC 13818-2) from its
// sequence header, with the start code. Samples are pictures with all that
// stands before them.
func MPEG2(sequence []byte) (*sluice.Track, error) {
	if len(sequence) < 8 || be.Uint32(sequence) != 0x1b3 {
		return nil, fmt.Errorf("codec: MPEG-2 sequence header: %w", ErrInvalid)
	}
	width, height := int(sequence[4])<<4|int(sequence[5]>>4), int(sequence[5]&15)<<8|int(sequence[6])
	if width == 0 || height == 0 {
		return nil, fmt.Errorf("codec: MPEG-2 picture of %dx%d: %w", width, height, ErrInvalid)
	}
	return &sluice.Track{
		Kind:      sluice.Video,
		Codec:     sluice.MP4V,
		Timescale: videoTimescale,
		Width:     width,
		Height:    height,
		Config: box(nil, "mp4v", func(b []byte) []byte {
			b = visual(b, width, height)
			return box(b, "esds", func(b []byte) []byte { return esds(b, objectMPEG2, 0x11, sequence) })
		}),
	}, nil
}

func mp4vMIME(entry []byte) (string, error) {
	object, _, err := readESDSAt(entry, visualEntry)
	return fmt.Sprintf("mp4v.%02X", object), err
}

func mp4vDecoder(entry []byte) (name string, private []byte, err error) {
	object, private, err := readESDSAt(entry, visualEntry)
	switch {
	case err != nil:
		return "", nil, err
	case object >= objectMPEG2a && object <= objectMPEG2z:
		return "mpeg2video", private, nil
	case object == objectMPEG1:
		return "mpeg1video", private, nil
	case object == objectMPEG4:
		return "mpeg4", private, nil
	}
	return "", nil, fmt.Errorf("object type 0x%02x: %w", object, ErrUnsupported)
}
