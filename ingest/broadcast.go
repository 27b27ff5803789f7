package ingest

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-live/sluice"
)

const (
	readAhead = 10 * time.Second // input further ahead of UTC is read at UTC's pace
	tick      = time.Second      // between looks for silence
)

// Broadcast is one broadcast of a stream: the packets of one connection after
// another, and of a slate between them, on one timeline. It is a Source; its
// packets are stamped with UTC times, segments and eras. It outlives its
// connections by the grace time and then ends with io.EOF.
type Broadcast struct {
	// Name is the stream's name.
	Name string
	// Started is when its first connection came.
	Started time.Time

	conf   broadcastConfig
	news   chan struct{} // for the reader; one token
	closed chan struct{}
	done   chan struct{} // closed when the application has returned
	timer  *time.Timer   // of the reader's next look

	passphrase atomic.Pointer[string] // of the newest Grant; nil before there is one

	mu       sync.Mutex
	timeline *timeline
	queue    queue
	tracks   []*sluice.Track
	active   *connection   // whose packets go out; nil while there is none
	waiting  []*connection // those that may be switched to, the oldest first
	slate    *slatePlayer  // nil while it is off
	heard    time.Time     // when the active connection's newest packet came
	left     time.Time     // when the last connection went
	ended    atomic.Bool   // written under mu
	stats    BroadcastStats
}

// broadcastConfig is what a broadcast is told by its server.
type broadcastConfig struct {
	segment, grace time.Duration
	standby, idle  time.Duration
	slate          *Slate
	slateAfter     time.Duration
	save           func(Position) error
	log            *slog.Logger
}

// BroadcastStats describe a broadcast.
type BroadcastStats struct {
	Packets, Bytes uint64
	LiveBytes      uint64 // of Bytes, those of the connections whose media went out
	Connections    uint64 // so far
	Switches       uint64 // to a connection that had been waiting for its turn
	Live           bool   // a connection's media goes out
	Protocol       string // of that connection, as in Request
	Slate          bool   // the slate's does
	Waiting        int    // connections that may be switched to
	Era            uint32
	Repairs        Repairs
}

func newBroadcast(name string, at Position, c broadcastConfig) *Broadcast {
	setDefault(&c.standby, defaultStandby)
	setDefault(&c.slateAfter, defaultSlateAfter)
	setDefault(&c.idle, defaultIdle)
	now := time.Now()
	return &Broadcast{
		Name:     name,
		Started:  now,
		conf:     c,
		timeline: newTimeline(c.segment, at),
		heard:    now,
		left:     now,
		news:     make(chan struct{}, 1),
		closed:   make(chan struct{}),
		done:     make(chan struct{}),
		timer:    time.NewTimer(tick),
	}
}

// ReadPacket implements sluice.Source. While nothing comes it says so with
// watermarks, or shows the slate; once the grace time has passed without a
// connection, io.EOF.
func (b *Broadcast) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	for {
		p, ok, err := b.next()
		if ok || err != nil {
			return p, err
		}
		select {
		case <-b.news:
		case <-b.timer.C: // also while packets come: one track of several may be silent
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
	p, ok := b.queue.pop()
	if !ok {
		if b.ended.Load() {
			return sluice.Packet{}, false, io.EOF
		}
		return sluice.Packet{}, false, nil
	}
	b.tracks = replaceTrack(b.tracks, p.Track)
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

// look does what time alone brings about: it ends connections that send
// nothing, and the broadcast after its grace time; it goes over to a spare or
// to the slate, and says what is absent.
func (b *Broadcast) look(now time.Time) {
	b.mu.Lock()
	if b.ended.Load() {
		b.mu.Unlock()
		return
	}
	b.dropIdle(now)
	if b.active == nil && len(b.waiting) == 0 && now.Sub(b.left) >= b.conf.grace {
		b.end()
		b.mu.Unlock()
		return
	}
	ask := b.choose(now)
	b.playSlate(now)
	var in *input
	switch {
	case b.slate != nil:
		in = b.slate.input
	case b.active != nil:
		in = b.active.input
		if in.starting && len(in.held) > 0 && now.Sub(in.held[0].arrival) >= holdForSaid {
			b.timeline.start(in)
		}
	}
	if b.active == nil || !b.active.held {
		b.timeline.silence(in, b.heard, now)
		b.collect()
	}
	b.timer.Reset(b.nextLook(now))
	b.mu.Unlock()
	ask.send()
}

// nextLook returns how long the reader may wait for the next look.
func (b *Broadcast) nextLook(now time.Time) time.Duration {
	d := tick
	if at := b.slateDue(); !at.IsZero() {
		d = min(d, at.Sub(now))
	}
	return max(d, time.Millisecond)
}

// End ends the broadcast at once: its reader gets what is stamped and then
// io.EOF, its publishers are disconnected.
func (b *Broadcast) End() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.end()
}

func (b *Broadcast) end() {
	if b.ended.Load() {
		return
	}
	for _, c := range b.connections() {
		b.drop(c, errEnded)
	}
	b.stopSlate()
	b.timeline.dirty = true // the exact end
	b.collect()
	b.ended.Store(true)
	b.wakeReader()
}

// Tracks implements sluice.Source.
func (b *Broadcast) Tracks() []*sluice.Track { return b.tracks }

// Close ends the broadcast and frees its reader and its publishers.
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
	if b.active != nil {
		src = b.active.src
	}
	b.mu.Unlock()
	return sluice.RequestKey(src, track)
}

// Stats returns the broadcast's counters.
func (b *Broadcast) Stats() BroadcastStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Live, s.Slate, s.Waiting = b.active != nil, b.slate != nil, len(b.waiting)
	s.Era, s.Repairs = b.timeline.era, b.timeline.repairs
	if b.active != nil {
		s.Protocol = b.active.input.protocol
	}
	return s
}

var (
	_ sluice.Source       = (*Broadcast)(nil)
	_ sluice.KeyRequester = (*Broadcast)(nil)
)

// isEnded reports whether the broadcast takes no more connections. It does not
// wait for one that is saving its position.
func (b *Broadcast) isEnded() bool { return b.ended.Load() }
