package codec

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/stretchr/testify/require"
)

// anySPS writes a parameter set at random and says what it wrote.
func anySPS(r *rand.Rand) ([]byte, SPS) {
	var w bitWriter
	coin := func() bool { return w.flag(r.IntN(2) == 0) }
	s := SPS{Profile: []uint8{66, 77, 88, 100, 110, 122, 244}[r.IntN(7)], Constraints: uint8(r.IntN(256)), Level: uint8(r.IntN(256)),
		ChromaFormat: 1, BitDepth: 8, BitDepthChroma: 8}
	w.bits(uint64(s.Profile)<<16|uint64(s.Constraints)<<8|uint64(s.Level), 24)
	w.ue(uint32(r.IntN(32)))
	if slices.Contains(highProfiles, s.Profile) {
		s.ChromaFormat, s.BitDepth, s.BitDepthChroma = uint8(r.IntN(4)), uint8(8+r.IntN(7)), uint8(8+r.IntN(7))
		w.ue(uint32(s.ChromaFormat))
		if s.ChromaFormat == 3 {
			w.flag(false)
		}
		w.ue(uint32(s.BitDepth - 8))
		w.ue(uint32(s.BitDepthChroma - 8))
		coin()
		if coin() {
			anyScalingLists(r, &w, s.ChromaFormat)
		}
	}
	anyOrder(r, &w)
	wide, high := 1+r.IntN(300), 1+r.IntN(200)
	w.ue(uint32(wide - 1))
	w.ue(uint32(high - 1))
	s.Interlaced = !coin()
	fields := 1
	if s.Interlaced {
		coin()
		fields = 2
	}
	coin()
	s.Width, s.Height = wide*16, high*16*fields
	if coin() {
		unitX, unitY := [4]int{1, 2, 2, 1}[s.ChromaFormat], [4]int{1, 2, 1, 1}[s.ChromaFormat]*fields
		crop := [4]int{r.IntN(4), r.IntN(4), r.IntN(4), r.IntN(4)}
		crop[3] = min(crop[3], 3)
		for _, c := range crop {
			w.ue(uint32(c))
		}
		s.Width -= (crop[0] + crop[1]) * unitX
		s.Height -= (crop[2] + crop[3]) * unitY
	}
	if coin() {
		anyVUI(r, &w, &s)
	}
	w.bits(1, 1) // rbsp_stop_one_bit
	return append([]byte{0x67}, escape(w.b)...), s
}

func anyScalingLists(r *rand.Rand, w *bitWriter, chroma uint8) {
	lists := 8
	if chroma == 3 {
		lists = 12
	}
	for i := range lists {
		if !w.flag(r.IntN(2) == 0) {
			continue
		}
		size := 16
		if i >= 6 {
			size = 64
		}
		last := int32(8)
		for range size {
			delta := int32(r.IntN(20) - 10)
			w.se(delta)
			if last = (last + delta + 256) % 256; last == 0 {
				break
			}
		}
	}
}

func anyOrder(r *rand.Rand, w *bitWriter) {
	w.ue(uint32(r.IntN(13)))
	kind := uint32(r.IntN(3))
	w.ue(kind)
	switch kind {
	case 0:
		w.ue(uint32(r.IntN(13)))
	case 1:
		w.flag(true)
		w.se(int32(r.IntN(1000) - 500))
		w.se(int32(r.IntN(1000) - 500))
		n := r.IntN(5)
		w.ue(uint32(n))
		for range n {
			w.se(int32(r.IntN(1000) - 500))
		}
	}
	w.ue(uint32(r.IntN(17)))
	w.flag(false)
}

