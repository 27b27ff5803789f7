package rtc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"
)

// Buffers of the ports. The kernel bounds the UDP ones (net.core.rmem_max).
const (
	udpBuffer    = 4 << 20
	tcpRead      = 256 // packets
	tcpWrite     = 256 << 10
	firstBinding = 10 * time.Second
)

// Server has the ports that all its sessions share.
type Server struct {
	cfg      Config
	tcp, all webrtc.SettingEngine // for TCP only, and for both
	udpPort  *net.UDPConn
	tcpPort  net.Listener
	muxes    []io.Closer

	mu       sync.Mutex
	closed   bool
	sessions map[*Session]struct{}
	past     Stats
}

// Listen opens the ports.
func Listen(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg.withDefaults(), sessions: make(map[*Session]struct{})}
	if err := s.listen(); err != nil {
		return nil, fmt.Errorf("rtc: listen (is another server on the port?): %w", err)
	}
	log := loggers{s.cfg.Log}
	udp := ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: s.udpPort, Logger: log.NewLogger("udp")})
	tcp := ice.NewTCPMuxDefault(ice.TCPMuxParams{
		Listener: s.tcpPort, Logger: log.NewLogger("tcp"), ReadBufferSize: tcpRead, WriteBufferSize: tcpWrite,
		FirstStunBindTimeout: firstBinding, AliveDurationForConnFromStun: firstBinding,
	})
	s.muxes = append(s.muxes, udp, tcp)
	var err error
	if s.tcp, err = s.settings(nil, tcp); err == nil {
		s.all, err = s.settings(udp, tcp)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("rtc: set up WebRTC: %w", err), s.Close())
	}
	return s, nil
}

// listen opens a TCP port and the UDP port of the same number.
func (s *Server) listen() (err error) {
	const tries = 10 // for a number that is free in both, where the system chooses
	for range tries {
		if s.tcpPort, err = net.Listen("tcp", s.cfg.Address); err != nil {
			return err
		}
		at := s.tcpPort.Addr().(*net.TCPAddr)
		s.udpPort, err = net.ListenUDP("udp", &net.UDPAddr{IP: at.IP, Port: at.Port, Zone: at.Zone})
		if err == nil {
			_ = s.udpPort.SetReadBuffer(udpBuffer)  // as much as the kernel
			_ = s.udpPort.SetWriteBuffer(udpBuffer) // lets us have
			return nil
		}
		s.tcpPort.Close()
		if _, port, splitErr := net.SplitHostPort(s.cfg.Address); splitErr != nil || port != "0" {
			return err
		}
	}
	return err
}

// settings are those of sessions over the muxes given.
func (s *Server) settings(udp ice.UDPMux, tcp ice.TCPMux) (webrtc.SettingEngine, error) {
	e := settings(s.cfg)
	networks := []webrtc.NetworkType{webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6}
	if udp != nil {
		e.SetICEUDPMux(udp)
		networks = append(networks, webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6)
	}
	e.SetICETCPMux(tcp)
	e.DisableActiveTCP(true)
	e.SetNetworkTypes(networks)
	e.SetIncludeLoopbackCandidate(s.loopback())
	if len(s.cfg.Advertise) > 0 {
		rule := webrtc.ICEAddressRewriteRule{External: s.cfg.Advertise, AsCandidateType: webrtc.ICECandidateTypeHost, Mode: webrtc.ICEAddressRewriteReplace}
		if err := e.SetICEAddressRewriteRules(rule); err != nil {
			return e, fmt.Errorf("advertise %v: %w", s.cfg.Advertise, err)
		}
	}
	return e, nil
}

// loopback reports whether this machine may be reached over the loopback
// interface alone: the port is bound there, or there is no other.
func (s *Server) loopback() bool {
	at := s.tcpPort.Addr().(*net.TCPAddr)
	if !at.IP.IsUnspecified() {
		return at.IP.IsLoopback()
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			return false
		}
	}
	return true
}

// settings are those of both ends.
func settings(cfg Config) webrtc.SettingEngine {
	var e webrtc.SettingEngine
	e.LoggerFactory = loggers{cfg.Log}
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled) // .local candidates come as peer-reflexive ones
	e.SetICETimeouts(5*time.Second, 25*time.Second, 2*time.Second)
	e.SetReceiveMTU(1600)
	return e
}

// newAPI returns pion's entry point for one session in the formats given.
func newAPI(e webrtc.SettingEngine, formats []format, log logging.LoggerFactory) (*webrtc.API, error) {
	m := &webrtc.MediaEngine{}
	for _, f := range formats {
		if err := f.register(m); err != nil {
			return nil, err
		}
	}
	r := &interceptor.Registry{}
	receiver, err := report.NewReceiverInterceptor(report.WithReceiverLoggerFactory(log))
	if err != nil {
		return nil, err
	}
	r.Add(receiver)
	if err := webrtc.ConfigureSimulcastExtensionHeaders(m); err != nil {
		return nil, err
	}
	if err := webrtc.ConfigureTWCCSenderWithOptions(m, r, twcc.WithLoggerFactory(log)); err != nil {
		return nil, err
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(r), webrtc.WithSettingEngine(e)), nil
}

// Addr returns the address of the ports.
func (s *Server) Addr() net.Addr { return s.tcpPort.Addr() }

// Close ends all sessions and closes the ports.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	var open []*Session
	for session := range s.sessions {
		open = append(open, session)
	}
	s.mu.Unlock()
	var wg sync.WaitGroup
	for _, session := range open {
		wg.Go(func() { _ = session.Close() }) // never fails
	}
	wg.Wait()
	var errs []error
	for _, m := range s.muxes {
		errs = append(errs, ignoreClosed(m.Close()))
	}
	return errors.Join(append(errs, ignoreClosed(s.udpPort.Close()), ignoreClosed(s.tcpPort.Close()))...)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Stats returns the counters of all sessions so far, and how many there are.
func (s *Server) Stats() (total Stats, sessions int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	total = s.past
	for session := range s.sessions {
		total.add(session.Stats())
	}
	return total, len(s.sessions)
}

var errClosed = errors.New("rtc: the server is shutting down")

// Answer answers an offer with a new session.
func (s *Server) Answer(ctx context.Context, o *Offer) (*Session, error) {
	settings := s.all
	if o.TCPOnly {
		settings = s.tcp
	}
	api, err := newAPI(settings, o.formats, loggers{s.cfg.Log})
	if err != nil {
		return nil, fmt.Errorf("rtc: take the offer: %w: %w", err, ErrOffer)
	}
	session, err := newSession(s, api, o)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.sessions[session] = struct{}{}
	}
	s.mu.Unlock()
	if closed {
		err = errClosed
	} else {
		err = session.answer(ctx, o)
	}
	if err != nil {
		_ = session.Close() // never fails
		return nil, err
	}
	return session, nil
}

// forget takes a session that has ended off the list.
func (s *Server) forget(session *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.sessions[session]; ok {
		delete(s.sessions, session)
		s.past.add(session.Stats())
	}
}

func portOf(a net.Addr) int {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.Port
	}
	return 0
}
