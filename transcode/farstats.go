package transcode

import (
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
)

// farCounters are what is known of workers that run elsewhere.
type farCounters struct {
	restarts, missed atomic.Uint64

	mu    sync.Mutex
	total Stats // of the workers that ended
	now   Stats // of the one that runs
}

// worker takes the running worker's figures and reports whether something was
// done since the last, and whether they excuse that nothing comes out.
func (c *farCounters) worker(s Stats) (moved, excuse bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, after := c.now, s
	for _, st := range []*Stats{&before, &after} { // what changes as media comes in
		st.Speed, st.QueuedPackets, st.QueuedBytes = 0, 0, 0
	}
	moved = !reflect.DeepEqual(before, after)
	spoilt := func(s Stats) (n uint64) {
		for _, r := range s.Renditions {
			n += r.Dropped
		}
		return n + s.Damaged + s.Lost
	}
	excuse = spoilt(s) != spoilt(c.now)
	c.now = s
	return moved, excuse
}

// ended adds what the worker that ended had counted.
func (c *farCounters) ended() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total = sum(c.total, c.now)
	c.now = Stats{}
}

// sum adds counters up; gauges are those of b.
func sum(a, b Stats) Stats {
	b.Damaged += a.Damaged
	b.Lost += a.Lost
	b.Renditions = slices.Clone(b.Renditions)
	for i, r := range a.Renditions {
		if i >= len(b.Renditions) {
			r.Delay = 0
			b.Renditions = append(b.Renditions, r)
			continue
		}
		s := &b.Renditions[i]
		s.Frames += r.Frames
		s.Bytes += r.Bytes
		s.Dropped += r.Dropped
		s.Encode += r.Encode
		if s.Encoder == "" {
			s.Encoder = r.Encoder
		}
	}
	return b
}

func (d *detached) snapshot() Stats {
	c := &d.stats
	c.mu.Lock()
	s := sum(c.total, c.now)
	c.mu.Unlock()
	s.Name, s.Restarts, s.Missed = d.ladder.Name, c.restarts.Load(), c.missed.Load()
	return s
}
