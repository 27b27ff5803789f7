package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/mpegts"
	"github.com/sluice-live/sluice/internal/srt"
)

// MPEG-TS counts 90 kHz in 33 bits.
const (
	tsScale = 90000
	tsWrap  = 1 << 33
)

// srtPort takes SRT connections, of publishers and players.
type srtPort struct {
	server  *Server
	address string

	mu       sync.Mutex
	listener *srt.Listener
	serving  bool
	open     map[*srt.Conn]SRTConn
	past     srtTotals
}

var _ port = (*srtPort)(nil)

func (p *srtPort) listen() error {
	s := p.server
	l, err := srt.Listen(context.Background(), p.address, srt.Config{
		Latency: s.SRTLatency, MediaTimeout: s.Conns.Idle, Log: s.Log,
	})
	if err != nil {
		return fmt.Errorf("ingest: listen for SRT (is another server on the port?): %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener = l
	return nil
}

var errTooMany = errors.New("ingest: too many connections are open")

// serve accepts until the port is closed. The socket, which the connections
// share, is closed behind the last of them.
func (p *srtPort) serve(ctx context.Context, wg *sync.WaitGroup) error {
	p.mu.Lock()
	p.serving = true
	p.mu.Unlock()
	var conns sync.WaitGroup
	defer wg.Go(func() {
		conns.Wait()
		_ = p.listener.Close() // never fails
	})
	table := &p.server.conns
	for {
		c, err := p.listener.Accept(ctx)
		if err != nil {
			return fmt.Errorf("ingest: accept SRT: %w", err)
		}
		remote := c.RemoteAddr().String()
		if !table.add(c, remote) {
			c.Reject(errTooMany)
			continue
		}
		conns.Add(1)
		wg.Go(func() {
			defer conns.Done()
			defer table.remove(c)
			defer func() { _ = c.Close() }() // never fails
			if err := protect(func() error { p.handle(ctx, c); return nil }); err != nil {
				table.log.Error("connection dropped", "remote", remote, "error", err)
			}
		})
	}
}

func (p *srtPort) close() {
	p.mu.Lock()
	serving := p.serving
	p.mu.Unlock()
	p.listener.Stop()
	if !serving {
		_ = p.listener.Close() // never fails
	}
}

// SRTAddr returns the address that the server listens on for SRT; nil before
// Listen.
func (s *Server) SRTAddr() net.Addr {
	s.srt.mu.Lock()
	defer s.srt.mu.Unlock()
	if s.srt.listener == nil {
		return nil
	}
	return s.srt.listener.Addr()
}

// handle serves one connection.
func (p *srtPort) handle(ctx context.Context, c *srt.Pending) {
	s, r := p.server, c.Request()
	log := s.Log.With("remote", r.Remote, "protocol", r.Protocol, "agent", r.Agent)
	if c.Play() {
		p.play(ctx, c, r, log)
		return
	}
	pub := &srtPublisher{port: p, pending: c, log: log}
	s.publish(ctx, r, newInput(tsScale, tsWrap, pub.hints), pub, log)
}

// srtPublisher is a publisher that came over SRT.
type srtPublisher struct {
	port    *srtPort
	pending *srt.Pending
	stream  string
	conn    *srt.Conn      // once it has started
	reader  *mpegts.Reader // the same
	log     *slog.Logger
}

var (
	_ publisher = (*srtPublisher)(nil)
	_ screener  = (*srtPublisher)(nil)
)

func (p *srtPublisher) hints() hints {
	video, audio, known := p.reader.Announced()
	return hints{known: known, video: video, audio: audio}
}

// screen checks the passphrase.
func (p *srtPublisher) screen(g Grant) error {
	p.stream = g.Stream
	return p.pending.Unlock(g.Passphrase)
}

func (p *srtPublisher) refuse(reason error) { p.pending.Reject(reason) }

func (p *srtPublisher) start(context.Context) (_ sluice.Source, err error) {
	if p.conn, err = p.pending.Accept(); err != nil {
		return nil, err
	}
	p.port.add(p.conn, SRTConn{Stream: p.stream})
	p.reader = mpegts.NewReader(p.conn, mpegts.Config{Log: p.log})
	return p.reader, nil
}

// end hangs up; SRT cannot say why.
func (p *srtPublisher) end(error) {
	_ = p.reader.Close() // and with it the connection; never fails
	p.port.remove(p.conn)
	st, ts := p.conn.Stats(), p.reader.Stats()
	log := p.log.With("stream", p.stream, "rtt", st.RTT, "latency", st.Latency, "lost", st.Lost, "retransmitted", st.Retransmitted)
	if st.Missing > 0 || st.Undecrypted > 0 || ts.Damaged > 0 || ts.Unusable > 0 {
		log.Warn("SRT publisher's stream had gaps", "missing", st.Missing, "belated", st.Belated, "overrun", st.Overrun,
			"undecrypted", st.Undecrypted, "damaged", ts.Damaged, "unusable", ts.Unusable)
		return
	}
	log.Info("SRT publisher's stream had no gaps")
}

// SRTConn is an SRT connection as Server.SRTStats shows it.
type SRTConn struct {
	Stream string
	Play   bool // it plays; else it publishes
	Remote string
	Since  time.Time
	SRTStats
}

// SRTStats are the figures of an SRT connection.
type SRTStats = srt.Stats

// srtTotals are counters over the connections that have ended.
type srtTotals struct {
	publishers, players uint64
	sent                srt.Stats // to players
}

func (t *srtTotals) add(st srt.Stats) {
	t.sent.PacketsSent += st.PacketsSent
	t.sent.BytesSent += st.BytesSent
	t.sent.Repeated += st.Repeated
	t.sent.SendDropped += st.SendDropped
}

func (p *srtPort) add(c *srt.Conn, as SRTConn) {
	as.Remote, as.Since = c.RemoteAddr().String(), time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		p.open = make(map[*srt.Conn]SRTConn)
	}
	p.open[c] = as
	if as.Play {
		p.past.players++
	} else {
		p.past.publishers++
	}
}

func (p *srtPort) remove(c *srt.Conn) {
	st := c.Stats()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[c].Play {
		p.past.add(st)
	}
	delete(p.open, c)
}

// SRTStats returns the figures of the SRT connections open, publishers first,
// in the order in which they came.
func (s *Server) SRTStats() []SRTConn {
	p := &s.srt
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]SRTConn, 0, len(p.open))
	for c, as := range p.open {
		as.SRTStats = c.Stats()
		all = append(all, as)
	}
	slices.SortFunc(all, func(a, b SRTConn) int {
		if a.Play != b.Play {
			if b.Play {
				return -1
			}
			return 1
		}
		return a.Since.Compare(b.Since)
	})
	return all
}
