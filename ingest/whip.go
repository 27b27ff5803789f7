package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/rtc"
)

// ICE says how WebRTC publishers find the server. The zero value names all
// addresses of this machine.
type ICE struct {
	// Advertise are the IP addresses to name instead, for a host behind 1:1 NAT
	// or a forwarded port.
	Advertise []string
	// Servers are STUN and TURN servers that publishers are told of.
	Servers []ICEServer
}

// ICEServer is a STUN or TURN server: URL is stun:…, turn:… or turns:….
type ICEServer = rtc.ICEServer

// rtcScale is that of the sessions' clock, which does not wrap.
const rtcScale = 90000

// rtcPort takes WebRTC publishers, which come through an HTTP handler.
type rtcPort struct {
	server  *Server
	address string
	whip    rtc.WHIP

	mu       sync.Mutex
	rtc      *rtc.Server     // nil before listen
	ctx      context.Context // bounds sessions; nil unless serving
	closed   chan struct{}
	isClosed bool
	sessions sync.WaitGroup
}

var _ port = (*rtcPort)(nil)

func (p *rtcPort) init(s *Server) {
	p.server, p.address = s, s.RTC
	p.whip = rtc.WHIP{Publish: p.publish, ICEServers: s.ICE.Servers}
}

func (p *rtcPort) listen() error {
	s := p.server
	l, err := rtc.Listen(rtc.Config{
		Address: p.address, Advertise: s.ICE.Advertise, FirstMedia: s.Conns.Handshake, Idle: s.Conns.Idle, Log: s.Log,
	})
	if err != nil {
		return fmt.Errorf("ingest: WebRTC: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rtc, p.closed, p.isClosed = l, make(chan struct{}), false
	return nil
}

// serve lets sessions in until close. The port itself stays open until the last
// one has ended.
func (p *rtcPort) serve(ctx context.Context, wg *sync.WaitGroup) error {
	p.mu.Lock()
	p.ctx = ctx
	p.mu.Unlock()
	<-p.closed
	p.mu.Lock()
	p.ctx = nil
	p.mu.Unlock()
	wg.Go(func() {
		p.sessions.Wait()
		if err := p.rtc.Close(); err != nil {
			p.server.Log.Warn("WebRTC port not closed", "error", err)
		}
	})
	return errors.New("ingest: WebRTC: port closed")
}

func (p *rtcPort) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isClosed {
		return
	}
	p.isClosed = true
	close(p.closed)
	if p.ctx == nil {
		_ = p.rtc.Close() // it has served nobody
	}
}

func (p *rtcPort) stats() (st rtc.Stats, sessions int) {
	p.mu.Lock()
	l := p.rtc
	p.mu.Unlock()
	if l == nil {
		return st, 0
	}
	return l.Stats()
}

// RTCAddr returns the address of the server's WebRTC ports; nil before Listen.
func (s *Server) RTCAddr() net.Addr {
	s.rtc.mu.Lock()
	defer s.rtc.mu.Unlock()
	if s.rtc.rtc == nil {
		return nil
	}
	return s.rtc.rtc.Addr()
}

// WHIP returns the handler through which WebRTC publishers come (RFC 9725), for
// /whip, /whip/{key} and what is below. It works while the server runs and RTC
// is set.
func (s *Server) WHIP() http.Handler {
	s.init()
	return &s.rtc.whip
}

// publish admits a publisher with an offer.
func (p *rtcPort) publish(_ context.Context, r *Request, o *rtc.Offer) (*rtc.Session, error) {
	log := p.server.Log.With("remote", r.Remote, "protocol", r.Protocol, "agent", r.Agent)
	pub := &whipPublisher{port: p, offer: o, answered: make(chan error, 1), log: log}
	ctx, err := p.enter(pub, r.Remote)
	if err != nil {
		return nil, err
	}
	in := newInput(rtcScale, 0, func() hints { return hints{known: true, video: o.Video, audio: o.Audio} })
	go func() {
		defer p.leave(pub)
		err := protect(func() error { p.server.publish(ctx, r, in, pub, log); return nil })
		if err != nil {
			log.Error("WebRTC session dropped", "error", err)
			pub.answer(errFailed)
		}
	}()
	if err := <-pub.answered; err != nil {
		return nil, err
	}
	return pub.session, nil
}

// enter counts a publisher in.
func (p *rtcPort) enter(pub *whipPublisher, remote string) (context.Context, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ctx == nil || p.isClosed:
		return nil, fmt.Errorf("ingest: WebRTC: %w: the server is not running", rtc.ErrFull)
	case !p.server.conns.add(pub, remote):
		return nil, fmt.Errorf("ingest: WebRTC: %w", rtc.ErrFull)
	}
	p.sessions.Add(1)
	return p.ctx, nil
}

func (p *rtcPort) leave(pub *whipPublisher) {
	p.server.conns.remove(pub)
	p.sessions.Done()
}

// whipPublisher is a publisher that came with an offer.
type whipPublisher struct {
	port     *rtcPort
	offer    *rtc.Offer
	session  *rtc.Session // once it has started
	answered chan error   // nil: with the session
	log      *slog.Logger
}

var _ publisher = (*whipPublisher)(nil)

// Close is for the table of connections. What ends a session is its ctx.
func (p *whipPublisher) Close() error { return nil }

// answer says what became of the offer. Only the first counts.
func (p *whipPublisher) answer(err error) {
	select {
	case p.answered <- err:
	default:
	}
}

func (p *whipPublisher) refuse(reason error) { p.answer(reason) }

func (p *whipPublisher) start(ctx context.Context) (sluice.Source, error) {
	session, err := p.port.rtc.Answer(ctx, p.offer)
	p.session = session
	p.answer(err)
	return session, err
}

// end hangs up. WHIP has no words for a reason.
func (p *whipPublisher) end(error) {
	_ = p.session.Close() // never fails
	if st := p.session.Stats(); st.Lost > 0 || st.FramesDropped > 0 {
		p.log.Info("WebRTC loss", "packets", st.Packets, "asked again", st.Asked, "repaired", st.Repaired,
			"lost", st.Lost, "frames dropped", st.FramesDropped)
	}
}
