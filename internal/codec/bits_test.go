package codec

import (
	"math"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"
)

// bitWriter is bitReader's mirror.
type bitWriter struct {
	b []byte
	n int // bits used
}

func (w *bitWriter) bits(v uint64, n int) {
	for i := n - 1; i >= 0; i-- {
		if w.n&7 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n>>3] |= byte(v>>i&1) << (7 - w.n&7)
		w.n++
	}
}

func (w *bitWriter) ue(v uint32) {
	n := bits.Len64(uint64(v) + 1)
	w.bits(0, n-1)
	w.bits(uint64(v)+1, n)
}

func (w *bitWriter) se(v int32) {
	if v > 0 {
		w.ue(uint32(v)*2 - 1)
	} else {
		w.ue(uint32(-v) * 2)
	}
}

func (w *bitWriter) flag(v bool) bool {
	if v {
		w.bits(1, 1)
	} else {
		w.bits(0, 1)
	}
	return v
}

func TestBitsRoundTrip(t *testing.T) {
	var w bitWriter
	signed := []int32{0, 1, -1, 2, -2, 1000, -1000, math.MaxInt32 / 2}
	unsigned := []uint32{0, 1, 2, 3, 254, 255, 1 << 20, math.MaxUint32 - 1}
	for i := range signed {
		w.flag(i%2 == 0)
		w.se(signed[i])
		w.ue(unsigned[i])
		w.bits(uint64(unsigned[i]), 32)
	}
	r := &bitReader{b: w.b}
	for i := range signed {
		require.Equal(t, i%2 == 0, r.flag())
		require.Equal(t, signed[i], r.se())
		require.Equal(t, unsigned[i], r.ue())
		require.Equal(t, unsigned[i], r.bits(32))
	}
	require.NoError(t, r.err)
	require.Less(t, r.left(), 8)
}

func TestBitsStopAtEnd(t *testing.T) {
	r := &bitReader{b: []byte{0xff}}
	require.Equal(t, uint32(0), r.bits(9))
	require.ErrorIs(t, r.err, ErrInvalid)
	require.Equal(t, uint32(0), r.bits(1), "the error sticks")
	r = &bitReader{b: make([]byte, 9)}
	r.ue()
	require.ErrorIs(t, r.err, ErrInvalid, "a code of 72 zeros")
}
