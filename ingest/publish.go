package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sluice-live/sluice/internal/rtmp"
)

const authorizeTimeout = 10 * time.Second

// RTMP counts milliseconds in 32 bits.
const (
	rtmpScale = 1000
	rtmpWrap  = 1 << 32
)

// publish serves a publisher.
func (s *Server) publish(ctx context.Context, c *rtmp.ServerConn, r *Request, log *slog.Logger) {
	var pub *rtmp.Publisher
	in := newInput(rtmpScale, rtmpWrap, func() hints {
		m := pub.Metadata()
		return hints{known: m.Known, video: m.HasVideo, audio: m.HasAudio, frameRate: m.FrameRate}
	})
	grant, b, conn, err := s.admit(ctx, r, in)
	log = log.With("stream", grant.Stream)
	if err != nil {
		log.Warn("publisher refused", "error", err)
		if err := c.Reject(err); err != nil {
			log.Debug("refused publisher is gone", "error", err)
		}
		return
	}
	if pub, err = c.Publish(ctx); err != nil {
		b.detach(conn)
		log.Info("publisher is gone before it began", "error", err)
		return
	}
	defer func() { _ = pub.Close() }() // it may have gone first
	log.Info("publishing", "app", c.App())
	err = b.feed(conn, guard(pub, grant.Limits.or(s.Limits)))
	st := pub.Stats()
	log = log.With("bytes", st.Bytes, "packets", st.Packets, "unusable", st.Dropped)
	if err != nil {
		log.Warn("publisher ended", "error", err)
		return
	}
	log.Info("publisher ended its stream")
}

// admit asks whether somebody may publish, and gives him the stream's broadcast.
func (s *Server) admit(ctx context.Context, r *Request, in *input) (Grant, *Broadcast, *connection, error) {
	grant, err := s.authorize(ctx, r)
	if err != nil {
		return grant, nil, nil, err
	}
	for {
		b, err := s.live.get(ctx, s, grant.Stream)
		if err != nil {
			return grant, nil, nil, err
		}
		conn, err := b.attach(ctx, in)
		if !errors.Is(err, errEnded) { // it ended just now: the next is a new one
			return grant, b, conn, err
		}
	}
}

// authorize asks whose key it is.
func (s *Server) authorize(ctx context.Context, r *Request) (Grant, error) {
	g := Grant{Stream: r.Name}
	if s.Authorize != nil {
		ctx, cancel := context.WithTimeout(ctx, authorizeTimeout)
		defer cancel()
		var err error
		if g, err = s.Authorize(ctx, r); err != nil {
			return g, fmt.Errorf("ingest: publish: %w", err)
		}
	}
	if !streamName.MatchString(g.Stream) {
		return g, fmt.Errorf("ingest: publish %q: %w: a stream's name is 1 to 64 of a-z 0-9 _ -, beginning with a letter or digit", g.Stream, ErrDenied)
	}
	return g, nil
}

// broadcasts are those that run, by stream.
type broadcasts struct {
	mu      sync.Mutex
	m       map[string]*Broadcast
	stopped bool
	wg      sync.WaitGroup
}

// get returns the stream's broadcast, a new one if none waits for its encoder.
func (t *broadcasts) get(ctx context.Context, s *Server, stream string) (*Broadcast, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return nil, errors.New("ingest: the server is shutting down")
	}
	if b := t.m[stream]; b != nil && !b.isEnded() {
		return b, nil
	}
	at, err := s.Positions.Load(ctx, stream)
	if err != nil {
		return nil, err
	}
	save := func(p Position) error { return s.Positions.Save(ctx, stream, p) }
	b := newBroadcast(stream, s.SegmentDur, s.Grace, at, save, s.Log)
	if t.m == nil {
		t.m = make(map[string]*Broadcast)
	}
	t.m[stream] = b
	t.wg.Go(func() { t.run(ctx, s, b) })
	return b, nil
}

// run hands a broadcast to the application.
func (t *broadcasts) run(ctx context.Context, s *Server, b *Broadcast) {
	log := s.Log.With("stream", b.Name)
	log.Info("broadcast begins")
	err := protect(func() error { return s.Broadcast(ctx, b) })
	if err == nil && !b.isEnded() {
		err = errors.New("its Broadcast function returned before the end")
	}
	_ = b.Close() // never fails
	t.mu.Lock()
	if t.m[b.Name] == b {
		delete(t.m, b.Name)
	}
	t.mu.Unlock()
	st := b.Stats()
	log = log.With("duration", time.Since(b.Started).Round(time.Second), "connections", st.Connections, "packets", st.Packets, "repairs", st.Repairs)
	if err != nil {
		log.Error("broadcast failed", "error", err)
		return
	}
	log.Info("broadcast ended")
}

// protect turns a panic of the application's callback into an error.
func protect(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f()
}

// endAll ends every broadcast and admits no more.
func (t *broadcasts) endAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	for _, b := range t.m {
		b.End()
	}
}

func (t *broadcasts) wait() { t.wg.Wait() }

// list returns the broadcasts that run.
func (t *broadcasts) list() []*Broadcast {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*Broadcast, 0, len(t.m))
	for _, b := range t.m {
		all = append(all, b)
	}
	return all
}

// Broadcasts returns the broadcasts that run, in no order.
func (s *Server) Broadcasts() []*Broadcast { return s.live.list() }
