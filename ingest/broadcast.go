package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-live/sluice"
)

const (
	queueBytes   = 16 << 20 // stamped packets that wait for the reader
	queuePackets = 4096
	readAhead    = 10 * time.Second // input further ahead of UTC is read at UTC's pace
	tick         = time.Second      // between looks for silence
	takeOver     = 5 * time.Second  // a publisher silent for as long loses its stream to another
)

// Broadcast is one broadcast of a stream: the packets of one connection after
// another, on one timeline. It is a Source; its packets are stamped with UTC
// times, segments and eras. It outlives its connections by the grace time and
// then ends with io.EOF.
type Broadcast struct {
	// Name is the stream's name.
	Name string
	// Started is when its first connection came.
	Started time.Time

	grace time.Duration
	save  func(Position) error
	log   *slog.Logger

	mu        sync.Mutex
	timeline  *timeline
	queue     []sluice.Packet
	head      int // the first in queue that the reader has not taken
	bytes     int
	news      chan struct{} // for the reader; one token
	space     chan struct{} // closed when the reader took something; nil while no writer waits
	tracks    []*sluice.Track
	input     *connection // nil while there is none
	lastInput time.Time   // when the last packet came
	ended     bool
	closed    chan struct{}
	stats     BroadcastStats

	timer      *time.Timer            // of the reader
	passphrase atomic.Pointer[string] // of the Grant; nil before there is one
}

// BroadcastStats describe a broadcast.
type BroadcastStats struct {
	Packets, Bytes uint64
	Connections    uint64 // so far
	Live           bool   // a connection is attached
	Era            uint32
	Repairs        Repairs
}

// connection is what a broadcast knows of the publisher it reads from.
type connection struct {
	src    sluice.Source // nil until it feeds
	ctx    context.Context
	cancel context.CancelCauseFunc
	input  *input

	packets, bytes uint64 // read so far
}

func newBroadcast(name string, segment, grace time.Duration, at Position, save func(Position) error, log *slog.Logger) *Broadcast {
	return &Broadcast{
		Name:     name,
		Started:  time.Now(),
		grace:    grace,
		save:     save,
		log:      log,
		timeline: newTimeline(segment, at),
		news:     make(chan struct{}, 1),
		closed:   make(chan struct{}),
		timer:    time.NewTimer(tick),
	}
}

var (
	errEnded     = errors.New("ingest: the broadcast has ended")
	errTakenOver = errors.New("ingest: another publisher took the stream over, as this one had been silent")
)

// attach gives the broadcast to a connection, which then feeds it. Another gets
// ErrBusy, unless the present one has fallen silent: then it takes over.
func (b *Broadcast) attach(ctx context.Context, in *input) (*connection, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return nil, errEnded
	}
	if b.input != nil && time.Since(b.lastInput) < takeOver {
		return nil, fmt.Errorf("ingest: publish %q: %w", b.Name, ErrBusy)
	}
	if old := b.input; old != nil {
		b.timeline.flush(old.input)
		old.cancel(errTakenOver)
	}
	c := &connection{input: in}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	b.input, b.lastInput = c, time.Now()
	b.stats.Connections++
	return c, nil
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
	c.cancel(nil)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.input != c {
		return // taken over
	}
	b.timeline.flush(c.input)
	b.collect()
	b.input, b.lastInput = nil, time.Now()
	b.wakeReader()
}

// write stamps a packet and queues what comes of it. It waits while the queue
// is full or the input too far ahead of UTC.
func (b *Broadcast) write(c *connection, p sluice.Packet) error {
	now := time.Now()
	b.mu.Lock()
	if b.input != c || b.ended {
		b.mu.Unlock()
		return errEnded
	}
	b.lastInput = now
	b.stats.Packets++
	b.stats.Bytes += uint64(len(p.Data))
	err := b.timeline.push(c.input, p, now)
	b.collect()
	ahead := b.timeline.ahead(now)
	full := len(b.queue)-b.head > queuePackets || b.bytes > queueBytes
	keyDue := b.timeline.keyDue(p.Track)
	b.mu.Unlock()
	if keyDue {
		sluice.RequestKey(c.src, p.Track.ID)
	}
	if err == nil && full {
		err = b.waitSpace(c.ctx)
	}
	if err == nil && ahead > readAhead {
		err = sleep(c.ctx, ahead-readAhead)
	}
	return err
}

