package m4s

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
)

// session is one pushed stream. It outlives its connections, of which it has
// one at a time.
type session struct {
	h    *Handler
	name string
	id   uint64 // of the pusher's numbering; 0: it cannot come back
	w    *sluice.PipeWriter
	src  sluice.Source
	done chan struct{} // Publish has returned
	err  error         // of Publish, set before done is closed

	// Of the connection that has the session.
	order  order
	tracks []*sluice.Track

	mu    sync.Mutex
	next  uint64
	conn  *pushConn   // nil while it waits
	grace *time.Timer // while it waits
	ended bool
}

// pushConn is one connection of a session.
type pushConn struct {
	drop context.CancelCauseFunc // ends it
	left chan struct{}           // closed when it has ended
	news chan struct{}           // something is to be told to the pusher
	keys []uint32                // tracks that want a key frame; guarded by session.mu
}

var (
	errReplaced = errors.New("m4s: pusher has connected again")
	errGone     = errors.New("m4s: pusher is gone and did not come back in time")
)

// join gives a pusher its stream's session: a new one, or its own from a
// connection that is over or that it has given up.
func (h *Handler) join(ctx context.Context, name string, id uint64, c *pushConn) (*session, error) {
	for {
		h.mu.Lock()
		s := h.sessions[name]
		if s == nil || s.over(id) {
			s = h.begin(ctx, name, id, c)
			h.mu.Unlock()
			return s, nil
		}
		h.mu.Unlock()
		wait, err := s.take(id, c)
		if err != nil {
			return nil, err
		}
		if wait == nil {
			h.stats.resumed.Add(1)
			return s, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// begin starts a session; h.mu is held.
func (h *Handler) begin(ctx context.Context, name string, id uint64, c *pushConn) *session {
	s := &session{h: h, name: name, id: id, conn: c, done: make(chan struct{})}
	s.w, s.src = sluice.Pipe(pipeDepth)
	h.sessions[name] = s
	h.running.Add(1) // the caller is counted, so nobody waits at 0
	go s.run(context.WithoutCancel(ctx))
	return s
}

func (s *session) run(ctx context.Context) {
	defer s.h.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.h.ctx, cancel)()
	s.err = s.h.publish(ctx, s)
	s.src.Close()
	s.mu.Lock()
	s.ended = true
	if s.grace != nil {
		s.grace.Stop()
	}
	s.mu.Unlock()
	if s.err != nil || s.id == 0 {
		s.forget()
	} else { // its pusher comes back where it has not heard that all is taken
		time.AfterFunc(s.h.Grace, s.forget)
	}
	close(s.done)
}

func (s *session) forget() {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	if s.h.sessions[s.name] == s {
		delete(s.h.sessions, s.name)
	}
}

// over reports whether another pusher may have the name, since all is taken.
func (s *session) over(id uint64) bool {
	select {
	case <-s.done:
		return id != s.id
	default:
		return false
	}
}

// publish calls the hook and turns its panic into an error.
func (h *Handler) publish(ctx context.Context, s *session) (err error) {
	defer func() {
		if r := recover(); r != nil {
			h.Log.Error("m4s: panic in Publish", "stream", s.name, "panic", r)
			err = errors.New("m4s: the server failed")
		}
	}()
	return h.Publish(ctx, s.name, pushedSource{s.src, s})
}

// take gives the session to a connection of its pusher. wait is closed when it
// is worth another try.
func (s *session) take(id uint64, c *pushConn) (wait <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	same := id != 0 && id == s.id
	switch {
	case s.conn != nil && same:
		s.conn.drop(errReplaced)
		return s.conn.left, nil
	case s.ended && same && s.err == nil: // to be told so
		s.conn = c
		return nil, nil
	case s.ended:
		return s.done, nil
	case s.conn != nil:
		return nil, fmt.Errorf("m4s: push %q: %w", s.name, ErrBusy)
	case !same: // another pusher need not wait for one that is gone
		s.w.Close(errGone)
		return s.done, nil
	}
	if !s.grace.Stop() { // it came too late: what it left is being finished
		return s.done, nil
	}
	s.conn = c
	return nil, nil
}

// leave ends a connection's hold on the session, which waits for another
// one.
func (s *session) leave(c *pushConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = nil
	grace := s.h.Grace
	if s.id == 0 {
		grace = 0
	}
	s.grace = time.AfterFunc(grace, func() { s.w.Close(errGone) })
	if s.ended {
		s.grace.Stop()
	}
	close(c.left)
}

// advance notes that the packets before next have been taken.
func (s *session) advance(next uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = next
}

// news returns what is to be told to the pusher.
func (s *session) news(c *pushConn) (next uint64, keys []uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys, c.keys = c.keys, nil
	return s.next, keys
}

const maxKeys = 64 // requests that wait to be told

// pushedSource is what Publish reads.
type pushedSource struct {
	sluice.Source
	s *session
}

// RequestKey asks the pusher for a key frame.
func (p pushedSource) RequestKey(track uint32) bool {
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.conn
	if c == nil || s.ended {
		return false
	}
	if !slices.Contains(c.keys, track) && len(c.keys) < maxKeys {
		c.keys = append(c.keys, track)
	}
	select {
	case c.news <- struct{}{}:
	default:
	}
	s.h.stats.keys.Add(1)
	return true
}

var _ sluice.KeyRequester = pushedSource{}
