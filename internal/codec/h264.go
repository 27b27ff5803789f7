package codec

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/sluice-live/sluice"
)

// NAL unit types of H.264.
const (
	naluIDR = 5
	naluSPS = 7
	naluPPS = 8
)

// videoTimescale is the rate that every video clock we meet divides well into.
const videoTimescale = 90000

// AVC returns the track that an AVCDecoderConfigurationRecord (ISO/IEC
// 14496-15; "avcC", FLV's AVC sequence header) describes. The record in the
// track says four-byte lengths and the profile and level of its SPS; samples of
// a source with other lengths go through [AVCNormalize]. ID, times and names
// are the caller's to set.
func AVC(avcC []byte) (*sluice.Track, error) {
	sps, pps, err := avcSets(avcC)
	if err != nil {
		return nil, fmt.Errorf("codec: avcC: %w", err)
	}
	s, err := ParseSPS(sps[0])
	if err != nil {
		return nil, fmt.Errorf("codec: avcC: %w", err)
	}
	t := &sluice.Track{
		Kind:      sluice.Video,
		Codec:     sluice.AVC1,
		Timescale: videoTimescale,
		Width:     s.Width,
		Height:    s.Height,
	}
	if num, den, ok := s.FrameRate(); ok && s.FixedRate {
		t.FrameDur = sluice.Rescale(den, num, videoTimescale)
	}
	t.Config = avcEntry(s, avcRecord(s, sps, pps))
	return t, nil
}

// AVCConfig returns the AVCDecoderConfigurationRecord of a track.
func AVCConfig(t *sluice.Track) ([]byte, error) { return configOf(t, "avcC") }

// AVCParameterSets returns the SPS and PPS NAL units of an
// AVCDecoderConfigurationRecord, as slices of it.
func AVCParameterSets(avcC []byte) (sps, pps [][]byte, err error) {
	if sps, pps, err = avcSets(avcC); err != nil {
		return nil, nil, fmt.Errorf("codec: avcC: %w", err)
	}
	return sps, pps, nil
}

// AVCLengthSize returns how many bytes the NAL unit lengths of the samples
// have: 1, 2 or 4.
func AVCLengthSize(avcC []byte) (int, error) {
	if len(avcC) < 5 {
		return 0, fmt.Errorf("codec: avcC: %w", errShort)
	}
	n := int(avcC[4]&3) + 1
	if n == 3 {
		return 0, fmt.Errorf("codec: avcC: NAL unit lengths of 3 bytes: %w", ErrInvalid)
	}
	return n, nil
}

// AVCRecord builds an AVCDecoderConfigurationRecord from parameter sets, which
// are copied. At least one of each is needed.
func AVCRecord(sps, pps [][]byte) ([]byte, error) {
	if err := checkSets(sps, pps); err != nil {
		return nil, fmt.Errorf("codec: avcC: %w", err)
	}
	s, err := ParseSPS(sps[0])
	if err != nil {
		return nil, fmt.Errorf("codec: avcC: %w", err)
	}
	return avcRecord(s, sps, pps), nil
}

// AVCHasIDR reports whether a sample with four-byte lengths holds an IDR slice.
func AVCHasIDR(sample []byte) bool {
	for u := range NALUs(sample) {
		if u[0]&0x1f == naluIDR {
			return true
		}
	}
	return false
}

// AVCNormalize checks the NAL unit lengths of a sample and returns it with
// lengths of four bytes: sample itself if it has them already, else a copy.
func AVCNormalize(sample []byte, lengthSize int) ([]byte, error) {
	if lengthSize != 1 && lengthSize != 2 && lengthSize != 4 {
		return nil, fmt.Errorf("codec: sample: NAL unit lengths of %d bytes: %w", lengthSize, ErrInvalid)
	}
	units := 0
	for b := sample; len(b) > 0; units++ {
		n, err := unitLength(b, lengthSize)
		if err != nil {
			return nil, err
		}
		b = b[lengthSize+n:]
	}
	if lengthSize == 4 {
		return sample, nil
	}
	out := make([]byte, 0, len(sample)+units*(4-lengthSize))
	for b := sample; len(b) > 0; {
		n, _ := unitLength(b, lengthSize)
		out = be.AppendUint32(out, uint32(n))
		out = append(out, b[lengthSize:lengthSize+n]...)
		b = b[lengthSize+n:]
	}
	return out, nil
}

func unitLength(b []byte, lengthSize int) (int, error) {
	if len(b) < lengthSize {
		return 0, fmt.Errorf("codec: sample: NAL unit length: %w", errShort)
	}
	var n uint64
	for _, c := range b[:lengthSize] {
		n = n<<8 | uint64(c)
	}
	if n > uint64(len(b)-lengthSize) {
		return 0, fmt.Errorf("codec: sample: NAL unit of %d bytes in %d: %w", n, len(b)-lengthSize, ErrInvalid)
	}
	return int(n), nil
}

