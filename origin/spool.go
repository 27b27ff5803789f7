package origin

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-live/sluice"
)

const (
	// maxUnspooled bounds the media of one broadcast that lies in the heap
	// because the disk is slow, full or broken: about 50 s at 2.5 Mbit/s.
	maxUnspooled = 16 << 20
	// spoolQueue is how many writes may wait for the disk: some 30 s of parts of
	// two tracks.
	spoolQueue = 256
)

// spool keeps the segments of one broadcast's live window: one file a segment,
// written by one goroutine, so that a slow disk holds up nobody. A file is
// never written again under the same name, and an open one outlives its
// removal, so that a reader sees the bytes it asked for or none.
//
// It is a [sluice.Segments].
type spool struct {
	dir   string // empty: there is no disk, all stays in the heap
	log   *slog.Logger
	stats *spoolStats
	list  func() []*segment // what there is, in order; safe for concurrent use

	heap   atomic.Int64 // bytes not on disk
	queue  chan func()
	wg     sync.WaitGroup
	warned atomic.Bool
	files  atomic.Uint64 // makes names unique beside a restarted numbering
}

// spoolStats are the counters that all spools of a Server share.
type spoolStats struct {
	bytes, heap, errors atomic.Int64
	idle                atomic.Int64 // open file handles that nobody uses
}

var _ sluice.Segments = (*spool)(nil)

// start begins to write to disk. stop must follow.
func (s *spool) start() {
	queue := make(chan func(), spoolQueue)
	s.queue = queue
	s.wg.Go(func() {
		for f := range queue {
			f()
		}
	})
}

// stop waits until all is written.
func (s *spool) stop() {
	close(s.queue)
	s.wg.Wait()
	s.queue = nil
}

// enqueue reports whether f will run; it never blocks.
func (s *spool) enqueue(f func()) bool {
	select {
	case s.queue <- f:
		return true
	default:
		return false
	}
}

// failed notes that something could not be spooled.
func (s *spool) failed(err error) {
	s.stats.errors.Add(1)
	if !s.warned.Swap(true) {
		s.log.Error("origin: cannot spool segments to disk, serving from memory (is the disk full?)", "err", err)
	}
}

// newBody returns the empty body of a segment.
func (s *spool) newBody(name string) *body {
	return &body{spool: s, failed: s.dir == "", path: filepath.Join(s.dir, fmt.Sprintf("%s-%d", name, s.files.Add(1)))}
}

// List yields the segments that overlap [from, to).
func (s *spool) List(ctx context.Context, from, to time.Time) iter.Seq2[sluice.Segment, error] {
	return func(yield func(sluice.Segment, error) bool) {
		for _, seg := range s.list() {
			if err := ctx.Err(); err != nil {
				yield(sluice.Segment{}, err)
				return
			}
			t := seg.Track
			if !seg.closed || !t.Time(seg.Start).Before(to) || !t.Time(seg.Start+seg.Dur).After(from) {
				continue
			}
			if !yield(seg.Segment, nil) {
				return
			}
		}
	}
}

// Open returns the bytes of a complete segment as a *reader.
func (s *spool) Open(ctx context.Context, want sluice.Segment) (io.ReadSeekCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, seg := range s.list() {
		t, w := seg.Track, want.Track
		if seg.closed && seg.Number == want.Number && t.ID == w.ID && t.Era == w.Era && t.Maker == w.Maker {
			return seg.open()
		}
	}
	return nil, fmt.Errorf("origin: open segment %d of track %d: %w", want.Number, want.Track.ID, fs.ErrNotExist)
}
