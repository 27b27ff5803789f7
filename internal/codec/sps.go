package codec

import (
	"fmt"
	"slices"
)

// SPS is what Sluice reads of an H.264 sequence parameter set.
type SPS struct {
	Profile, Constraints, Level uint8
	ChromaFormat                uint8 // chroma_format_idc: 0 mono, 1 4:2:0, 2 4:2:2, 3 4:4:4
	BitDepth, BitDepthChroma    uint8
	Width, Height               int    // of the picture after cropping
	Interlaced                  bool   // fields or macroblock-adaptive coding are possible
	SARWidth, SARHeight         uint16 // sample aspect ratio; 0, 0 is not said
	Colour                      Colour
	// UnitsInTick and TimeScale give the duration of a field; 0 is not said.
	// FixedRate says that frames keep to it.
	UnitsInTick, TimeScale uint32
	FixedRate              bool
}

// Colour is the colour description of a video signal, with the code points of
// ITU-T H.273. The zero value is not said.
type Colour struct {
	Primaries, Transfer, Matrix uint8
	FullRange                   bool
}

// H.264 level 6.2 allows 139,264 macroblocks and √(8 × that) on a side.
const (
	maxMBs    = 139264
	maxMBSide = 1055
)

var highProfiles = []uint8{100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}

// ParseSPS reads a sequence parameter set's NAL unit. A damaged VUI, which
// some cameras send, leaves its fields empty and is no error.
func ParseSPS(nalu []byte) (SPS, error) {
	var s SPS
	if len(nalu) < 4 || nalu[0]&0x1f != naluSPS {
		return s, fmt.Errorf("codec: SPS: not a sequence parameter set: %w", ErrInvalid)
	}
	r := &bitReader{b: unescape(nalu[1:])}
	s.Profile, s.Constraints, s.Level = uint8(r.bits(8)), uint8(r.bits(8)), uint8(r.bits(8))
	s.head(r)
	s.order(r)
	s.size(r)
	if r.err != nil {
		return SPS{}, fmt.Errorf("codec: SPS: %w", r.err)
	}
	plain := s
	if r.flag() {
		s.vui(r)
	}
	if r.err != nil {
		return plain, nil
	}
	return s, nil
}

func (s *SPS) head(r *bitReader) {
	s.ChromaFormat, s.BitDepth, s.BitDepthChroma = 1, 8, 8
	r.limit(r.ue(), 31, "seq_parameter_set_id")
	if !slices.Contains(highProfiles, s.Profile) {
		return
	}
	s.ChromaFormat = uint8(r.limit(r.ue(), 3, "chroma_format_idc"))
	if s.ChromaFormat == 3 && r.flag() {
		r.fail(fmt.Errorf("separate colour planes: %w", ErrUnsupported))
	}
	s.BitDepth += uint8(r.limit(r.ue(), 6, "bit_depth_luma_minus8"))
	s.BitDepthChroma += uint8(r.limit(r.ue(), 6, "bit_depth_chroma_minus8"))
	r.flag() // qpprime_y_zero_transform_bypass_flag
	if r.flag() {
		s.scalingLists(r)
	}
}

func (s *SPS) scalingLists(r *bitReader) {
	lists := 8
	if s.ChromaFormat == 3 {
		lists = 12
	}
	for i := range lists {
		if !r.flag() {
			continue
		}
		size := 16
		if i >= 6 {
			size = 64
		}
		last, next := int32(8), int32(8)
		for range size {
			if next != 0 {
				next = (last + r.se() + 256) & 255
			}
			if next != 0 {
				last = next
			}
		}
	}
}

// order reads the picture order count's fields and the reference frames'.
func (s *SPS) order(r *bitReader) {
	r.limit(r.ue(), 12, "log2_max_frame_num_minus4")
	switch r.limit(r.ue(), 2, "pic_order_cnt_type") {
	case 0:
		r.limit(r.ue(), 12, "log2_max_pic_order_cnt_lsb_minus4")
	case 1:
		r.flag()
		r.se()
		r.se()
		for range r.limit(r.ue(), 255, "num_ref_frames_in_pic_order_cnt_cycle") {
			r.se()
		}
	}
	r.ue() // max_num_ref_frames
	r.flag()
}

func (s *SPS) size(r *bitReader) {
	wide := int(r.limit(r.ue(), maxMBSide-1, "pic_width_in_mbs_minus1")) + 1
	high := int(r.limit(r.ue(), maxMBSide-1, "pic_height_in_map_units_minus1")) + 1
	fields := 1
	if s.Interlaced = !r.flag(); s.Interlaced {
		fields = 2
		r.flag() // mb_adaptive_frame_field_flag
	}
	r.flag() // direct_8x8_inference_flag
	high *= fields
	s.Width, s.Height = wide*16, high*16
	if r.flag() {
		unitX, unitY := 1, fields
		if s.ChromaFormat == 1 || s.ChromaFormat == 2 {
			unitX = 2
		}
		if s.ChromaFormat == 1 {
			unitY *= 2
		}
		crop := func(unit int) int {
			return (int(r.limit(r.ue(), 1<<14, "frame_crop_offset")) + int(r.limit(r.ue(), 1<<14, "frame_crop_offset"))) * unit
		}
		s.Width -= crop(unitX)
		s.Height -= crop(unitY)
	}
	if wide*high > maxMBs || s.Width <= 0 || s.Height <= 0 {
		r.fail(fmt.Errorf("picture of %d×%d: %w", s.Width, s.Height, ErrInvalid))
	}
}

// The sample aspect ratios of table E-1, by aspect_ratio_idc.
var sars = [...][2]uint16{{}, {1, 1}, {12, 11}, {10, 11}, {16, 11}, {40, 33}, {24, 11}, {20, 11},
	{32, 11}, {80, 33}, {18, 11}, {15, 11}, {64, 33}, {160, 99}, {4, 3}, {3, 2}, {2, 1}}

const extendedSAR = 255

func (s *SPS) vui(r *bitReader) {
	if r.flag() {
		if idc := r.bits(8); idc == extendedSAR {
			s.SARWidth, s.SARHeight = uint16(r.bits(16)), uint16(r.bits(16))
		} else if int(idc) < len(sars) {
			s.SARWidth, s.SARHeight = sars[idc][0], sars[idc][1]
		}
	}
	if r.flag() {
		r.flag() // overscan_appropriate_flag
	}
	if r.flag() {
		r.skip(3) // video_format
		s.Colour.FullRange = r.flag()
		if r.flag() {
			s.Colour.Primaries, s.Colour.Transfer, s.Colour.Matrix = uint8(r.bits(8)), uint8(r.bits(8)), uint8(r.bits(8))
		}
	}
	if r.flag() {
		r.ue() // chroma sample locations
		r.ue()
	}
	if r.flag() {
		s.UnitsInTick, s.TimeScale, s.FixedRate = r.bits(32), r.bits(32), r.flag()
	}
}

// limit refuses a value above what the standard allows.
func (r *bitReader) limit(v, most uint32, name string) uint32 {
	if v > most {
		r.fail(fmt.Errorf("%s is %d, more than %d: %w", name, v, most, ErrInvalid))
	}
	if r.err != nil {
		return 0
	}
	return v
}

// FrameRate returns the declared frames a second in lowest terms; ok is false
// where none is declared, or none between 1 and 300.
func (s SPS) FrameRate() (num, den int64, ok bool) {
	num, den = int64(s.TimeScale), 2*int64(s.UnitsInTick)
	if den == 0 || num < den || num > 300*den {
		return 0, 0, false
	}
	g := gcd(num, den)
	return num / g, den / g, true
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
