package codec

import (
	"fmt"
	"math/big"
	"math/bits"
	"slices"
	"strings"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"github.com/sluice-live/sluice"
)

// NAL unit types of H.265.
const (
	hevcVPS = 32
	hevcSPS = 33
	hevcPPS = 34
)

// hevcLengths is where a record says how many bytes NAL unit lengths have, less 1.
const hevcLengths = 21

// HEVC returns the track that an HEVCDecoderConfigurationRecord (ISO/IEC
// 14496-15, 8.3.3; "hvcC") describes. The record in the track says four-byte
// lengths; samples of a source with others go through [AVCNormalize].
func HEVC(hvcC []byte) (*sluice.Track, error) {
	sets, err := hevcSets(hvcC)
	if err != nil {
		return nil, fmt.Errorf("codec: hvcC: %w", err)
	}
	hvcC = slices.Clone(hvcC)
	hvcC[hevcLengths] |= 3
	s, err := hevcSequence(sets)
	if err != nil {
		return nil, fmt.Errorf("codec: hvcC: %w", err)
	}
	t := &sluice.Track{
		Kind:      sluice.Video,
		Codec:     sluice.HVC1,
		Timescale: videoTimescale,
		Width:     s.Width(),
		Height:    s.Height(),
		Config: box(nil, "hvc1", func(b []byte) []byte {
			b = visual(b, s.Width(), s.Height())
			return box(b, "hvcC", func(b []byte) []byte { return append(b, hvcC...) })
		}),
	}
	_, t.FrameDur, err = hevcTiming(t.Config)
	return t, err
}

// HEVCConfig returns the HEVCDecoderConfigurationRecord of a track.
func HEVCConfig(t *sluice.Track) ([]byte, error) { return configOf(t, "hvcC") }

// HEVCLengthSize returns how many bytes the NAL unit lengths of the samples
// have: 1, 2 or 4.
func HEVCLengthSize(hvcC []byte) (int, error) {
	if _, err := hevcSets(hvcC); err != nil {
		return 0, fmt.Errorf("codec: hvcC: %w", err)
	}
	return int(hvcC[hevcLengths]&3) + 1, nil
}

// HEVCRecord builds an HEVCDecoderConfigurationRecord from parameter sets.
func HEVCRecord(vps, sps, pps [][]byte) ([]byte, error) {
	sets := slices.Concat(vps, sps, pps)
	s, err := hevcSequence(sets)
	if err != nil {
		return nil, fmt.Errorf("codec: hvcC: %w", err)
	}
	raw := unescape(sps[0])
	if len(raw) < 15 || len(vps) == 0 || len(pps) == 0 {
		return nil, fmt.Errorf("codec: hvcC: need a VPS, an SPS and a PPS: %w", ErrInvalid)
	}
	b := append([]byte{1}, raw[3:15]...) // profile, compatibility, constraints, level
	b = append(b, 0xf0, 0, 0xfc, 0xfc|byte(s.ChromaFormatIdc), 0xf8|byte(s.BitDepthLumaMinus8), 0xf8|byte(s.BitDepthChromaMinus8))
	b = append(b, 0, 0, (s.MaxSubLayersMinus1+1)<<3|3) // four-byte lengths
	if s.TemporalIDNestingFlag {
		b[len(b)-1] |= 4
	}
	b = append(b, 3)
	for i, units := range [][][]byte{vps, sps, pps} {
		b = append(b, 0x80|byte(hevcVPS+i))
		b = be.AppendUint16(b, uint16(len(units)))
		for _, u := range units {
			if len(u) > 0xffff {
				return nil, fmt.Errorf("codec: hvcC: parameter set of %d bytes: %w", len(u), ErrInvalid)
			}
			b = append(be.AppendUint16(b, uint16(len(u))), u...)
		}
	}
	return b, nil
}

