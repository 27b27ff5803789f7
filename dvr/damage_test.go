package dvr

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/cmaf"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

// thorough is for the slow matrix.
func thorough() bool { return os.Getenv("SLUICE_INTEROP") == "1" }

// blobsOf returns the paths of all blobs of a stream.
func blobsOf(t testing.TB, s *Stream) (paths []string) {
	require.NoError(t, filepath.WalkDir(s.dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, blobExt) {
			paths = append(paths, path)
		}
		return err
	}))
	return paths
}

// small is three segments of sound: a blob of some kilobytes.
func small() []sluice.Packet {
	t := sluicetest.Audio(1)
	return sluicetest.Packets(3, t)
}

// subset holds what is archived to what was: nothing else, nothing changed, and
// no more than the segments from some on missing, of which the first may be cut.
func subset(t testing.TB, want *live, s *Stream, msg ...any) (whole int) {
	t.Helper()
	got := archived(t, s)
	for name, b := range got {
		full, ok := want.files[name]
		require.True(t, ok, msg...)
		require.True(t, strings.HasPrefix(full, b), msg...)
		if b == full {
			whole++
		}
	}
	require.LessOrEqual(t, len(got)-whole, 1, msg...)
	return whole
}

// A blob that ends anywhere, with and without its index, loses what is behind
// the end, and of that the parts alone that are not whole.
func TestBlobCutOffAnywhere(t *testing.T) {
	packets := small()
	want := packaged(t, packets)
	a := newArchive(t)
	consume(t, a.Stream("demo"), packets)
	blob := blobsOf(t, a.Stream("demo"))[0]
	index := strings.TrimSuffix(blob, blobExt) + indexExt
	media, err := os.ReadFile(blob)
	require.NoError(t, err)
	idx, err := os.ReadFile(index)
	require.NoError(t, err)
	b := reopened(t, a)
	entries := indexOf(t, b, blob).entries
	step := 61
	if thorough() {
		step = 1
	}
	for n := 0; n <= len(media); n += step {
		ends := 0 // what must be there
		for _, e := range entries {
			if int64(n) >= e.end() {
				ends++
			}
		}
		for _, keep := range []bool{false, true} {
			require.NoError(t, os.WriteFile(blob, media[:n], 0o600))
			os.Remove(index)
			if keep {
				require.NoError(t, os.WriteFile(index, idx, 0o600))
			}
			b.state.indexes.forget(blob)
			whole := subset(t, want, b.Stream("demo"), "cut at %d of %d, index %t", n, len(media), keep)
			require.GreaterOrEqual(t, whole, ends, "cut at %d of %d, index %t", n, len(media), keep)
			// Again, from the index that was made.
			b.state.indexes.forget(blob)
			require.Equal(t, whole, subset(t, want, b.Stream("demo"), "again"))
		}
	}
}

func indexOf(t testing.TB, a *Archive, path string) *blob {
	s := a.Stream("demo")
	ids, err := s.trackIDs()
	require.NoError(t, err)
	for _, id := range ids {
		names, err := level{path: s.trackDir(id)}.newest()
		require.NoError(t, err)
		for _, n := range names {
			if n.path() == path {
				b, err := s.load(a.state, n)
				require.NoError(t, err)
				return b
			}
		}
	}
	t.Fatalf("no blob %s", path)
	return nil
}

// An index may end anywhere, be missing, or be another blob's.
func TestIndexLostTornOrForeign(t *testing.T) {
	packets := rich()
	want := packaged(t, packets)
	a := newArchive(t)
	consume(t, a.Stream("demo"), packets)
	blobs := blobsOf(t, a.Stream("demo"))
	blob := blobs[0]
	index := func(blob string) string { return strings.TrimSuffix(blob, blobExt) + indexExt }
	idx, err := os.ReadFile(index(blob))
	require.NoError(t, err)
	foreign, err := os.ReadFile(index(blobs[len(blobs)-1]))
	require.NoError(t, err)
	require.NotEqual(t, blob, blobs[len(blobs)-1])

	bad := [][]byte{nil, foreign, []byte("nonsense"), append(idx[:len(idx):len(idx)], "behind"...)}
	for n := 0; n < len(idx); n += 61 {
		bad = append(bad, idx[:n])
	}
	for range 24 { // bits flipped
		b := append([]byte(nil), idx...)
		b[rand.IntN(len(b))] ^= 1 << rand.IntN(8)
		bad = append(bad, b)
	}
	b := reopened(t, a)
	for i, raw := range bad {
		require.NoError(t, os.WriteFile(index(blob), raw, 0o600))
		if i == 0 {
			require.NoError(t, os.Remove(index(blob)))
		}
		b.state.indexes.forget(blob)
		require.Equal(t, want.segs, listed(t, b.Stream("demo"), never, always), "index %d", i)
		require.Equal(t, want.files, archived(t, b.Stream("demo")), "index %d", i)
	}
}

// A flipped bit loses the segment it is in, which is reported, and no other.
func TestBitFlipLosesOneSegment(t *testing.T) {
	packets := small()
	want := packaged(t, packets)
	a := newArchive(t)
	consume(t, a.Stream("demo"), packets)
	blob := blobsOf(t, a.Stream("demo"))[0]
	index := strings.TrimSuffix(blob, blobExt) + indexExt
	media, err := os.ReadFile(blob)
	require.NoError(t, err)
	idx, err := os.ReadFile(index)
	require.NoError(t, err)
	b := reopened(t, a)
	step := 211
	if thorough() {
		step = 1
	}
	for at := 0; at < len(media); at += step {
		damaged := append([]byte(nil), media...)
		damaged[at] ^= 1 << (at % 8)
		require.NoError(t, os.WriteFile(blob, damaged, 0o600))
		for _, keep := range []bool{true, false} {
			os.Remove(index)
			if keep {
				require.NoError(t, os.WriteFile(index, idx, 0o600))
			}
			b.state.indexes.forget(blob)
			s := b.Stream("demo")
			sound := 0
			for _, seg := range listed(t, s, never, always) {
				if seg.Gap {
					continue
				}
				r, err := s.Open(t.Context(), seg)
				if err != nil {
					require.ErrorIs(t, err, ErrDamaged)
					require.ErrorIs(t, err, fs.ErrNotExist)
					require.NotZero(t, b.Stats().Damaged)
					continue
				}
				r.Close()
				require.Equal(t, want.files[cmaf.SegmentName(seg).String()], string(body(t, s, seg)), "bit at %d", at)
				sound++
			}
			require.GreaterOrEqual(t, sound, len(want.files)-1, "bit at %d, index %t", at, keep)
			for _, p := range played(t, s, never, always) {
				require.NotNil(t, p.Track)
			}
		}
	}
}

// What cannot be a stream's name, or a name at all, leads nowhere.
func TestNames(t *testing.T) {
	for _, name := range []string{"demo", "a b", "..", ".", "/etc", "Übung", "A", "%41", strings.Repeat("x", 255)} {
		folder, err := streamFolder(name)
		require.NoError(t, err)
		require.Equal(t, filepath.Base(folder), folder)
		require.NotContains(t, folder, ".")
		back, ok := streamName(folder)
		require.True(t, ok)
		require.Equal(t, name, back)
	}
	a := newArchive(t)
	for _, name := range []string{"", strings.Repeat("x", 256)} {
		require.Error(t, a.Stream(name).Consume(t.Context(), &sluicetest.Slice{}))
		_, err := a.Stream(name).Replay(t.Context(), never, always)
		require.Error(t, err)
	}
}
