package codec

import (
	"encoding/binary"
	"fmt"

	"github.com/sluice-live/sluice"
)

func avcTiming(entry []byte) (timescale uint32, frame int64, err error) {
	if num, den, ok := avcRate(entry); ok {
		frame = sluice.Rescale(den, num, videoTimescale)
	}
	return videoTimescale, frame, nil
}

func mp4aTiming(entry []byte) (timescale uint32, frame int64, err error) {
	object, asc, err := readESDS(entry)
	if err != nil {
		return 0, 0, err
	}
	if object == objectMP1 || object == objectMP2 { // MP2: layer III has an entry of its own here
		timescale, _, err = mp3Timing(entry)
		return timescale, 1152, err
	}
	c, err := ParseASC(asc)
	if err != nil {
		return 0, 0, err
	}
	return uint32(c.CoreRate), int64(c.FrameSamples), nil
}

// The rate stands in the sample entry as 16.16 bits, behind box header (8),
// SampleEntry (8) and 16 bytes of AudioSampleEntry. Layer III codes 1,152
// samples a frame in MPEG-1 and half of it at the low rates of MPEG-2.
func mp3Timing(entry []byte) (timescale uint32, frame int64, err error) {
	if len(entry) < 36 {
		return 0, 0, fmt.Errorf("sample entry of %d bytes: %w", len(entry), ErrInvalid)
	}
	rate := binary.BigEndian.Uint32(entry[32:]) >> 16
	if rate == 0 {
		return 0, 0, fmt.Errorf("sample rate 0: %w", ErrInvalid)
	}
	if rate < 32000 {
		return rate, 576, nil
	}
	return rate, 1152, nil
}

// videoTiming is that of codings whose configuration names no frame rate.
func videoTiming([]byte) (timescale uint32, frame int64, err error) { return videoTimescale, 0, nil }
