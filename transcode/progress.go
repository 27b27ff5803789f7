package transcode

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sluice-live/sluice"
)

// progress compares what a worker is given with what it makes. Times are in
// nanoseconds; 0 is none.
type progress struct {
	lanes  [2]lane // of pictures and of sound
	beat   atomic.Int64
	heard  atomic.Bool
	moves  atomic.Int64 // since when pictures wait and nothing else changes
	ending atomic.Int64 // since when the worker has all
}

// lane is the progress of one kind of track.
type lane struct {
	waits atomic.Int64 // since when media is in the worker of which nothing came
	made  atomic.Bool  // something was, in this era
	era   atomic.Uint32
}

func (p *progress) lane(k sluice.Kind) *lane {
	if k == sluice.Audio {
		return &p.lanes[1]
	}
	return &p.lanes[0]
}

// begin says that a worker is started.
func (p *progress) begin() {
	for i := range p.lanes {
		p.lanes[i].waits.Store(0)
	}
	p.ending.Store(0)
	p.alive()
	p.heard.Store(false)
	p.moves.Store(0)
}

// in says that the worker is given media. Of another era it may have no use for
// it.
func (p *progress) in(t *sluice.Track) {
	l := p.lane(t.Kind)
	if l.era.Swap(t.Era) != t.Era {
		l.made.Store(false)
	}
	l.waits.CompareAndSwap(0, time.Now().UnixNano())
}

func (p *progress) out(k sluice.Kind) {
	l := p.lane(k)
	l.made.Store(true)
	l.waits.Store(0)
	if p.ending.Load() != 0 {
		p.ending.Store(time.Now().UnixNano())
	}
}

// close says that the worker has all there is.
func (p *progress) close() { p.ending.CompareAndSwap(0, time.Now().UnixNano()) }

// alive says that the worker was heard.
func (p *progress) alive() {
	p.beat.Store(time.Now().UnixNano())
	p.heard.Store(true)
}

// figures takes a worker's: waiting says that pictures wait, moved that others
// changed.
func (p *progress) figures(waiting, moved bool) {
	p.alive()
	if !waiting || moved {
		p.moves.Store(0)
	} else {
		p.moves.CompareAndSwap(0, time.Now().UnixNano())
	}
}

// excuse says why nothing came: what the worker had was damaged or too late.
func (p *progress) excuse() {
	for i := range p.lanes {
		p.lanes[i].waits.Store(0)
	}
}

// watch ends a worker that makes nothing of what it has for longer than limit.
func (p *progress) watch(ctx context.Context, limit time.Duration, atEnd bool, end context.CancelCauseFunc) {
	tick := time.NewTicker(limit / 8)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if err := p.stalled(now.UnixNano(), limit, atEnd); err != nil {
				end(err)
				return
			}
		}
	}
}

func (p *progress) stalled(now int64, limit time.Duration, atEnd bool) error {
	late := func(since int64) bool { return since != 0 && now-since > int64(limit) }
	if late(p.ending.Load()) {
		return fmt.Errorf("it hangs: it does not finish, and made nothing for %v", limit)
	}
	if atEnd {
		return nil
	}
	for i, what := range []string{"pictures", "sound"} {
		if l := &p.lanes[i]; l.made.Load() && late(l.waits.Load()) {
			return fmt.Errorf("it hangs: it was given %s and made none for %v", what, limit)
		}
	}
	if late(p.moves.Load()) {
		return fmt.Errorf("it hangs: pictures wait, and it did nothing for %v", limit)
	}
	if late(p.beat.Load()) {
		return fmt.Errorf("it hangs: it was not heard for %v", limit)
	}
	return nil
}
