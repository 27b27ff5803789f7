package mpegts

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

func hevc(t testing.TB, params string) []byte {
	t.Helper()
	path := encode(t, args(in(picture), "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -x265-params log-level=error:keyint=12:min-keyint=12:scenecut=0:"+params)...)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

// types returns the types of the packets' pictures.
func types(packets []sluice.Packet) (out []byte) {
	for _, p := range packets {
		for u := range codec.NALUs(p.Data) {
			if t := u[0] >> 1 & 63; t < 32 {
				out = append(out, t)
				break
			}
		}
	}
	return out
}

const cra = 21

func keys(packets []sluice.Packet) (at []int) {
	for i, p := range packets {
		if p.Key {
			at = append(at, i)
		}
	}
	return at
}

// The CRAs of an open GOP are no key frames, except where the stream begins
// with one: then the pictures that need what was before are left out.
func TestOpenGOP(t *testing.T) {
	b := hevc(t, "open-gop=1:bframes=3:b-adapt=0")
	packets, _ := readAll(t, b)
	all := media(packets)
	require.Len(t, all, 50)
	kinds := types(all)
	require.Contains(t, kinds, byte(cra))
	require.Contains(t, kinds, byte(8), "RASL pictures")
	require.Equal(t, []int{0}, keys(all))

	first := slices.Index(kinds, byte(cra))
	rasl := 0
	for _, k := range kinds[first+1:] {
		if k != 8 && k != 9 {
			break
		}
		rasl++
	}
	require.Positive(t, rasl)
	for _, before := range []int{0, 3} { // pictures that come without their parameter sets
		joinedAt(t, b, first-before, 50-first-rasl)
	}
}

// joinedAt reads b from a picture on, of which want can be used.
func joinedAt(t *testing.T, b []byte, first, want int) {
	var joined [][]byte
	starts := 0
	for _, p := range split(b) {
		if pidOf(p) == 0x100 && p[1]&0x40 != 0 {
			starts++
		}
		if pidOf(p) != 0x100 || starts > first {
			joined = append(joined, p)
		}
	}
	got, _ := readAll(t, bytes.Join(joined, nil))
	late := media(got)
	require.Len(t, late, want)
	require.Equal(t, []int{0}, keys(late))

	for i := range late {
		late[i].DTS += late[i].Track.Ticks(began)
		late[i].PTS += late[i].Track.Ticks(began)
	}
	path := filepath.Join(t.TempDir(), "joined.ts")
	require.NoError(t, os.WriteFile(path, mux(t, tracksOf(late), late), 0o600))
	assert.Len(t, decoded(t, path), len(late))
}

// CRAs that nothing leads to are key frames, once the first has shown it.
func TestClosedCRA(t *testing.T) {
	packets, _ := readAll(t, hevc(t, "open-gop=1:bframes=0"))
	all := media(packets)
	var at []int
	for i, k := range types(all) {
		if k == cra {
			at = append(at, i)
		}
	}
	require.Greater(t, len(at), 2)
	require.Equal(t, append([]int{0}, at[1:]...), keys(all))
	require.NotEmpty(t, sluicetest.Of(1, all))
}
