package transcode

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
)

// item is a packet on its way to a decoder.
type item struct {
	sluice.Packet
	arrived time.Time
	due     time.Time // when it would have been here, had the source come at its own pace
	silence bool      // no sound came beside this packet of video
	lost    bool      // its data was thrown away
}

// lag is how late the ladder is with it. A source that runs ahead of its clock
// is not kept waiting by us, and neither is one that was late itself.
func (i item) lag(now time.Time) time.Duration {
	return min(now.Sub(i.arrived), now.Sub(i.due))
}

const (
	queueSpan  = time.Second // of media that a source ahead of its clock may put in
	queueBytes = 64 << 20
)

// queue holds packets before a decoder. Only media that a reader faster than
// real time brings has to wait for room.
type queue struct {
	mu     sync.Mutex
	items  []item
	bytes  int
	closed bool
	news   chan struct{}
	room   chan struct{}

	wall, media time.Time // of one packet, by which the others are due
	era         uint32
}

func newQueue() *queue {
	return &queue{news: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// push puts a packet in. With patient it waits for room however late it gets.
func (q *queue) push(ctx context.Context, it item, patient bool) error {
	media := it.Track.Time(it.DTS)
	it.arrived = time.Now()
	if q.wall.IsZero() || it.Track.Era != q.era {
		q.wall, q.media, q.era = it.arrived, media, it.Track.Era
	}
	it.due = q.wall.Add(media.Sub(q.media))
	// A source that comes late, and then at once, after a link was cut or behind
	// a worker that failed, is due at its pace from then on; what waits for
	// nothing is on time.
	if it.arrived.After(it.due) || q.empty() {
		q.wall = q.wall.Add(it.arrived.Sub(it.due))
		it.due = it.arrived
	}
	for q.full(media) && (patient || time.Now().Before(it.due)) {
		if err := q.wait(ctx, it.due, patient); err != nil {
			return err
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes+len(it.Data) > queueBytes {
		it.lost, it.Data = it.Data != nil, nil
	}
	q.bytes += len(it.Data)
	q.items = append(q.items, it)
	poke(q.news)
	return nil
}

func (q *queue) wait(ctx context.Context, until time.Time, patient bool) error {
	var late <-chan time.Time
	if !patient {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		late = t.C
	}
	select {
	case <-q.room:
	case <-late:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// full reports whether the queue spans as much as it may before media's time.
func (q *queue) full(media time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items) > 0 && (q.bytes > queueBytes/2 || media.Sub(q.items[0].Track.Time(q.items[0].DTS)) > queueSpan)
}

// pop returns the oldest packet; ok is false at the end.
func (q *queue) pop(ctx context.Context) (it item, ok bool, err error) {
	for {
		q.mu.Lock()
		if len(q.items) > 0 {
			it = q.items[0]
			q.items[0] = item{}
			q.items = q.items[1:]
			q.bytes -= len(it.Data)
			q.mu.Unlock()
			poke(q.room)
			return it, true, nil
		}
		closed := q.closed
		q.mu.Unlock()
		if closed {
			return item{}, false, nil
		}
		select {
		case <-q.news:
		case <-ctx.Done():
			return item{}, false, ctx.Err()
		}
	}
}

// each hands every item to take, until the queue is closed and empty.
func (q *queue) each(ctx context.Context, take func(context.Context, item) error) error {
	for {
		it, ok, err := q.pop(ctx)
		if err != nil || !ok {
			return err
		}
		if err := take(ctx, it); err != nil {
			return err
		}
	}
}

// close lets pop end behind what is in the queue.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	poke(q.news)
}

func (q *queue) empty() bool {
	n, _ := q.length()
	return n == 0
}

func (q *queue) length() (packets, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items), q.bytes
}
