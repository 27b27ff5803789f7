package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/cmaf"
)

// sink feeds one broadcast.
type sink struct {
	srv  *Server
	name string

	mu sync.Mutex
	b  *broadcast // from the first Consume until it is forgotten
}

var _ sluice.Sink = (*sink)(nil)

// Consume implements sluice.Sink.
func (s *sink) Consume(ctx context.Context, src sluice.Source) error {
	s.mu.Lock() // one source at a time
	defer s.mu.Unlock()
	b, err := s.enter()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.gone, cancel)()
	err = b.consume(ctx, src)
	b.rest(err == nil)
	if b.gone.Err() != nil {
		return ErrClosed
	}
	return err
}

// enter makes the broadcast current, a new one if the last has ended.
func (s *sink) enter() (*broadcast, error) {
	if s.name == "" || strings.ContainsAny(s.name, "/?#") || len(s.name) > 255 {
		return nil, fmt.Errorf("origin: %q cannot be a stream's name", s.name)
	}
	if s.b != nil && !s.b.finished.Load() && s.srv.find(s.name) == s.b {
		if err := s.srv.enter(s.b); err == nil {
			return s.b, nil
		}
	}
	b := newBroadcast(s.srv, s.name)
	if err := s.srv.enter(b); err != nil {
		return nil, errors.Join(err, b.forget())
	}
	s.b = b
	return b, nil
}

// rest is called when a source is done with. The broadcast lingers.
func (b *broadcast) rest(ended bool) {
	if ended {
		b.finished.Store(true)
		b.packets.End(nil)
	}
	linger := b.srv.Linger
	if linger <= 0 {
		linger = defaultLinger
	}
	b.srv.mu.Lock()
	b.busy.Store(false)
	if !b.srv.closed {
		b.expiry = time.AfterFunc(linger, func() { b.srv.remove(b) })
	}
	b.srv.mu.Unlock()
	b.srv.running.Done()
}

// lane is the way of one track's packets.
type lane struct {
	track *track
	pack  *cmaf.Packager
	desc  *sluice.Track
}

// consume packages src until its end.
func (b *broadcast) consume(ctx context.Context, src sluice.Source) error {
	b.spool.start()
	defer b.spool.stop()
	lanes := map[uint32]*lane{}
	b.expect(src.Tracks())
	for {
		p, err := src.ReadPacket(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := b.packets.Write(ctx, p); err != nil {
			return err
		}
		b.take(lanes, src, p)
	}
	for _, l := range lanes {
		if err := l.pack.Flush(); err != nil {
			b.refuse(l.desc, err)
		}
	}
	for _, t := range *b.tracks.Load() {
		t.end()
	}
	b.refresh()
	return nil
}

// take packages one packet. What it completes is visible on return.
func (b *broadcast) take(lanes map[uint32]*lane, src sluice.Source, p sluice.Packet) {
	if p.Track.Kind != sluice.Video && p.Track.Kind != sluice.Audio {
		return
	}
	l := lanes[p.Track.ID]
	if l == nil || l.desc != p.Track {
		b.expect(src.Tracks())
		t, err := b.prepare(p.Track)
		if err != nil {
			b.refuse(p.Track, err)
			b.expect(src.Tracks())
			return
		}
		if l == nil {
			l = &lane{track: t, pack: &cmaf.Packager{Out: t}}
			lanes[p.Track.ID] = l
		}
		l.desc = p.Track
	}
	l.track.cuts.observe(p)
	if err := l.pack.Write(p); err != nil {
		b.refuse(p.Track, err)
	}
	l.track.publish()
	b.refresh()
	b.relieve()
}
