package ingest

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/rtmp"
)

// RTMP counts milliseconds in 32 bits.
const (
	rtmpScale = 1000
	rtmpWrap  = 1 << 32
)

// rtmpPort takes RTMP connections, of publishers and players.
type rtmpPort struct {
	server  *Server
	name    string
	address string
	tls     *tls.Config // nil: RTMP without

	mu       sync.Mutex
	listener net.Listener
}

var _ port = (*rtmpPort)(nil)

func (p *rtmpPort) listen() error {
	l, err := net.Listen("tcp", p.address)
	if err != nil {
		return fmt.Errorf("ingest: listen for %s (is another server on the port?): %w", p.name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener = l
	return nil
}

func (p *rtmpPort) serve(ctx context.Context, wg *sync.WaitGroup) error {
	err := p.server.conns.serve(ctx, p.listener, wg, p.handle)
	return fmt.Errorf("ingest: accept %s: %w", p.name, err)
}

func (p *rtmpPort) close() { _ = p.listener.Close() }

func (p *rtmpPort) addr() net.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener == nil {
		return nil
	}
	return p.listener.Addr()
}

// RTMPAddr returns the address that the server listens on for RTMP; nil before
// Listen.
func (s *Server) RTMPAddr() net.Addr { return s.rtmp.addr() }

// RTMPSAddr returns the address that the server listens on for RTMPS; nil
// before Listen.
func (s *Server) RTMPSAddr() net.Addr { return s.rtmps.addr() }

// handle serves one connection. What is closed from elsewhere is nc itself:
// TLS may take seconds for its good-bye.
func (p *rtmpPort) handle(ctx context.Context, nc net.Conn) {
	s := p.server
	if p.tls != nil {
		nc = tls.Server(nc, p.tls)
	}
	log := s.Log.With("remote", nc.RemoteAddr().String())
	c, err := rtmp.Accept(ctx, nc, rtmp.Config{HandshakeTimeout: s.Conns.Handshake, IdleTimeout: s.Conns.Idle, Log: log})
	if err != nil {
		s.conns.handshakeFailed()
		log.Info(p.name+" connection ended before it published or played", "error", err)
		return
	}
	r := c.Request()
	log = log.With("protocol", r.Protocol, "agent", r.Agent)
	if c.Play() {
		s.play(ctx, c, r, log)
		return
	}
	pub := &rtmpPublisher{conn: c, log: log}
	s.publish(ctx, r, newInput(rtmpScale, rtmpWrap, pub.hints), pub, log)
}

// rtmpPublisher is a publisher that came over RTMP.
type rtmpPublisher struct {
	conn *rtmp.ServerConn
	pub  *rtmp.Publisher // once it has started
	log  *slog.Logger
}

var _ publisher = (*rtmpPublisher)(nil)

func (p *rtmpPublisher) hints() hints {
	m := p.pub.Metadata()
	return hints{known: m.Known, video: m.HasVideo, audio: m.HasAudio, frameRate: m.FrameRate}
}

func (p *rtmpPublisher) refuse(reason error) {
	if err := p.conn.Reject(reason); err != nil {
		p.log.Debug("refused publisher is gone", "error", err)
	}
}

func (p *rtmpPublisher) start(ctx context.Context) (_ sluice.Source, err error) {
	p.pub, err = p.conn.Publish(ctx)
	return p.pub, err
}

func (p *rtmpPublisher) end(reason error) {
	if reason == nil {
		_ = p.pub.Close() // it may have gone first
	} else if err := p.pub.End(reason); err != nil {
		p.log.Debug("publisher is gone before it was told why", "error", err)
	}
	if n := p.pub.Stats().Dropped; n > 0 {
		p.log.Warn("publisher sent media that could not be used", "packets", n)
	}
}
