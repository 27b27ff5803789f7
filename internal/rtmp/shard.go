package rtmp

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxBufs is how many slices go into one write; Linux takes 1,024.
const maxBufs = 256

// shard writes to its share of a Fanout's players.
type shard struct {
	run     *run
	wake    chan struct{}
	mu      sync.Mutex // of writers of players
	players atomic.Pointer[[]*player]

	turn  sync.Mutex // whose round it is; of what follows
	first int        // player of the next round
	w     vectorWriter
	bufs  [][]byte
}

func (s *shard) list() []*player {
	if l := s.players.Load(); l != nil {
		return *l
	}
	return nil
}

func (s *shard) add(p *player) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := append(slices.Clone(s.list()), p)
	s.players.Store(&l)
}

func (s *shard) remove(p *player) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := slices.DeleteFunc(slices.Clone(s.list()), func(o *player) bool { return o == p })
	s.players.Store(&l)
}

// signal makes the shard look after its players, now or after the present
// round.
func (s *shard) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *shard) loop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		s.round()
	}
}

// round looks after every player once. Each time another is the first, so that
// no player is always late.
func (s *shard) round() {
	s.turn.Lock()
	defer s.turn.Unlock()
	v, now, l := s.run.log.view(), time.Now(), s.list()
	if s.first++; s.first >= len(l) {
		s.first = 0
	}
	for _, half := range [...][]*player{l[s.first:], l[:s.first]} {
		for _, p := range half {
			s.serve(p, &v, now)
		}
	}
}

// serve writes to a player what is there for it, as far as its socket takes it.
func (s *shard) serve(p *player, v *view, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.helped {
		p.kickHelper()
		return
	}
	for !p.gone {
		s.bufs = p.gather(v, now, s.bufs[:0])
		if len(s.bufs) == 0 {
			p.idle(v)
			return
		}
		n, full, err := s.w.write(p.raw, s.bufs)
		p.advance(v, n)
		switch {
		case err != nil:
			p.fail(err)
			return
		case full:
			s.run.f.congested.Add(1)
			p.help()
			return
		}
	}
}
