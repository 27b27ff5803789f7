package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/rtmp"
)

// play serves a player.
func (s *Server) play(ctx context.Context, c *rtmp.ServerConn, r *Request, log *slog.Logger) {
	log = log.With("stream", r.Name)
	stream, err := s.find(ctx, r)
	if err != nil {
		log.Info("player refused", "error", err)
		if err := c.Reject(told(err)); err != nil {
			log.Debug("refused player is gone", "error", err)
		}
		return
	}
	fan := s.fans.take(stream)
	defer s.fans.release(stream)
	log.Info("playing")
	if err := fan.Serve(ctx, c); err != nil {
		log.Info("player ended", "reason", err)
		return
	}
	log.Info("player ended: the stream is over or the player left")
}

func (s *Server) find(ctx context.Context, r *Request) (*sluice.Stream, error) {
	if s.Play == nil {
		return nil, fmt.Errorf("ingest: play %q: %w: this server does not serve players", r.Name, ErrDenied)
	}
	ctx, cancel := context.WithTimeout(ctx, authorizeTimeout)
	defer cancel()
	stream, err := s.Play(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("ingest: play %q: %w", r.Name, answered(err))
	}
	return stream, nil
}

// fanouts are the streams with players; each stream's packets are cut into
// chunks once for all of them.
type fanouts struct {
	mu   sync.Mutex
	m    map[*sluice.Stream]*fanout
	past PlayStats // of fan-outs that have lost their last player
}

type fanout struct {
	*rtmp.Fanout
	players int
}

func (t *fanouts) take(stream *sluice.Stream) *rtmp.Fanout {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.m[stream]
	if f == nil {
		f = &fanout{Fanout: rtmp.NewFanout(stream, rtmp.FanoutConfig{})}
		if t.m == nil {
			t.m = make(map[*sluice.Stream]*fanout)
		}
		t.m[stream] = f
	}
	f.players++
	return f.Fanout
}

func (t *fanouts) release(stream *sluice.Stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.m[stream]
	if f.players--; f.players == 0 {
		delete(t.m, stream)
		t.past.add(f.Stats())
	}
}

// PlayStats count what players got.
type PlayStats struct {
	Players int    // now
	Joined  uint64 // all told
	Bytes   uint64 // written to players
	Skips   uint64 // times that a player too slow was moved to a newer key frame
	Dropped uint64 // messages that players missed by that
	TooSlow uint64 // players disconnected because they took nothing
}

func (p *PlayStats) add(f rtmp.FanoutStats) {
	p.Players += f.Players
	p.Joined += f.Joined
	p.Bytes += f.Bytes
	p.Skips += f.Skips
	p.Dropped += f.Dropped
	p.TooSlow += f.TooSlow
}

// PlayStats returns the counters of RTMP players.
func (s *Server) PlayStats() PlayStats {
	s.fans.mu.Lock()
	defer s.fans.mu.Unlock()
	st := s.fans.past
	for _, f := range s.fans.m {
		st.add(f.Stats())
	}
	return st
}
