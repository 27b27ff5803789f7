package sluicetest

import (
	"context"
	"io"
	"slices"
	"sync"

	"github.com/sluice-live/sluice"
)

// Slice is a Source of given packets. Set its fields before it is read.
type Slice struct {
	Packets []sluice.Packet
	// Err is what follows the packets; nil is io.EOF.
	Err error
	// Block makes it wait behind the packets until End.
	Block bool

	mu      sync.Mutex
	next    int
	tracks  []*sluice.Track
	reads   int // under way
	crowded bool
	isEnded bool
	isShut  bool
	ended   chan struct{} // made by init, as the next two
	shut    chan struct{}
	blocked chan struct{}
	waits   bool
}

var _ sluice.Source = (*Slice)(nil)

// init makes the channels; the lock is held.
func (s *Slice) init() {
	if s.ended == nil {
		s.ended, s.shut, s.blocked = make(chan struct{}), make(chan struct{}), make(chan struct{})
	}
}

// Tracks implements sluice.Source.
func (s *Slice) Tracks() []*sluice.Track {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tracks
}

// ReadPacket implements sluice.Source.
func (s *Slice) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	s.reads++
	s.crowded = s.crowded || s.reads > 1
	defer func() { s.reads-- }()
	if s.next == len(s.Packets) && s.Block {
		if err := s.wait(ctx); err != nil {
			return sluice.Packet{}, err
		}
	}
	switch {
	case s.isShut:
		return sluice.Packet{}, io.ErrClosedPipe
	case ctx.Err() != nil:
		return sluice.Packet{}, ctx.Err()
	case s.next == len(s.Packets) && s.Err != nil:
		return sluice.Packet{}, s.Err
	case s.next == len(s.Packets):
		return sluice.Packet{}, io.EOF
	}
	p := s.Packets[s.next]
	s.next++
	s.note(p.Track)
	return p, nil
}

func (s *Slice) note(t *sluice.Track) {
	i := slices.IndexFunc(s.tracks, func(old *sluice.Track) bool { return old.ID == t.ID })
	switch {
	case i < 0:
		s.tracks = append(slices.Clip(s.tracks), t)
	case s.tracks[i] != t:
		s.tracks = slices.Clone(s.tracks)
		s.tracks[i] = t
	}
}

// wait releases the lock until the end.
func (s *Slice) wait(ctx context.Context) error {
	if !s.waits {
		s.waits = true
		close(s.blocked)
	}
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-s.ended:
	case <-s.shut:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// Blocked returns a channel that is closed once the reader waits behind the
// last packet.
func (s *Slice) Blocked() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	return s.blocked
}

// End lets a Slice that blocks end.
func (s *Slice) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	if !s.isEnded {
		s.isEnded = true
		close(s.ended)
	}
}

// Close implements sluice.Source.
func (s *Slice) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	if !s.isShut {
		s.isShut = true
		close(s.shut)
	}
	return nil
}

// Closed reports whether Close was called.
func (s *Slice) Closed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isShut
}

// Left returns how many packets were not read.
func (s *Slice) Left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.Packets) - s.next
}

// reader says what is wrong with how the Slice was read, after it was.
func (s *Slice) reader() (reading, crowded bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads > 0, s.crowded
}
