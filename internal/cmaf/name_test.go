package cmaf

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

func TestNames(t *testing.T) {
	track := &sluice.Track{ID: 2, Era: 17, Maker: 4000000000}
	for want, n := range map[string]Name{
		"2/17.4000000000-447500000.m4s":   SegmentName(sluice.Segment{Track: track, Number: 447500000}),
		"2/17.4000000000-447500000.0.m4s": Part{Track: track, Segment: 447500000}.Name(),
		"2/17.4000000000-1.12.m4s":        Part{Track: track, Segment: 1, Index: 12}.Name(),
		"2/init-0123456789abcdef.mp4":     {Track: 2, Part: -1, Init: "0123456789abcdef"},
		"4294967295/4294967295.4294967295-18446744073709551615.2147483647.m4s": {Track: math.MaxUint32,
			Era: math.MaxUint32, Maker: math.MaxUint32, Number: math.MaxUint64, Part: math.MaxInt32},
	} {
		require.Equal(t, want, n.String())
		got, err := ParseName(want)
		require.NoError(t, err)
		require.Equal(t, n, got)
	}
}

func TestNamesThatAreNone(t *testing.T) {
	for _, s := range []string{"", "/", "2", "2/", "0/1.0-1.m4s", "2/1.0-1", "2/1-1.m4s", "2/1.0.m4s", "2/01.0-1.m4s", "+2/1.0-1.m4s",
		"2/1.0-1.01.m4s", "2/1.0-1.-1.m4s", "2/1.0-1.2.3.m4s", "2/1.0-1..m4s", "2/1.0-18446744073709551616.m4s", "2/1.0-1.2147483648.m4s",
		"2/../1.0-1.m4s", "2/1.0-1.m4s/", "2/1.0-1.m4s\n", "2/init-.mp4", "2/init-0123456789ABCDEF.mp4", "2/init-0123456789abcde.mp4", "2/init-0123456789abcdef.m4s",
		"4294967296/1.0-1.m4s", "2/1.0-1.M4S", " 2/1.0-1.m4s"} {
		_, err := ParseName(s)
		require.ErrorIs(t, err, ErrName, "%q", s)
	}
}

func FuzzParseName(f *testing.F) {
	f.Add("2/17.4000000000-447500000.12.m4s")
	f.Add("2/17.0-447500000.m4s")
	f.Add("2/init-0123456789abcdef.mp4")
	f.Add("2/init-0-1.m4s")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			require.ErrorIs(t, err, ErrName)
			return
		}
		require.Equal(t, s, n.String())
	})
}
