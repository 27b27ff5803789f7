package dvr

import (
	"sync"

	"github.com/sluice-live/sluice"
)

// eventKind is what the packager did.
type eventKind uint8

const (
	opened eventKind = iota
	partDone
	closed
	lost    // closed, but parts of it did not fit the queue
	stopped // the recorder was, inside the segment
	dropped // likewise, and there is nothing of it to keep
)

// event is something for the disk.
type event struct {
	kind eventKind
	seg  sluice.Segment
	part Part
	data []byte
}

// queue holds what waits for the disk: bounded in bytes, and in what has none.
type queue struct {
	limit int

	mu     sync.Mutex
	events []event
	bytes  int
	ended  bool
	wake   chan struct{}
}

// maxEvents bounds the events without media: the numbers of some hours.
const maxEvents = 4096

func newQueue(limit int) *queue { return &queue{limit: limit, wake: make(chan struct{}, 1)} }

// push reports whether e found room. What closes a segment always does: there
// are no more of those than were opened.
func (q *queue) push(e event) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch e.kind {
	case opened:
		if len(q.events) >= maxEvents {
			return false
		}
	case partDone:
		if q.bytes > 0 && q.bytes+len(e.data) > q.limit {
			return false
		}
	}
	q.events = append(q.events, e)
	q.bytes += len(e.data)
	q.signal()
	return true
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// end says that nothing more is pushed.
func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.signal()
}

// take waits for events; there are none at the end. done must be called for
// each.
func (q *queue) take(spare []event) []event {
	for {
		q.mu.Lock()
		events, ended := q.events, q.ended
		if len(events) > 0 {
			q.events = spare[:0]
		}
		q.mu.Unlock()
		if len(events) > 0 || ended {
			return events
		}
		<-q.wake
	}
}

// done frees the room of an event.
func (q *queue) done(e *event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= len(e.data)
	*e = event{}
}

func (q *queue) held() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}