// collect moves what the timeline made into the queue, after its position is
// saved: numbers that somebody has seen are never given again.
func (b *Broadcast) collect() {
	t := b.timeline
	if t.dirty {
		t.dirty = false
		if err := b.save(t.position()); err != nil {
			b.log.Error("position not saved: after a restart, segment numbers may go back", "stream", b.Name, "error", err)
		}
	}
	if len(t.out) == 0 {
		return
	}
	for _, p := range t.out {
		b.bytes += len(p.Data)
	}
	if b.head > 0 && len(b.queue)+len(t.out) > cap(b.queue) { // reuse what was taken
		n := copy(b.queue, b.queue[b.head:])
		clear(b.queue[n:])
		b.queue, b.head = b.queue[:n], 0
	}
	b.queue = append(b.queue, t.out...)
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
	if b.space == nil {
		b.space = make(chan struct{})
	}
	space := b.space
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

// ReadPacket implements sluice.Source. While nothing comes it says so with
// watermarks; once the grace time has passed without a connection, io.EOF.
func (b *Broadcast) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	for {
		p, ok, err := b.next()
		if ok || err != nil {
			return p, err
		}
		select {
		case <-b.news:
		case <-b.timer.C: // also while packets come: one track of several may be silent
			b.timer.Reset(tick)
			b.look(time.Now())
		case <-b.closed:
			return sluice.Packet{}, io.ErrClosedPipe
		case <-ctx.Done():
			return sluice.Packet{}, ctx.Err()
		}
	}
}

// next takes a packet from the queue.
func (b *Broadcast) next() (sluice.Packet, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.closed:
		return sluice.Packet{}, false, io.ErrClosedPipe
	default:
	}
	if b.head == len(b.queue) {
		b.queue, b.head = b.queue[:0], 0
		if b.ended {
			return sluice.Packet{}, false, io.EOF
		}
		return sluice.Packet{}, false, nil
	}
	p := b.queue[b.head]
	b.queue[b.head] = sluice.Packet{}
	b.head++
	b.bytes -= len(p.Data)
	b.tracks = replaceTrack(b.tracks, p.Track)
	if b.space != nil && len(b.queue)-b.head < queuePackets/2 && b.bytes < queueBytes/2 {
		close(b.space)
		b.space = nil
	}
	return p, true, nil
}

func replaceTrack(tracks []*sluice.Track, t *sluice.Track) []*sluice.Track {
	out := make([]*sluice.Track, 0, len(tracks)+1)
	found := false
	for _, old := range tracks {
		if old == t {
			return tracks
		}
		if old.ID == t.ID {
			old, found = t, true
		}
		out = append(out, old)
	}
	if !found {
		out = append(out, t)
	}
	return out
}

// look says what is absent and ends the broadcast after the grace time.
func (b *Broadcast) look(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return
	}
	if b.input == nil && now.Sub(b.lastInput) >= b.grace {
		b.end()
		return
	}
	var in *input
	if b.input != nil {
		in = b.input.input
		if in.starting && len(in.held) > 0 && now.Sub(in.held[0].arrival) >= holdForSaid {
			b.timeline.start(in)
		}
	}
	b.timeline.silence(in, b.lastInput, now)
	b.collect()
}

// End ends the broadcast at once: its reader gets what is stamped and then
// io.EOF, its publisher is disconnected.
func (b *Broadcast) End() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.end()
}

func (b *Broadcast) end() {
	if b.ended {
		return
	}
	if c := b.input; c != nil {
		b.timeline.flush(c.input)
		c.cancel(errEnded)
	}
	b.timeline.dirty = true // the exact end
	b.collect()
	b.ended = true
	b.wakeReader()
}

// Tracks implements sluice.Source.
func (b *Broadcast) Tracks() []*sluice.Track { return b.tracks }

// Close ends the broadcast and frees its reader and its publisher.
func (b *Broadcast) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.end()
	select {
	case <-b.closed:
	default:
		close(b.closed)
	}
	return nil
}

// RequestKey asks the publisher for a key frame, if its protocol can.
func (b *Broadcast) RequestKey(track uint32) bool {
	b.mu.Lock()
	var src sluice.Source
	if b.input != nil {
		src = b.input.src
	}
	b.mu.Unlock()
	return sluice.RequestKey(src, track)
}

// Stats returns the broadcast's counters.
func (b *Broadcast) Stats() BroadcastStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Live, s.Era, s.Repairs = b.input != nil, b.timeline.era, b.timeline.repairs
	return s
}

var (
	_ sluice.Source       = (*Broadcast)(nil)
	_ sluice.KeyRequester = (*Broadcast)(nil)
)

// isEnded reports whether the broadcast takes no more connections.
func (b *Broadcast) isEnded() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ended
}
