package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
)

const authorizeTimeout = 10 * time.Second

// publisher is an encoder's connection, whatever its protocol, that has asked
// to publish. One of refuse and start is called, and after start, end.
type publisher interface {
	// refuse says why not, and hangs up.
	refuse(reason error)
	// start says yes. On an error it has hung up.
	start(ctx context.Context) (sluice.Source, error)
	// end hangs up; reason, if not nil, is ours and is told as far as the
	// protocol can.
	end(reason error)
}

// screener is a publisher that is to be looked at again once its Grant is
// known, before it gets the stream.
type screener interface{ screen(g Grant) error }

// publish serves a publisher until it ends. Its source's positions count as in
// says.
func (s *Server) publish(ctx context.Context, r *Request, in *input, p publisher, log *slog.Logger) {
	grant, b, conn, err := s.admit(ctx, r, in, p)
	log = log.With("stream", grant.Stream)
	if err != nil {
		log.Warn("publisher refused", "error", err)
		p.refuse(told(err))
		return
	}
	src, err := p.start(ctx)
	if err != nil {
		b.detach(conn)
		log.Info("publisher is gone before it began", "error", err)
		return
	}
	log.Info("publishing")
	var ours error
	err = protect(func() (err error) {
		ours, err = b.feed(conn, guard(src, grant.Limits.or(s.Limits)))
		return err
	})
	p.end(ours)
	log = log.With("bytes", conn.bytes, "packets", conn.packets)
	if err = cmp.Or(ours, err); err != nil {
		log.Warn("publisher ended", "error", err)
		return
	}
	log.Info("publisher ended its stream")
}

// admit asks whether somebody may publish, and gives him the stream's broadcast.
func (s *Server) admit(ctx context.Context, r *Request, in *input, p publisher) (Grant, *Broadcast, *connection, error) {
	grant, err := s.authorize(ctx, r)
	if sc, ok := p.(screener); ok && err == nil {
		err = sc.screen(grant)
	}
	if err != nil {
		return grant, nil, nil, err
	}
	in.protocol = r.Protocol
	for {
		b, err := s.live.get(ctx, s, grant)
		if err != nil {
			return grant, nil, nil, err
		}
		conn, err := b.attach(ctx, in, cmp.Or(grant.Second, s.Second))
		if err == nil {
			b.passphrase.Store(&grant.Passphrase)
		}
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
			return g, fmt.Errorf("ingest: publish: %w", answered(err))
		}
	}
	if !streamName.MatchString(g.Stream) {
		return g, fmt.Errorf("ingest: publish %q: %w: a stream's name is 1 to 64 of a-z 0-9 _ -, beginning with a letter or digit", g.Stream, ErrDenied)
	}
	return g, checkPassphrase(g)
}

// broadcasts are those that run, by stream.
type broadcasts struct {
	mu      sync.Mutex
	m       map[string]*Broadcast
	loading map[string]chan struct{} // streams whose position is being read; closed when it is
	stopped bool
	unsaved unsaved
	wg      sync.WaitGroup
}

// storeTimeout bounds what Positions may take.
const storeTimeout = 5 * time.Second

// get returns the stream's broadcast, a new one if none waits for its encoder.
// Where that stream's position comes from may be slow: only the same stream's
// other publishers wait for it.
func (t *broadcasts) get(ctx context.Context, s *Server, grant Grant) (*Broadcast, error) {
	b, err := t.reserve(ctx, grant.Stream)
	if b != nil || err != nil {
		return b, err
	}
	loading, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	at, known := t.unsaved.get(grant.Stream)
	if !known {
		err = protect(func() (err error) { at, err = s.Positions.Load(loading, grant.Stream); return err })
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.loading[grant.Stream])
	delete(t.loading, grant.Stream)
	switch {
	case err != nil:
		return nil, internalError{err}
	case t.stopped:
		return nil, errStopped
	}
	return t.begin(ctx, s, grant, at), nil
}

var errStopped = errors.New("ingest: the server is shutting down")

// reserve returns the stream's broadcast. If it is nil, the caller has to begin
// one.
func (t *broadcasts) reserve(ctx context.Context, stream string) (*Broadcast, error) {
	for {
		t.mu.Lock()
		b, loading := t.m[stream], t.loading[stream]
		switch {
		case t.stopped:
			t.mu.Unlock()
			return nil, errStopped
		case b != nil && !b.isEnded():
			t.mu.Unlock()
			return b, nil
		case loading == nil:
			if t.loading == nil {
				t.loading = make(map[string]chan struct{})
			}
			t.loading[stream] = make(chan struct{})
			t.mu.Unlock()
			return nil, nil
		}
		t.mu.Unlock()
		select {
		case <-loading:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// begin starts a broadcast; t.mu is held.
func (t *broadcasts) begin(ctx context.Context, s *Server, grant Grant, at Position) *Broadcast {
	stream := grant.Stream
	last := t.m[stream]
	b := newBroadcast(stream, at, broadcastConfig{
		segment: s.SegmentDur, grace: s.Grace, standby: s.StandbyAfter, idle: s.Idle,
		slate: cmp.Or(grant.Slate, s.Slate), slateAfter: s.SlateAfter, log: s.Log,
		save: func(p Position) error {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
			defer cancel()
			err := s.Positions.Save(ctx, stream, p)
			t.unsaved.note(stream, p, err)
			return err
		},
	})
	if t.m == nil {
		t.m = make(map[string]*Broadcast)
	}
	t.m[stream] = b
	t.wg.Go(func() {
		defer close(b.done)
		b.follow(ctx, last)
		t.run(ctx, s, b)
	})
	return b
}

// longestDrain is how long a broadcast waits for what reads the one before.
const longestDrain = 15 * time.Second

// follow waits until the application is done with the broadcast before, so that
// whatever it gives the stream's name to has it free again. What comes meanwhile
// is queued, and then the publisher waits too.
func (b *Broadcast) follow(ctx context.Context, last *Broadcast) {
	if last == nil {
		return
	}
	t := time.NewTimer(longestDrain)
	defer t.Stop()
	select {
	case <-last.done:
	case <-t.C:
		b.conf.log.Warn("the broadcast before has not been read to its end", "stream", b.Name, "waited", longestDrain)
	case <-b.closed:
	case <-ctx.Done():
	}
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
	t.stopped = true
	t.mu.Unlock()
	var ending sync.WaitGroup
	for _, b := range t.list() {
		ending.Go(b.End) // each saves its position
	}
	ending.Wait()
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
