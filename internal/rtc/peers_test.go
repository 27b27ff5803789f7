package rtc

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/access"
)

// site is a WHIP endpoint that lets everybody in.
type site struct {
	*Server
	url      string
	sessions chan *Session
}

func newSite(t *testing.T, cfg Config) *site {
	cfg.Address = "127.0.0.1:0"
	if testing.Verbose() {
		cfg.Log = slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelInfo}))
	}
	server, err := Listen(cfg)
	require.NoError(t, err)
	s := &site{Server: server, sessions: make(chan *Session, 16)}
	h := &WHIP{ICEServers: cfg.ICEServers, Publish: func(ctx context.Context, r *access.Request, o *Offer) (*Session, error) {
		if r.Name == "stranger" {
			return nil, access.ErrDenied
		}
		session, err := server.Answer(ctx, o)
		if err == nil {
			s.sessions <- session
		}
		return session, err
	}}
	web := httptest.NewServer(h)
	s.url = web.URL + "/whip/key"
	t.Cleanup(func() {
		web.Close()
		require.NoError(t, server.Close())
	})
	return s
}

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Log(string(b))
	return len(b), nil
}

// publish dials and sends src until the test ends. It returns the session.
func (s *site) publish(t *testing.T, src sluice.Source, cfg ClientConfig) (*Session, *Client) {
	ctx, cancel := context.WithCancel(t.Context())
	c, err := Dial(ctx, s.url, src.Tracks(), cfg)
	if err != nil {
		cancel()
		require.NoError(t, err)
	}
	session := <-s.sessions
	var wg sync.WaitGroup
	wg.Go(func() { _ = c.Publish(ctx, src) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		require.NoError(t, c.Close())
	})
	return session, c
}

// read returns the next packet, which must come within 20 s.
func read(t *testing.T, s sluice.Source) sluice.Packet {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	p, err := s.ReadPacket(ctx)
	require.NoError(t, err)
	return p
}

// end reads on until the session ends, and returns why.
func end(t *testing.T, s sluice.Source, within time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for {
		if _, err := s.ReadPacket(ctx); err != nil {
			require.NoError(t, ctx.Err(), "the session does not end")
			return err
		}
	}
}

// relay is a line of UDP that loses packets.
type relay struct {
	front, back *net.UDPConn
	mu          sync.Mutex
	client      *net.UDPAddr
	loss        float64
	wg          sync.WaitGroup
}

func newRelay(t *testing.T, to net.Addr, loss float64) *relay {
	local := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}
	front, err := net.ListenUDP("udp", local)
	require.NoError(t, err)
	port := to.(*net.TCPAddr).Port
	back, err := net.DialUDP("udp", local, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	require.NoError(t, err)
	r := &relay{front: front, back: back, loss: loss}
	r.wg.Go(func() {
		buf := make([]byte, 2000)
		for {
			n, from, err := front.ReadFromUDP(buf)
			if err != nil {
				return
			}
			r.mu.Lock()
			r.client = from
			r.mu.Unlock()
			if !r.loses(buf[:n]) {
				_, _ = back.Write(buf[:n])
			}
		}
	})
	r.wg.Go(func() {
		buf := make([]byte, 2000)
		for {
			n, err := back.Read(buf)
			if err != nil {
				return
			}
			r.mu.Lock()
			to := r.client
			r.mu.Unlock()
			if to != nil && !r.loses(buf[:n]) {
				_, _ = front.WriteToUDP(buf[:n], to)
			}
		}
	})
	t.Cleanup(func() {
		front.Close()
		back.Close()
		r.wg.Wait()
	})
	return r
}

// loses decides over a packet: only media and its feedback are lost (RFC 7983).
func (r *relay) loses(b []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(b) > 0 && b[0] >= 128 && rand.Float64() < r.loss
}

func (r *relay) setLoss(loss float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loss = loss
}

func (r *relay) addr() string { return r.front.LocalAddr().String() }
