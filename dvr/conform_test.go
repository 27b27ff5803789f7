package dvr

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

func TestMain(m *testing.M) {
	if helper() {
		return
	}
	goleak.VerifyTestMain(m)
}

// newArchive opens an archive in a directory of the test's.
func newArchive(t testing.TB) *Archive {
	a := &Archive{Dir: t.TempDir(), Create: true, NoSync: true}
	require.NoError(t, a.Open())
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	return a
}

// consume lets a stream consume packets.
func consume(t testing.TB, s *Stream, packets []sluice.Packet) {
	t.Helper()
	require.NoError(t, s.Consume(t.Context(), &sluicetest.Slice{Packets: packets}))
}

func TestStreamConformsAsRecorder(t *testing.T) {
	sluicetest.Recorder(t, func(t testing.TB) sluice.Recorder { return newArchive(t).Stream("demo") })
}

func TestStreamConformsAsSegments(t *testing.T) {
	sluicetest.Segments(t, func(t testing.TB) sluice.Segments {
		a := newArchive(t)
		consume(t, a.Stream("demo"), sluicetest.Packets(5))
		return a.Segments("demo")
	})
}

// Read anew from disk, without what the recorder had in memory.
func TestStreamConformsAsSegmentsFromDisk(t *testing.T) {
	sluicetest.Segments(t, func(t testing.TB) sluice.Segments {
		a := newArchive(t)
		consume(t, a.Stream("demo"), sluicetest.Packets(5))
		return reopened(t, a).Segments("demo")
	})
}

// reopened is another process's view of an archive.
func reopened(t testing.TB, a *Archive) *Archive {
	b := &Archive{Dir: a.Dir, Log: a.Log}
	require.NoError(t, b.Open())
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}
