package ingest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// ConnLimits bound connections. The zero value is good.
type ConnLimits struct {
	// Max is how many may be open at a time; default 10,000. PerAddr is how
	// many of them from one address; default unbounded, as those behind one
	// may be many. A WebRTC publisher's is the one that its HTTP request came
	// from: a proxy's, if there is one.
	Max, PerAddr int
	// Handshake is how long one may take until it publishes or plays; default
	// 10 s. Idle is how long a publisher may send no byte; default 30 s.
	Handshake, Idle time.Duration
}

func (l ConnLimits) withDefaults() ConnLimits {
	setDefault(&l.Max, 10000)
	setDefault(&l.Handshake, 10*time.Second)
	setDefault(&l.Idle, 30*time.Second)
	return l
}

// connTable accepts connections within bounds and knows those that are open.
type connTable struct {
	limits ConnLimits
	log    *slog.Logger

	mu      sync.Mutex
	open    map[io.Closer]string
	perAddr map[string]int
	stats   ConnStats
}

// ConnStats counts a server's connections.
type ConnStats struct {
	Open             int
	Accepted         uint64
	Refused          uint64 // over a bound
	HandshakesFailed uint64 // ended before they published or played
}

// serve accepts until the listener is closed and gives each connection a
// goroutine.
func (t *connTable) serve(ctx context.Context, l net.Listener, wg *sync.WaitGroup, handle func(context.Context, net.Conn)) error {
	pause := 5 * time.Millisecond
	for {
		nc, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil { // out of file descriptors, say: others will close
			t.log.Error("cannot accept connections", "error", err)
			if sleep(ctx, pause) != nil {
				return err
			}
			pause = min(2*pause, time.Second)
			continue
		}
		pause = 5 * time.Millisecond
		if !t.add(nc, nc.RemoteAddr().String()) {
			nc.Close()
			continue
		}
		wg.Go(func() {
			defer t.remove(nc)
			defer nc.Close()
			if err := protect(func() error { handle(ctx, nc); return nil }); err != nil {
				t.log.Error("connection dropped", "remote", nc.RemoteAddr().String(), "error", err)
			}
		})
	}
}

// add reports false if a connection from remote is one too many.
func (t *connTable) add(c io.Closer, remote string) bool {
	addr, _, err := net.SplitHostPort(remote)
	if err != nil {
		addr = remote
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.open) >= t.limits.Max || t.limits.PerAddr > 0 && t.perAddr[addr] >= t.limits.PerAddr {
		t.stats.Refused++
		if t.stats.Refused&(t.stats.Refused-1) == 0 { // the 1st, 2nd, 4th, 8th …: a flood must not fill the log
			t.log.Warn("connection refused: too many are open", "remote", addr, "open", len(t.open),
				"from this address", t.perAddr[addr], "refused so far", t.stats.Refused)
		}
		return false
	}
	if t.open == nil {
		t.open, t.perAddr = make(map[io.Closer]string), make(map[string]int)
	}
	t.open[c] = addr
	t.perAddr[addr]++
	t.stats.Accepted++
	return true
}

func (t *connTable) remove(c io.Closer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	addr := t.open[c]
	delete(t.open, c)
	if t.perAddr[addr]--; t.perAddr[addr] == 0 {
		delete(t.perAddr, addr)
	}
}

func (t *connTable) handshakeFailed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.HandshakesFailed++
}

func (t *connTable) closeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.open {
		c.Close()
	}
}

// ConnStats returns the server's connection counters.
func (s *Server) ConnStats() ConnStats {
	s.conns.mu.Lock()
	defer s.conns.mu.Unlock()
	st := s.conns.stats
	st.Open = len(s.conns.open)
	return st
}