func anyVUI(r *rand.Rand, w *bitWriter, s *SPS) {
	coin := func() bool { return w.flag(r.IntN(2) == 0) }
	if coin() {
		idc := r.IntN(len(sars))
		if r.IntN(2) == 0 {
			s.SARWidth, s.SARHeight = uint16(r.IntN(65536)), uint16(r.IntN(65536))
			w.bits(extendedSAR<<32|uint64(s.SARWidth)<<16|uint64(s.SARHeight), 40)
		} else {
			s.SARWidth, s.SARHeight = sars[idc][0], sars[idc][1]
			w.bits(uint64(idc), 8)
		}
	}
	if coin() {
		coin()
	}
	if coin() {
		w.bits(5, 3)
		s.Colour.FullRange = coin()
		if coin() {
			s.Colour.Primaries, s.Colour.Transfer, s.Colour.Matrix = uint8(r.IntN(256)), uint8(r.IntN(256)), uint8(r.IntN(256))
			w.bits(uint64(s.Colour.Primaries)<<16|uint64(s.Colour.Transfer)<<8|uint64(s.Colour.Matrix), 24)
		}
	}
	if coin() {
		w.ue(uint32(r.IntN(6)))
		w.ue(uint32(r.IntN(6)))
	}
	if coin() {
		s.UnitsInTick, s.TimeScale = r.Uint32(), r.Uint32()
		w.bits(uint64(s.UnitsInTick)<<32|uint64(s.TimeScale), 64)
		s.FixedRate = coin()
	}
	w.bits(0, 4) // no HRD, no pic_struct, no bitstream restriction
}

// escape inserts emulation prevention bytes.
func escape(b []byte) (out []byte) {
	zeros := 0
	for _, c := range b {
		if zeros >= 2 && c <= 3 {
			out, zeros = append(out, 3), 0
		}
		if c == 0 {
			zeros++
		} else {
			zeros = 0
		}
		out = append(out, c)
	}
	return out
}

func TestAnySPS(t *testing.T) {
	for seed := range uint64(5000) {
		nalu, want := anySPS(rand.New(rand.NewPCG(seed, 2)))
		got, err := ParseSPS(nalu)
		if want.Height <= 0 || want.Width <= 0 {
			require.ErrorIs(t, err, ErrInvalid)
			continue
		}
		require.NoError(t, err, "seed %d", seed)
		require.Equal(t, want, got, "seed %d", seed)
		var mc h264.SPS
		if mc.Unmarshal(nalu) == nil && want.ChromaFormat == 1 {
			require.Equal(t, mc.Width(), got.Width, "seed %d", seed)
			require.Equal(t, mc.Height(), got.Height, "seed %d", seed)
		}
		for n := range nalu { // cut anywhere
			_, err := ParseSPS(nalu[:n])
			require.True(t, err == nil || isOurs(err))
		}
	}
}

func TestSPSRefusesWhatCannotBe(t *testing.T) {
	for name, nalu := range map[string][]byte{
		"nothing": nil, "header alone": {0x67}, "another unit": {0x65, 66, 0, 30, 0xff, 0xff},
		"endless zeros": make([]byte, 100), "endless code": append([]byte{0x67, 66, 0, 30}, make([]byte, 100)...),
	} {
		_, err := ParseSPS(nalu)
		require.ErrorIs(t, err, ErrInvalid, name)
	}
	var w bitWriter
	w.bits(66<<16|30, 24)
	for _, v := range []uint32{0, 0, 2, 1} {
		w.ue(v)
	}
	w.flag(false)
	w.ue(100_000)
	w.ue(100_000)
	w.bits(0xff, 8)
	_, err := ParseSPS(append([]byte{0x67}, escape(w.b)...))
	require.ErrorContains(t, err, "pic_width")
}

// A camera's parameter set that ends inside its VUI still gives the picture's
// size.
func TestDamagedVUIIsNoError(t *testing.T) {
	for seed := range uint64(200) {
		nalu, want := anySPS(rand.New(rand.NewPCG(seed, 3)))
		if want.TimeScale == 0 || want.Height <= 0 || want.Width <= 0 {
			continue
		}
		got, err := ParseSPS(nalu[:len(nalu)-4])
		require.NoError(t, err)
		require.Equal(t, [2]int{want.Width, want.Height}, [2]int{got.Width, got.Height})
		require.Zero(t, got.TimeScale)
	}
}
