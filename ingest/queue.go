package ingest

import (
	"context"
	"time"

	"github.com/sluice-live/sluice"
)

const (
	queueBytes   = 16 << 20 // stamped packets that wait for the reader
	queuePackets = 4096
)

// queue holds stamped packets for a broadcast's reader.
type queue struct {
	packets []sluice.Packet
	head    int // the first that the reader has not taken
	bytes   int
	space   chan struct{} // closed when the reader took something; nil while no writer waits
}

func (q *queue) len() int { return len(q.packets) - q.head }

func (q *queue) full() bool { return q.len() > queuePackets || q.bytes > queueBytes }

func (q *queue) push(packets []sluice.Packet) {
	for _, p := range packets {
		q.bytes += len(p.Data)
	}
	if q.head > 0 && len(q.packets)+len(packets) > cap(q.packets) { // reuse what was taken
		n := copy(q.packets, q.packets[q.head:])
		clear(q.packets[n:])
		q.packets, q.head = q.packets[:n], 0
	}
	q.packets = append(q.packets, packets...)
}

func (q *queue) pop() (sluice.Packet, bool) {
	if q.len() == 0 {
		q.packets, q.head = q.packets[:0], 0
		return sluice.Packet{}, false
	}
	p := q.packets[q.head]
	q.packets[q.head] = sluice.Packet{}
	q.head++
	q.bytes -= len(p.Data)
	if q.space != nil && q.len() < queuePackets/2 && q.bytes < queueBytes/2 {
		close(q.space)
		q.space = nil
	}
	return p, true
}

// collect moves what the timeline made into the queue, after its position is
// saved: numbers that somebody has seen are never given again.
func (b *Broadcast) collect() {
	t := b.timeline
	if t.dirty {
		t.dirty = false
		if err := b.conf.save(t.position()); err != nil {
			b.conf.log.Error("position not saved: after a restart, segment numbers may go back", "stream", b.Name, "error", err)
		}
	}
	if len(t.out) == 0 {
		return
	}
	b.queue.push(t.out)
	clear(t.out)
	t.out = t.out[:0]
	b.wakeReader()
}

func (b *Broadcast) wakeReader() {
	select {
	case b.news <- struct{}{}:
	default:
	}
}

func (b *Broadcast) waitSpace(ctx context.Context) error {
	b.mu.Lock()
	if b.queue.space == nil {
		b.queue.space = make(chan struct{})
	}
	space := b.queue.space
	b.mu.Unlock()
	select {
	case <-space:
		return nil
	case <-b.closed:
		return errEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
