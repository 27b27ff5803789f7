package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

const (
	takeOver    = 5 * time.Second  // a publisher silent for as long loses its place to another
	defaultIdle = 30 * time.Second // and is ended anyway after this
)

var (
	errEnded     = errors.New("ingest: the broadcast has ended")
	errTakenOver = errors.New("ingest: another publisher took the stream over")
	errIdle      = errors.New("ingest: no media came (does the encoder run?)")
)

// connection is what a broadcast knows of a publisher.
type connection struct {
	src    sluice.Source // nil until it feeds
	ctx    context.Context
	cancel context.CancelCauseFunc
	input  *input
	last   time.Time // when its newest media came; before that, when it attached
	held   bool      // it waits for us: the reader is slow, or it is ahead of time
	gone   bool      // from the broadcast

	// While it waits for its turn.
	takesOver bool // it goes out from its first key frame on
	rested    bool // it went out before, and stalled
	group     group
	known     map[uint32]*sluice.Track // whose codecs we can take
	began     time.Time                // when the first of its media came
	asked     time.Time                // for a key frame

	packets, bytes uint64 // read so far
}

// silent returns for how long nothing has come.
func (c *connection) silent(now time.Time) time.Duration {
	if c.held {
		return 0
	}
	return now.Sub(c.last)
}

// attach adds a connection to the broadcast, which then feeds it. What becomes
// of it where there is one already, second says.
func (b *Broadcast) attach(ctx context.Context, in *input, second Second) (*connection, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended.Load() {
		return nil, errEnded
	}
	now := time.Now()
	if err := b.makeRoom(second, now); err != nil {
		return nil, fmt.Errorf("ingest: publish %q: %w", b.Name, err)
	}
	c := &connection{input: in, last: now, takesOver: second == Takeover}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	if len(b.connections()) == 0 && b.slate == nil {
		b.active = c
	} else {
		b.waiting = append(b.waiting, c)
	}
	b.stats.Connections++
	return c, nil
}

// connections returns all there are, the active one first.
func (b *Broadcast) connections() []*connection {
	if b.active == nil {
		return slices.Clone(b.waiting)
	}
	return append([]*connection{b.active}, b.waiting...)
}

// makeRoom ends the connections that a new one replaces.
func (b *Broadcast) makeRoom(second Second, now time.Time) error {
	most := 1
	switch second {
	case Takeover: // the active one goes on until the new one has a key frame
		for _, c := range slices.Clone(b.waiting) {
			b.drop(c, errTakenOver)
		}
		return nil
	case Standby:
		most += maxSpares
	}
	all := b.connections()
	if len(all) < most {
		return nil
	}
	quiet := slices.MaxFunc(all, func(x, y *connection) int { return cmp.Compare(x.silent(now), y.silent(now)) })
	if quiet.silent(now) < takeOver {
		return ErrBusy
	}
	b.drop(quiet, fmt.Errorf("%w, as this one had been silent", errTakenOver))
	return nil
}

// dropIdle ends connections that bring nothing for too long, though they may
// say that they are there.
func (b *Broadcast) dropIdle(now time.Time) {
	for _, c := range b.connections() {
		if c.silent(now) >= b.conf.idle {
			b.drop(c, fmt.Errorf("%w for %v", errIdle, b.conf.idle))
		}
	}
}

// drop takes a connection out of the broadcast and tells it why.
func (b *Broadcast) drop(c *connection, reason error) {
	if c.gone {
		return
	}
	c.gone = true
	if b.active == c {
		b.release()
	} else {
		b.waiting = slices.DeleteFunc(b.waiting, func(w *connection) bool { return w == c })
	}
	c.group = group{}
	c.cancel(reason)
	if len(b.connections()) == 0 {
		b.left = time.Now()
	}
}

// release stops the active connection's media: what is held back of it goes out.
func (b *Broadcast) release() {
	b.timeline.flush(b.active.input)
	b.collect()
	b.active = nil
	b.timer.Reset(b.nextLook(time.Now()))
}

// feed reads an attached connection's source until it ends, and detaches it.
// The error is the source's, nil at its end; ours says why we end it.
func (b *Broadcast) feed(c *connection, src sluice.Source) (ours, err error) {
	defer b.detach(c)
	b.mu.Lock()
	c.src = src
	b.mu.Unlock()
	for {
		p, err := src.ReadPacket(c.ctx)
		cause := context.Cause(c.ctx)
		switch {
		case cause != nil:
			return cause, nil
		case errors.Is(err, ErrLimit):
			return err, nil
		case err == io.EOF:
			return nil, nil
		case err != nil:
			return nil, err
		}
		c.packets++
		c.bytes += uint64(len(p.Data))
		if err := b.write(c, p); err != nil {
			return cmp.Or(context.Cause(c.ctx), err), nil
		}
	}
}

func (b *Broadcast) detach(c *connection) {
	b.mu.Lock()
	b.drop(c, nil)
	c.cancel(nil)
	var ask keyRequest
	if !b.ended.Load() {
		ask = b.choose(time.Now())
	}
	b.wakeReader()
	b.mu.Unlock()
	ask.send()
}

// write takes a packet that came on a connection: the active one's is stamped
// and queued, one that waits for its turn keeps its newest group of pictures.
// It waits while the queue is full or the input too far ahead of UTC.
func (b *Broadcast) write(c *connection, p sluice.Packet) error {
	now := time.Now()
	b.mu.Lock()
	if c.gone {
		b.mu.Unlock()
		return errEnded
	}
	if p.Data != nil {
		c.last = now
	}
	b.stats.Packets++
	b.stats.Bytes += uint64(len(p.Data))
	if b.active != c {
		err := b.keep(c, p, now)
		ask := b.choose(now)
		b.mu.Unlock()
		ask.send()
		return err
	}
	b.heard = c.last
	b.stats.LiveBytes += uint64(len(p.Data))
	err := b.timeline.push(c.input, p, now)
	b.collect()
	ahead := b.timeline.ahead(now)
	full := b.queue.full()
	c.held = full || ahead > readAhead
	var ask keyRequest
	if b.timeline.keyDue(p.Track) {
		ask = keyRequest{c.src, p.Track.ID}
	}
	b.mu.Unlock()
	ask.send()
	if err != nil || !c.held {
		return err
	}
	return b.holdBack(c, full, ahead-readAhead)
}

// holdBack makes a connection wait, whose silence meanwhile is ours.
func (b *Broadcast) holdBack(c *connection, full bool, early time.Duration) (err error) {
	if full {
		err = b.waitSpace(c.ctx)
	}
	if err == nil && early > 0 {
		err = sleep(c.ctx, early)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c.held, c.last = false, time.Now()
	if b.active == c {
		b.heard, c.input.lastArrival = c.last, c.last
	}
	return err
}

// keep takes a packet of a connection that waits for its turn. What we could
// not use ends it now: nobody else would be left then.
func (b *Broadcast) keep(c *connection, p sluice.Packet, now time.Time) error {
	if c.known[p.Track.ID] != p.Track {
		if _, err := codec.Native(p.Track); err != nil {
			return fmt.Errorf("ingest: track %d: %w", p.Track.ID, err)
		}
		c.knows(p.Track)
	}
	if p.Data == nil {
		return nil
	}
	if c.began.IsZero() {
		c.began = now
	}
	c.group.add(p, now, c.leader(now))
	return nil
}
