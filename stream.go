package sluice

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

// Defaults and hard bounds of a Stream.
const (
	defaultWindow   = 4 * time.Second
	defaultMaxBytes = 64 << 20
	maxAge          = 60 * time.Second // even an encoder that never sends another key frame is forgotten by then
)

// Stream fans one writer's packets out to many subscribers: one ring, one
// cursor per subscriber. Nothing is copied but packet headers. The zero value
// works; set the fields before the first Write.
//
// The ring holds Window of media, and as much more as a new subscriber needs:
// back to the newest key frame and to the newest point from which every track
// begins with a segment's start. But for the newest packet it never holds more
// than MaxBytes or 60 s.
type Stream struct {
	// Window is how much is kept for readers that lag behind; default 4 s.
	Window time.Duration
	// MaxBytes bounds the packets held, headers counted; default 64 MiB. A bound
	// below one group of pictures makes new readers wait for the next key frame.
	MaxBytes int

	mu       sync.Mutex
	ring     ring
	wake     signal // there is news
	space    signal // a blocking subscriber advanced
	ended    signal
	tracks   []*Track
	state    map[uint32]*trackState
	blocking map[*Subscriber]struct{} // those with the Block policy
	err      error                    // of End
	id       uint64
	began    time.Time
	source   Source
	stats    StreamStats
}

// StreamStats are counters of a Stream since its start, and gauges.
type StreamStats struct {
	Packets, Bytes uint64 // written
	Dropped        uint64 // packets that readers missed, summed over readers
	Subscribers    int
	HeldPackets    int
	HeldBytes      int    // headers counted
	KeyRequests    uint64 // passed upstream
}

// trackState is what the writer knows of a track.
type trackState struct {
	segment   uint64
	open      uint64 // sequence number of the newest opening packet
	opened    bool
	key       uint64 // sequence number of the newest key frame
	hasKey    bool
	requested time.Time // of the key frame request under way
}

var (
	errEnded   = fmt.Errorf("sluice: write to a stream that has ended: %w", io.ErrClosedPipe)
	errNoTrack = errors.New("sluice: write of a packet without a track, or whose track has no timescale")
)

