package sluice

import (
	"context"
	"io"
	"sync"
)

// Start says where a subscription begins. A track's packets before its own
// beginning are left out.
type Start uint8

const (
	// StartKey begins at the newest key frame of the first video track, with
	// the packets of other tracks written since; at the newest packet where
	// there is no video. For players.
	StartKey Start = iota
	// StartSegment begins at the newest point from which every track begins
	// with a segment's opening packet. Where that packet carries media, an
	// announcement (Data nil, same Segment, DTS and PTS) comes before it, so
	// that a packager knows it for a segment's start. For packagers. Tracks
	// whose packets carry no Segment begin with a key frame.
	StartSegment
)

// Slow says what happens to a subscription whose reader the ring overtakes.
type Slow uint8

const (
	// Resync jumps to the newest start, counts what was missed and marks the
	// first packet of each track Discont.
	Resync Slow = iota
	// Fail makes ReadPacket return ErrLagged.
	Fail
	// Block makes the writer wait, and with it every other reader: only for a
	// reader that must have everything and from a source that can wait.
	Block
)

// Subscription configures a Subscriber; the zero value is a player's.
type Subscription struct {
	Start Start
	Slow  Slow
	// Resume goes on where an earlier subscription to the stream stopped: with
	// the packet numbered At, which is what its Next returned, leaving nothing
	// out. If the ring has lost that packet, the reader has lagged, and Slow and
	// Start say what happens; if it is not written yet, it is waited for.
	Resume bool
	At     uint64
}

const batchSize = 16 // entries taken from the ring under one lock

// Subscriber is one cursor in a Stream's ring; it is a Source. Closing it
// frees its place.
//
// When the ctx of a read is done, what an ended stream left is still returned:
// it is bounded, and a sink cancelled for the stream's failure keeps it.
type Subscriber struct {
	stream  *Stream
	conf    Subscription
	cursor  uint64 // of the next entry to take; written under stream.mu, by the reader
	dropped uint64 // guarded by stream.mu

	// Of the reader alone:
	resumed bool    // no gate is closed
	batch   []entry // taken, not yet returned
	store   [batchSize]entry
	held    Packet // media held back behind its announcement
	holding bool
	gates   map[uint32]gate // per track
	tracks  []*Track

	closed    chan struct{}
	closeOnce sync.Once
}

// gate keeps a track's packets out until its beginning.
type gate struct {
	open    bool
	discont bool // the reader missed some of the track by being slow
}

// Subscribe adds a reader, from the start that c asks for. A subscription to a
// stream that has ended gets what is left of it.
func (s *Stream) Subscribe(c Subscription) *Subscriber {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := &Subscriber{
		stream: s,
		conf:   c,
		cursor: s.start(c.Start),
		gates:  make(map[uint32]gate),
		tracks: s.tracks,
		closed: make(chan struct{}),
	}
	if c.Resume {
		sub.cursor, sub.resumed = c.At, true
	}
	s.stats.Subscribers++
	if c.Slow == Block {
		if s.blocking == nil {
			s.blocking = make(map[*Subscriber]struct{})
		}
		s.blocking[sub] = struct{}{}
	}
	return sub
}

// Tracks returns the stream's tracks as of the packet read last.
func (r *Subscriber) Tracks() []*Track { return r.tracks }

// Next returns the number of the packet behind the one read last, for a
// Subscription that resumes there. Packets are numbered as they are written,
// from 0; an announcement put before a packet has no number of its own. Only
// the reader may call it.
func (r *Subscriber) Next() uint64 {
	n := r.cursor - uint64(len(r.batch))
	if r.holding {
		n--
	}
	return n
}

// Buffered returns how many packets were taken from the ring and have not been
// returned, so that whoever gathers packets knows when to stop. Only the reader
// may call it.
func (r *Subscriber) Buffered() int {
	if r.holding {
		return len(r.batch) + 1
	}
	return len(r.batch)
}

// Stream returns the stream that r reads.
func (r *Subscriber) Stream() *Stream { return r.stream }

// Dropped returns how many packets the reader has missed by being slow.
func (r *Subscriber) Dropped() uint64 {
	r.stream.mu.Lock()
	defer r.stream.mu.Unlock()
	return r.dropped
}