// HEVCParameterSets sorts the parameter sets out of a byte stream (Annex B).
func HEVCParameterSets(annexB []byte) (vps, sps, pps [][]byte) {
	for u := range AnnexBNALUs(annexB) {
		switch u[0] >> 1 & 63 {
		case hevcVPS:
			vps = append(vps, u)
		case hevcSPS:
			sps = append(sps, u)
		case hevcPPS:
			pps = append(pps, u)
		}
	}
	return vps, sps, pps
}

// hevcSets returns the parameter sets of a record, as slices of it.
func hevcSets(b []byte) (sets [][]byte, err error) {
	if len(b) < 23 || b[0] != 1 {
		return nil, fmt.Errorf("not an HEVC decoder configuration record: %w", ErrInvalid)
	}
	if b[hevcLengths]&3 == 2 {
		return nil, fmt.Errorf("NAL unit lengths of 3 bytes: %w", ErrInvalid)
	}
	arrays, b := int(b[22]), b[23:]
	for range arrays {
		if len(b) < 3 {
			return nil, errShort
		}
		var of [][]byte
		if of, b, err = readSets(b[1:][2:], int(be.Uint16(b[1:]))); err != nil {
			return nil, err
		}
		sets = append(sets, of...)
	}
	return sets, nil
}

// hevcSequence reads the first SPS.
func hevcSequence(sets [][]byte) (s h265.SPS, err error) {
	for _, u := range sets {
		if len(u) > 2 && u[0]>>1&63 == hevcSPS {
			if err := s.Unmarshal(u); err != nil {
				return s, fmt.Errorf("SPS: %w: %w", err, ErrInvalid)
			}
			if s.Width() <= 0 || s.Height() <= 0 || s.Width() > 0xffff || s.Height() > 0xffff {
				return s, fmt.Errorf("SPS: picture of %dx%d: %w", s.Width(), s.Height(), ErrInvalid)
			}
			return s, nil
		}
	}
	return s, fmt.Errorf("no SPS: %w", ErrInvalid)
}

// hevcMIME writes the string of ISO/IEC 14496-15, annex E.3.
func hevcMIME(entry []byte) (string, error) {
	b, err := child(entry, visualEntry, "hvcC")
	if err != nil {
		return "", err
	}
	if len(b) < 13 {
		return "", errShort
	}
	space := []string{"", "A", "B", "C"}[b[1]>>6]
	tier := []string{"L", "H"}[b[1]>>5&1]
	s := fmt.Sprintf("hvc1.%s%d.%X.%s%d", space, b[1]&31, bits.Reverse32(be.Uint32(b[2:])), tier, b[12])
	constraints := b[6:12]
	for len(constraints) > 0 && constraints[len(constraints)-1] == 0 {
		constraints = constraints[:len(constraints)-1]
	}
	var tail strings.Builder
	for _, c := range constraints {
		fmt.Fprintf(&tail, ".%X", c)
	}
	return s + tail.String(), nil
}

func hevcRate(entry []byte) (num, den int64, ok bool) {
	b, err := child(entry, visualEntry, "hvcC")
	if err != nil {
		return 0, 0, false
	}
	sets, err := hevcSets(b)
	if err != nil {
		return 0, 0, false
	}
	s, err := hevcSequence(sets)
	if err != nil || s.VUI == nil || s.VUI.TimingInfo == nil {
		return 0, 0, false
	}
	num, den = int64(s.VUI.TimingInfo.TimeScale), int64(s.VUI.TimingInfo.NumUnitsInTick)
	if den == 0 || num < den || num > 300*den {
		return 0, 0, false
	}
	r := big.NewRat(num, den)
	return r.Num().Int64(), r.Denom().Int64(), true
}

func hevcTiming(entry []byte) (timescale uint32, frame int64, err error) {
	if num, den, ok := hevcRate(entry); ok {
		frame = sluice.Rescale(den, num, videoTimescale)
	}
	return videoTimescale, frame, nil
}

func hevcDecoder(entry []byte) (name string, private []byte, err error) {
	private, err = child(entry, visualEntry, "hvcC")
	return "hevc", private, err
}
