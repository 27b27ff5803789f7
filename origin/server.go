package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/access"
)

// Request is somebody's wish to watch, as Authorize is asked about it.
type Request = access.Request

// ErrClosed is returned by sinks of a Server that was closed.
var ErrClosed = errors.New("origin: server is closed")

const (
	defaultWindow = time.Minute
	defaultLinger = time.Minute
)

// Server serves live streams to players. The zero value works; set the fields
// before the first use. It is an [http.Handler] for /live/.
type Server struct {
	// Spool is the directory for the closed segments of live windows: about
	// twice Window of media a stream. Default: a new one under os.TempDir. What
	// lies in it of earlier processes is not touched.
	Spool string
	// Window is how much a live playlist lists; default 60 s, never below three
	// target durations (24 s where segments are cut every 4 s).
	Window time.Duration
	// Linger is how long a stream that has ended can be watched to its end;
	// default one minute.
	Linger time.Duration
	// Authorize decides who may watch. It is asked about every request, media
	// included, so it must be quick; an error that wraps access.ErrNotFound
	// answers 404, any other 403. Nil: everybody may.
	Authorize func(ctx context.Context, r *Request) error
	// Log receives what an operator should know; nil discards it.
	Log *slog.Logger

	mu      sync.Mutex // for writing names, dir and closed
	names   atomic.Pointer[map[string]*broadcast]
	dir     string
	closed  bool
	running sync.WaitGroup // of Consume
	disk    spoolStats
	metrics metrics
}

// Stream returns the sink of one broadcast, which is watched under name from
// the moment something consumes into it. The end of the source is the end of
// the broadcast; a source that fails leaves it waiting for the sink to consume
// again, for as long as Linger.
func (s *Server) Stream(name string) sluice.Sink {
	return &sink{srv: s, name: name}
}

// Play returns the live packets of the stream called r.Name for players of
// other protocols.
func (s *Server) Play(ctx context.Context, r *Request) (*sluice.Stream, error) {
	b := s.find(r.Name)
	if b == nil || b.finished.Load() {
		return nil, fmt.Errorf("origin: play %q: %w", r.Name, access.ErrNotFound)
	}
	if s.Authorize != nil {
		if err := s.Authorize(ctx, r); err != nil {
			return nil, fmt.Errorf("origin: play %q: %w", r.Name, err)
		}
	}
	return &b.packets, nil
}

// Close ends everybody who waits, and all sinks, and removes the spool.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	var all []*broadcast
	if names := s.names.Swap(nil); names != nil {
		for _, b := range *names {
			all = append(all, b)
		}
	}
	s.mu.Unlock()
	for _, b := range all {
		b.leave()
	}
	s.running.Wait()
	var errs []error
	for _, b := range all {
		errs = append(errs, b.forget())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
		s.dir = ""
	}
	return errors.Join(errs...)
}

func (s *Server) find(name string) *broadcast {
	if names := s.names.Load(); names != nil {
		return (*names)[name]
	}
	return nil
}

// enter puts b under its name, in the place of one that has ended.
func (s *Server) enter(b *broadcast) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if b.gone.Err() != nil {
		return fmt.Errorf("origin: stream %q: the broadcast is forgotten", b.name)
	}
	names := map[string]*broadcast{}
	if old := s.names.Load(); old != nil {
		names = maps.Clone(*old)
	}
	if old := names[b.name]; old != nil && old != b {
		if old.busy.Load() {
			return fmt.Errorf("origin: stream %q: another broadcast of this name is live", b.name)
		}
		old.leave()
		if err := old.forget(); err != nil {
			s.log().Warn("origin: cannot remove spooled segments", "stream", b.name, "err", err)
		}
	}
	if b.expiry != nil {
		b.expiry.Stop()
	}
	names[b.name] = b
	s.names.Store(&names)
	b.busy.Store(true)
	s.running.Add(1)
	return nil
}

// remove takes b from its name and forgets it.
func (s *Server) remove(b *broadcast) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.names.Load()
	if old == nil || (*old)[b.name] != b || b.busy.Load() {
		return
	}
	names := maps.Clone(*old)
	delete(names, b.name)
	s.names.Store(&names)
	b.leave()
	if err := b.forget(); err != nil {
		s.log().Warn("origin: cannot remove spooled segments", "stream", b.name, "err", err)
	}
}

// spoolDir returns a directory of its own for a new broadcast.
func (s *Server) spoolDir(name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" {
		if s.Spool != "" {
			if err := os.MkdirAll(s.Spool, 0o700); err != nil {
				return "", fmt.Errorf("origin: make spool directory (choose another with Server.Spool): %w", err)
			}
		}
		dir, err := os.MkdirTemp(s.Spool, "sluice-origin-")
		if err != nil {
			return "", fmt.Errorf("origin: make spool directory (choose another with Server.Spool): %w", err)
		}
		s.dir = dir
	}
	return os.MkdirTemp(s.dir, safeName(name)+"-")
}

// safeName is a stream's name as far as it can be part of a file's.
func safeName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, name)
}

var discard = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 1}))

func (s *Server) log() *slog.Logger {
	if s.Log == nil {
		return discard
	}
	return s.Log
}