// RequestKey asks the stream's source for a key frame.
func (r *Subscriber) RequestKey(track uint32) bool { return r.stream.RequestKey(track) }

// ReadPacket returns the next packet; after Close, io.ErrClosedPipe.
func (r *Subscriber) ReadPacket(ctx context.Context) (Packet, error) {
	if r.isClosed() {
		return Packet{}, io.ErrClosedPipe
	}
	if r.holding {
		p := r.held
		r.held, r.holding = Packet{}, false
		return p, nil
	}
	for {
		for len(r.batch) == 0 {
			if err := r.fetch(ctx); err != nil {
				return Packet{}, err
			}
		}
		e := r.batch[0]
		r.batch[0] = entry{}
		r.batch = r.batch[1:]
		r.tracks = withTrack(r.tracks, e.Track)
		if r.admit(&e) {
			return e.Packet, nil
		}
	}
}

// admit decides whether a packet is at or behind its track's beginning. It
// puts the announcement in the place of an opening packet that needs one.
func (r *Subscriber) admit(e *entry) bool {
	g := r.gates[e.Track.ID]
	if g.open || r.resumed {
		return true
	}
	stamped := r.conf.Start == StartSegment && e.Segment != 0
	begins := e.opens
	if !stamped {
		begins = e.Track.Kind != Video || e.Key && e.Data != nil
	}
	if !begins {
		if g.discont {
			r.countDropped()
		}
		return false
	}
	r.gates[e.Track.ID] = gate{open: true}
	e.Discont = e.Discont || g.discont
	if stamped && e.Data != nil {
		r.held, r.holding = e.Packet, true
		e.Packet = Packet{Track: e.Track, DTS: e.DTS, PTS: e.PTS, Segment: e.Segment, Discont: e.Discont}
	}
	return true
}

func (r *Subscriber) isClosed() bool {
	select {
	case <-r.closed:
		return true
	default:
		return false
	}
}

// fetch takes the next entries from the ring, waiting for them.
func (r *Subscriber) fetch(ctx context.Context) error {
	s := r.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if r.isClosed() {
			return io.ErrClosedPipe
		}
		if r.cursor < s.ring.first {
			if err := r.lagged(); err != nil {
				return err
			}
		}
		if s.err == nil && ctx.Err() != nil {
			return ctx.Err() // a reader that is always behind never waits
		}
		if r.cursor < s.ring.next {
			break
		}
		if s.err != nil {
			return s.err
		}
		if err := r.wait(ctx); err != nil {
			return err
		}
	}
	n := min(batchSize, int(s.ring.next-r.cursor))
	r.batch = r.store[:n]
	for i := range r.batch {
		r.batch[i] = *s.ring.at(r.cursor + uint64(i))
	}
	r.cursor += uint64(n)
	if r.conf.Slow == Block {
		s.space.fire()
	}
	return nil
}

// wait releases the stream's lock until there is news.
func (r *Subscriber) wait(ctx context.Context) error {
	s := r.stream
	wake := s.wake.wait()
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-wake:
		return nil
	case <-r.closed:
		return io.ErrClosedPipe
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lagged handles a cursor that the ring has overtaken; the lock is held.
func (r *Subscriber) lagged() error {
	if r.conf.Slow == Fail {
		return ErrLagged
	}
	s := r.stream
	to := s.start(r.conf.Start)
	r.dropped += to - r.cursor
	s.stats.Dropped += to - r.cursor
	r.cursor, r.resumed = to, false
	r.tracks = s.tracks
	for _, t := range s.tracks {
		r.gates[t.ID] = gate{discont: true}
	}
	return nil
}

// countDropped counts a packet missed between a jump and its track's beginning.
func (r *Subscriber) countDropped() {
	r.stream.mu.Lock()
	defer r.stream.mu.Unlock()
	r.dropped++
	r.stream.stats.Dropped++
}

// Close ends the subscription.
func (r *Subscriber) Close() error {
	r.closeOnce.Do(func() {
		s := r.stream
		s.mu.Lock()
		defer s.mu.Unlock()
		close(r.closed)
		s.stats.Subscribers--
		if r.conf.Slow == Block {
			delete(s.blocking, r)
			s.space.fire()
		}
	})
	return nil
}

var (
	_ Source       = (*Subscriber)(nil)
	_ KeyRequester = (*Subscriber)(nil)
)
