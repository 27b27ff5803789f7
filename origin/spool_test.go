package origin

import (
	"bytes"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/cmaf"
)

// written waits until the spool has written what it was given.
func written(t testing.TB, s *spool) {
	done := make(chan struct{})
	require.True(t, s.enqueue(func() { close(done) }))
	<-done
}

func TestSpoolIsSegments(t *testing.T) {
	srv, _, v, _ := demo(t, 20*time.Second)
	s := srv.find("demo").spool
	var video []sluice.Segment
	for seg, err := range s.List(t.Context(), time.Unix(0, 0), epoch.Add(time.Hour)) {
		require.NoError(t, err)
		if seg.Track == v.track {
			video = append(video, seg)
		}
	}
	require.Len(t, video, 4)
	for i, seg := range video {
		assert.True(t, seg.Independent)
		r, err := s.Open(t.Context(), sluice.Segment{Track: &sluice.Track{ID: 1, Era: 7}, Number: seg.Number})
		require.NoError(t, err)
		data, err := io.ReadAll(r)
		require.NoError(t, err)
		assert.Len(t, data, int(seg.Size))
		n, err := r.Seek(-100, io.SeekEnd)
		require.NoError(t, err)
		assert.Equal(t, seg.Size-100, n)
		tail, err := io.ReadAll(r)
		require.NoError(t, err)
		assert.Equal(t, data[n:], tail)
		require.NoError(t, r.Close())
		if i > 0 {
			assert.Equal(t, video[i-1].Start+video[i-1].Dur, seg.Start)
		}
	}
	middle := v.track.Time(video[1].Start)
	var listed []uint64
	for seg := range s.List(t.Context(), middle, middle.Add(time.Second)) {
		if seg.Track == v.track {
			listed = append(listed, seg.Number)
		}
	}
	assert.Equal(t, []uint64{video[1].Number}, listed)
	_, err := s.Open(t.Context(), sluice.Segment{Track: v.track, Number: 1})
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestMediaLeavesTheHeap(t *testing.T) {
	srv, _, _, _ := demo(t, 20*time.Second)
	s := srv.find("demo").spool
	written(t, s)
	assert.Zero(t, s.heap.Load())
	assert.Positive(t, srv.disk.bytes.Load())
	seg := srv.find("demo").track("1").now.Load().segs[0]
	r, err := seg.open()
	require.NoError(t, err)
	f, off, n := r.Section()
	require.NotNil(t, f, "for sendfile")
	assert.Zero(t, off)
	assert.Equal(t, seg.Size, n)
	require.NoError(t, r.Close())
	require.NoError(t, r.Close())
	assert.Equal(t, int64(1), srv.disk.idle.Load(), "the handle is kept for the next reader")
}

func TestReaderOutlivesItsSegment(t *testing.T) {
	srv, b, _, _ := demo(t, 20*time.Second)
	s := srv.find("demo").spool
	written(t, s)
	seg := srv.find("demo").track("1").now.Load().segs[0]
	r, err := seg.open()
	require.NoError(t, err)
	want, err := os.ReadFile(seg.body.path)
	require.NoError(t, err)
	seg.body.remove()
	seg.body.remove()
	written(t, s)
	assert.NoFileExists(t, seg.body.path)
	_, err = seg.open()
	require.ErrorIs(t, err, fs.ErrNotExist)
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, got))
	require.NoError(t, r.Close())
	require.NoError(t, b.end(nil))
	require.NoError(t, srv.Close())
	assert.Zero(t, srv.disk.bytes.Load())
	assert.Zero(t, srv.disk.idle.Load())
}