// Write appends a packet. Only one goroutine may write. It waits only while a
// subscriber with the Block policy has yet to read what must go; if ctx ends
// meanwhile, the packet is not written. It fails after End.
func (s *Stream) Write(ctx context.Context, p Packet) error {
	if p.Track == nil || p.Track.Timescale == 0 {
		return errNoTrack
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && !s.evict() {
		if err := s.waitSpace(ctx); err != nil {
			return err
		}
	}
	if s.err != nil {
		return errEnded
	}
	seq := s.ring.push(entry{Packet: p, opens: s.note(p, s.ring.next)})
	s.stats.Packets++
	s.stats.Bytes += uint64(len(p.Data))
	if seq == 0 {
		s.began = p.Track.Time(p.DTS)
	}
	s.evict()
	s.wake.fire()
	return nil
}

// note keeps the books of a packet about to be written under seq and reports
// whether it opens a segment.
func (s *Stream) note(p Packet, seq uint64) (opens bool) {
	st := s.state[p.Track.ID]
	if st == nil {
		if s.state == nil {
			s.state = make(map[uint32]*trackState)
		}
		// The first packet of all may be from the middle of a segment,
		// unless it is an announcement.
		st = &trackState{segment: p.Segment}
		s.state[p.Track.ID] = st
		opens = p.Data == nil && p.Segment != 0
	} else {
		opens = p.Segment > st.segment
	}
	if opens {
		st.segment, st.open, st.opened = p.Segment, seq, true
	}
	if p.Key && p.Data != nil {
		st.key, st.hasKey = seq, true
		st.requested = time.Time{}
	}
	s.tracks = withTrack(s.tracks, p.Track)
	return opens
}

// withTrack returns tracks with t in the place of its predecessor. It never
// modifies tracks: readers hold it.
func withTrack(tracks []*Track, t *Track) []*Track {
	for i, old := range tracks {
		if old == t {
			return tracks
		}
		if old.ID == t.ID {
			tracks = append([]*Track(nil), tracks...)
			tracks[i] = t
			return tracks
		}
	}
	return append(tracks[:len(tracks):len(tracks)], t)
}

// evict drops what the bounds do not allow to hold. It reports false where a
// blocking subscriber has yet to read it.
func (s *Stream) evict() bool {
	for s.ring.len() > 0 && s.mayDrop(s.ring.first) {
		for sub := range s.blocking {
			if sub.cursor <= s.ring.first {
				return false
			}
		}
		s.ring.pop()
	}
	return true
}

// mayDrop reports whether the oldest entry must or may go.
func (s *Stream) mayDrop(seq uint64) bool {
	if s.ring.bytes > orDefault(s.MaxBytes, defaultMaxBytes) {
		return seq != s.ring.next-1
	}
	oldest, newest := s.ring.at(seq), s.ring.at(s.ring.next-1)
	age := newest.Track.Time(newest.DTS).Sub(oldest.Track.Time(oldest.DTS))
	if age <= min(orDefault(s.Window, defaultWindow), maxAge) {
		return false
	}
	return age > maxAge || seq < min(s.start(StartKey), s.start(StartSegment))
}

func orDefault[T int | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// waitSpace releases the lock until a blocking subscriber has advanced.
func (s *Stream) waitSpace(ctx context.Context) error {
	space := s.space.wait()
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-space:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// start returns the sequence number at which a new subscription begins. What
// the ring has lost is no start: whoever began at its edge would be overtaken
// at once.
func (s *Stream) start(at Start) uint64 {
	if s.ring.len() == 0 {
		return s.ring.next
	}
	seq := s.ring.next - 1
	for _, t := range s.tracks {
		st := s.state[t.ID]
		hasKey := t.Kind == Video && st.hasKey && st.key >= s.ring.first
		switch {
		case at == StartKey && hasKey:
			return st.key // the first video track leads; the others are aligned with it
		case at == StartSegment && st.opened && st.open >= s.ring.first:
			seq = min(seq, st.open)
		case at == StartSegment && st.segment == 0 && hasKey:
			seq = min(seq, st.key)
		}
	}
	return seq
}

// End ends the stream: readers get what is left, then err, or io.EOF where it
// is nil. Only the first call counts.
func (s *Stream) End(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.err = err
	if err == nil {
		s.err = io.EOF
	}
	s.wake.fire()
	s.space.fire()
	s.ended.fire()
}

// done returns a channel that is closed by End.
func (s *Stream) done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.ended.wait()
	if s.err != nil {
		s.ended.fire()
	}
	return ch
}

// failed reports whether the stream ended with an error that err stems from.
func (s *Stream) failed(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil && s.err != io.EOF && errors.Is(err, s.err)
}

// Consume writes src into the stream until its end, and ends the stream with
// it. It makes a Stream a Sink.
func (s *Stream) Consume(ctx context.Context, src Source) error {
	s.mu.Lock()
	s.source = src
	s.mu.Unlock()
	err := copyPackets(ctx, s, src)
	s.mu.Lock()
	s.source = nil
	s.mu.Unlock()
	s.End(err)
	return err
}

func copyPackets(ctx context.Context, w interface {
	Write(context.Context, Packet) error
}, src Source) error {
	for {
		p, err := src.ReadPacket(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := w.Write(ctx, p); err != nil {
			return err
		}
	}
}

// ID returns a number that no other Stream has, made up at random. Together
// with a packet's number it says which packet a reader had last.
func (s *Stream) ID() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.id == 0 {
		s.id = rand.Uint64()
	}
	return s.id
}

// Tracks returns the newest description of every track written so far, in the
// order of their appearance. The caller must not modify the slice.
func (s *Stream) Tracks() []*Track {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tracks
}

// Began returns the time of the first packet ever written, and the zero time
// before it. Outputs with 32-bit clocks count from it.
func (s *Stream) Began() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.began
}

// Ended reports whether End was called.
func (s *Stream) Ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil
}

// Stats returns the stream's counters.
func (s *Stream) Stats() StreamStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.HeldPackets, st.HeldBytes = s.ring.len(), s.ring.bytes
	return st
}

// keyRequestEvery is how long a request for a key frame counts as under way:
// a second reader's within it goes nowhere.
const keyRequestEvery = time.Second

// RequestKey passes a request for a key frame to the source that Consume
// reads, at most one at a time.
func (s *Stream) RequestKey(track uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	src, st := s.source, s.state[track]
	if src == nil || st == nil {
		return false
	}
	now := time.Now()
	if now.Sub(st.requested) < keyRequestEvery {
		return true
	}
	st.requested = now
	s.mu.Unlock() // the source may be writing
	taken := RequestKey(src, track)
	s.mu.Lock()
	if taken {
		s.stats.KeyRequests++
	} else {
		st.requested = time.Time{}
	}
	return taken
}

var _ Sink = (*Stream)(nil)