// avcSets reads the parameter sets of a record.
func avcSets(b []byte) (sps, pps [][]byte, err error) {
	if len(b) < 7 || b[0] != 1 {
		return nil, nil, fmt.Errorf("not an AVC decoder configuration record: %w", ErrInvalid)
	}
	if _, err := AVCLengthSize(b); err != nil {
		return nil, nil, err
	}
	sps, rest, err := readSets(b[6:], int(b[5]&31))
	if err != nil {
		return nil, nil, err
	}
	if len(rest) == 0 {
		return nil, nil, errShort
	}
	if pps, _, err = readSets(rest[1:], int(rest[0])); err != nil {
		return nil, nil, err
	}
	return sps, pps, checkSets(sps, pps)
}

func readSets(b []byte, n int) (sets [][]byte, rest []byte, err error) {
	for range n {
		if len(b) < 2 || len(b)-2 < int(be.Uint16(b)) {
			return nil, nil, fmt.Errorf("parameter set: %w", errShort)
		}
		size := int(be.Uint16(b))
		sets = append(sets, b[2:2+size:2+size])
		b = b[2+size:]
	}
	return sets, b, nil
}

func checkSets(sps, pps [][]byte) error {
	bad := func(kind byte) func([]byte) bool {
		return func(u []byte) bool { return len(u) == 0 || len(u) > 0xffff || u[0]&0x1f != kind }
	}
	switch {
	case len(sps) == 0 || len(pps) == 0:
		return fmt.Errorf("%d SPS and %d PPS, need one of each: %w", len(sps), len(pps), ErrInvalid)
	case len(sps) > 31 || len(pps) > 255:
		return fmt.Errorf("%d SPS and %d PPS are too many: %w", len(sps), len(pps), ErrInvalid)
	case slices.ContainsFunc(sps, bad(naluSPS)) || slices.ContainsFunc(pps, bad(naluPPS)):
		return fmt.Errorf("parameter set of another kind: %w", ErrInvalid)
	}
	return nil
}

func avcRecord(s SPS, sps, pps [][]byte) []byte {
	var b bytes.Buffer
	b.Write([]byte{1, s.Profile, s.Constraints, s.Level, 0xff, 0xe0 | byte(len(sps))})
	writeSets := func(sets [][]byte) {
		for _, u := range sets {
			b.Write(be.AppendUint16(nil, uint16(len(u))))
			b.Write(u)
		}
	}
	writeSets(sps)
	b.WriteByte(byte(len(pps)))
	writeSets(pps)
	if s.Profile != 66 && s.Profile != 77 && s.Profile != 88 && slices.Contains(highProfiles, s.Profile) {
		b.Write([]byte{0xfc | s.ChromaFormat, 0xf8 | (s.BitDepth - 8), 0xf8 | (s.BitDepthChroma - 8), 0})
	}
	return b.Bytes()
}

func avcEntry(s SPS, avcC []byte) []byte {
	return box(nil, "avc1", func(b []byte) []byte {
		b = visual(b, s.Width, s.Height)
		b = box(b, "avcC", func(b []byte) []byte { return append(b, avcC...) })
		if c := s.Colour; c != (Colour{}) {
			b = box(b, "colr", c.nclx)
		}
		if s.SARWidth != s.SARHeight && s.SARWidth != 0 && s.SARHeight != 0 {
			b = box(b, "pasp", func(b []byte) []byte {
				return be.AppendUint32(be.AppendUint32(b, uint32(s.SARWidth)), uint32(s.SARHeight))
			})
		}
		return b
	})
}

// nclx appends the body of a colr box; 2 is "unspecified".
func (c Colour) nclx(b []byte) []byte {
	if c.Primaries == 0 {
		c.Primaries, c.Transfer, c.Matrix = 2, 2, 2
	}
	b = append(b, "nclx"...)
	b = append(b, 0, c.Primaries, 0, c.Transfer, 0, c.Matrix, 0)
	if c.FullRange {
		b[len(b)-1] = 0x80
	}
	return b
}

func avcMIME(entry []byte) (string, error) {
	b, err := child(entry, visualEntry, "avcC")
	if err != nil {
		return "", err
	}
	if len(b) < 4 {
		return "", errShort
	}
	return fmt.Sprintf("avc1.%02x%02x%02x", b[1], b[2], b[3]), nil
}

func avcRate(entry []byte) (num, den int64, ok bool) {
	b, err := child(entry, visualEntry, "avcC")
	if err != nil {
		return 0, 0, false
	}
	sps, _, err := avcSets(b)
	if err != nil {
		return 0, 0, false
	}
	s, err := ParseSPS(sps[0])
	if err != nil {
		return 0, 0, false
	}
	return s.FrameRate()
}

func avcDecoder(entry []byte) (name string, private []byte, err error) {
	private, err = child(entry, visualEntry, "avcC")
	return "h264", private, err
}