// Half of a segment in the file, half in the heap: what a viewer gets who asks
// while it is being written.
func TestReadAcrossDiskAndHeap(t *testing.T) {
	s := &spool{dir: t.TempDir(), log: discard, stats: &spoolStats{}}
	s.start()
	b := s.newBody("x")
	b.append([]byte("0123456789"))
	written(t, s)
	b.mu.Lock()
	b.heap = [][]byte{[]byte("abcde"), []byte("fghij")}
	b.size += 10
	b.mu.Unlock()
	const all = "0123456789abcdefghij"
	for off := range all {
		for end := off; end <= len(all); end++ {
			r, err := b.open(int64(off), int64(end-off))
			require.NoError(t, err)
			var out strings.Builder
			_, err = r.WriteTo(&out)
			require.NoError(t, err)
			assert.Equal(t, all[off:end], out.String())
			_, err = r.Seek(0, io.SeekStart)
			require.NoError(t, err)
			again, err := io.ReadAll(r)
			require.NoError(t, err)
			assert.Equal(t, all[off:end], string(again))
			require.NoError(t, r.Close())
		}
	}
	_, err := b.open(15, 6)
	require.ErrorIs(t, err, fs.ErrNotExist)
	b.remove()
	s.stop()
}

func TestStreamSurvivesABrokenDisk(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for name, breaks := range map[string]func(srv *Server){
		"no directory": func(srv *Server) { srv.Spool = file },
		"goes away": func(srv *Server) {
			srv.Spool = t.TempDir() // emptied below
		},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			srv := &Server{Log: slog.New(slog.NewTextHandler(&log, nil))}
			breaks(srv)
			v := newFeed(videoTrack(t, 7), epoch, 60)
			v.size = 10_000
			b := start(t, srv, "demo", v.track)
			b.send(v.announce())
			b.settle()
			s := srv.find("demo").spool
			if s.dir != "" {
				require.NoError(t, os.RemoveAll(s.dir))
			}
			b.send(interleave(10*time.Second, v)...)
			b.settle()
			written(t, s)
			seg := uris(segmentLine, get(srv, "/live/demo/1/index.m3u8").Body.String())[0]
			assert.Equal(t, 200, get(srv, "/live/demo/1/"+seg).Code)
			assert.Positive(t, srv.disk.heap.Load())

			b.send(interleave(70*time.Second, v)...) // 21 MB
			b.settle()
			assert.LessOrEqual(t, srv.disk.heap.Load(), int64(maxUnspooled))
			playlist := get(srv, "/live/demo/1/index.m3u8").Body.String()
			all := uris(segmentLine, playlist)
			assert.Equal(t, 404, get(srv, "/live/demo/1/"+all[0]).Code)
			assert.Equal(t, 200, get(srv, "/live/demo/1/"+all[len(all)-1]).Code)
			require.NoError(t, srv.Close())
			assert.Zero(t, srv.disk.heap.Load())
			assert.Positive(t, srv.disk.errors.Load())
			assert.Equal(t, 1, strings.Count(log.String(), "cannot spool"), log.String())
		})
	}
}

func TestPartsOutOfOrderAreIgnored(t *testing.T) {
	srv, _, v, _ := demo(t, 10*time.Second)
	tr := srv.find("demo").track("1")
	before := len(tr.open.parts)
	tr.ClosePart(cmaf.Part{Track: v.track, Segment: tr.open.Number, Index: before + 1, Data: []byte("x")})
	tr.ClosePart(cmaf.Part{Track: v.track, Segment: tr.open.Number + 1, Index: before, Data: []byte("x")})
	tr.CloseSegment(sluice.Segment{Track: v.track, Number: tr.open.Number + 1})
	assert.Len(t, tr.open.parts, before)
}

// A segment that is forgotten while its first write is under way, behind a
// queue that is full, must leave neither a file nor a handle.
func TestBodyRemovedDuringItsFirstWriteLeavesNothing(t *testing.T) {
	s := &spool{dir: t.TempDir(), log: discard, stats: &spoolStats{}}
	s.queue = make(chan func()) // takes nothing: later and remove run at once
	b := s.newBody("1-0.0-1")
	b.append([]byte("part"))
	b.failed = false                                                          // the queue that took the write has filled up since
	out, err := os.OpenFile(b.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // write begins
	require.NoError(t, err)
	require.NoError(t, os.Rename(b.path, b.path+"~")) // as if remove came before the file
	b.remove()
	require.NoError(t, os.Rename(b.path+"~", b.path))
	b.wrote(out, 1, 4) // and ends
	files, err := os.ReadDir(s.dir)
	require.NoError(t, err)
	assert.Empty(t, files)
	_, err = out.Write([]byte("x"))
	require.ErrorIs(t, err, os.ErrClosed)
	assert.Zero(t, s.heap.Load())
}
