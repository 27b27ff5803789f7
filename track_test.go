package sluice_test

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

func TestRescale(t *testing.T) {
	for _, c := range []struct{ ticks, from, to, want int64 }{
		{0, 90000, 48000, 0},
		{90000, 90000, 48000, 48000},
		{1, 2, 1, 1}, // halves away from zero
		{-1, 2, 1, -1},
		{1, 3, 1, 0},
		{2, 3, 1, 1},
		{-2, 3, 1, -1},
		{1_790_000_000 * 90000, 90000, 1e9, 1_790_000_000e9},
		{math.MaxInt64, 1, 2, math.MaxInt64},
		{math.MinInt64, 1, 2, -math.MaxInt64},
		{math.MinInt64, 2, 1, -1 << 62},
		{math.MaxInt64, 1, math.MaxInt64, math.MaxInt64},
		{math.MinInt64, math.MaxInt64, math.MaxInt64, math.MinInt64},
	} {
		assert.Equal(t, c.want, sluice.Rescale(c.ticks, c.from, c.to), "%+v", c)
	}
}

// anyInt is small, large or extreme with equal chance.
func anyInt(r *rand.Rand) int64 {
	return int64(r.Uint64() >> r.IntN(64))
}

func anyRate(r *rand.Rand) int64 {
	usual := []int64{1, 1000, 8000, 44100, 48000, 90000, 1e6, 1e7, 1e9, math.MaxUint32}
	if r.IntN(2) == 0 {
		return usual[r.IntN(len(usual))]
	}
	return max(1, int64(r.Uint32()>>r.IntN(32)))
}

func TestRescaleAgreesWithBigIntegers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		ticks, from, to := anyInt(r), anyRate(r), anyRate(r)
		// |ticks|·to/from rounded: (2·|ticks|·to + from) / (2·from)
		abs := new(big.Int).Abs(big.NewInt(ticks))
		num := abs.Mul(abs, big.NewInt(2*to))
		num.Add(num, big.NewInt(from))
		want := num.Div(num, big.NewInt(2*from))
		if from == to {
			want = new(big.Int).Abs(big.NewInt(ticks))
		}
		if ticks < 0 {
			want.Neg(want)
		}
		got := sluice.Rescale(ticks, from, to)
		if !want.IsInt64() {
			require.Equal(t, int64(math.MaxInt64), max(got, -got), "%d from %d to %d", ticks, from, to)
			continue
		}
		require.Equal(t, want.Int64(), got, "%d from %d to %d", ticks, from, to)
	}
}

// A position survives the way to a wall-clock time and back, so that a segment
// is found by its own start.
func TestTicksInvertsTime(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		track := &sluice.Track{Timescale: uint32(min(anyRate(r), 1e9))}
		ticks := r.Int64N(4e9 * int64(track.Timescale))
		if r.IntN(8) == 0 {
			ticks = -ticks
		}
		at := track.Time(ticks)
		require.Equal(t, ticks, track.Ticks(at), "at %d Hz", track.Timescale)
		require.Less(t, track.Ticks(at.Add(-1)), ticks, "a nanosecond earlier, at %d Hz", track.Timescale)
	}
}

func TestTicksRoundsDown(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		track := &sluice.Track{Timescale: uint32(anyRate(r))}
		at := time.Unix(r.Int64N(2e9)-1e9, r.Int64N(1e9))
		ns := big.NewInt(at.Unix())
		ns.Mul(ns, big.NewInt(1e9)).Add(ns, big.NewInt(int64(at.Nanosecond())))
		want := ns.Mul(ns, big.NewInt(int64(track.Timescale)))
		want.Div(want, big.NewInt(1e9)) // Euclidean, so down
		require.Equal(t, want.Int64(), track.Ticks(at), "%v at %d Hz", at, track.Timescale)
	}
}

func TestTime(t *testing.T) {
	video, audio := &sluice.Track{Timescale: 90000}, &sluice.Track{Timescale: 44100}
	assert.Equal(t, time.Date(2026, 9, 21, 14, 13, 20, 0, time.UTC), video.Time(1_790_000_000*90000))
	assert.Equal(t, time.Unix(0, 22676).UTC(), audio.Time(1))
	assert.Equal(t, time.Unix(0, -22675).UTC(), audio.Time(-1))
	assert.Equal(t, 23219955*time.Nanosecond, audio.Duration(1024))
	assert.Equal(t, time.Duration(math.MaxInt64), audio.Duration(math.MaxInt64), "no panic")
}

func TestKindAndCodecStrings(t *testing.T) {
	assert.Equal(t, "video audio text data unknown",
		fmt.Sprint(sluice.Video, " ", sluice.Audio, " ", sluice.Text, " ", sluice.Data, " ", sluice.Kind(0)))
	assert.Equal(t, "avc1 mp4a .mp3", fmt.Sprint(sluice.AVC1, " ", sluice.MP4A, " ", sluice.MP3))
}
