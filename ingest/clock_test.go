package ingest

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Two tracks, one behind the other, count across three wraps.
func TestUnwrapGoesOn(t *testing.T) {
	for name, c := range map[string]struct{ scale, wrap, counter int64 }{
		"24 bits of RTMP": {1000, 1 << 32, 1 << 24},
		"32 bits of RTMP": {1000, 1 << 32, 1 << 32},
		"33 bits of TS":   {90000, 1 << 33, 1 << 33},
		"none":            {1000, 0, math.MaxInt64},
	} {
		t.Run(name, func(t *testing.T) {
			clk := clock{scale: c.scale, wrap: c.wrap}
			var wraps uint64
			start := min(c.counter, 1<<40) / 2
			step := c.counter / 4096
			if c.wrap == 0 {
				step = 1 << 28
			}
			for at := int64(0); at < 3*min(c.counter, 1<<40); at += step {
				for _, p := range []int64{at, max(at-c.scale/3, 0)} {
					require.Equal(t, p, clk.unwrap((start+p)%c.counter, &wraps), "%d", at)
				}
			}
			assert.EqualValues(t, b2i(c.wrap != 0)*3, wraps)
		})
	}
}

// Jumps of a clock that does not wrap stay within what sums can hold.
func TestUnwrapBoundsJumps(t *testing.T) {
	clk := clock{scale: 90000}
	var wraps uint64
	var last int64
	for i := range 1000 {
		raw := int64(math.MaxInt64)
		if i%3 == 0 {
			raw = math.MinInt64
		}
		pos := clk.unwrap(raw-int64(i), &wraps)
		require.LessOrEqual(t, max(pos-last, last-pos), int64(largestStep*90000))
		require.NotPanics(t, func() { clk.duration(pos - last) })
		last = pos
	}
}

// The mapping follows UTC by 100 parts per million and no faster, by the
// quickest packets.
func TestClockSlews(t *testing.T) {
	for _, behind := range []time.Duration{time.Second, -time.Second, 100 * time.Hour, -100 * time.Hour} {
		clk := clock{scale: 1000}
		clk.anchor(0, epoch.Add(-behind))
		before := clk.at(0)
		for ms := int64(0); ms < 3600_000; ms += 40 {
			late := time.Duration(ms*7919%50) * time.Millisecond
			clk.arrived(ms, epoch.Add(time.Duration(ms)*time.Millisecond+late))
		}
		slewed := clk.at(0).Sub(before)
		want := time.Hour / 10000
		if behind < 0 {
			want = -want
		}
		assert.InDelta(t, want.Seconds(), slewed.Seconds(), 0.005, "%v", behind)
	}
}
