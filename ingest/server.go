package ingest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/access"
)

// Request is a wish to publish or to play, as the callbacks of a Server see it.
type Request = access.Request

// Errors that callbacks answer a Request with. The text of one that wraps them
// is told to the peer; of all others it is logged alone.
var (
	ErrDenied   = access.ErrDenied
	ErrBusy     = access.ErrBusy
	ErrNotFound = access.ErrNotFound
)

// Grant is what a publisher may do.
type Grant struct {
	// Stream is the name of the stream that the key belongs to: 1 to 64 of
	// a-z 0-9 _ -, beginning with a letter or digit.
	Stream string
	// Limits bound this publisher; the zero value leaves it to Server.Limits.
	Limits Limits
	// Passphrase, if not empty, is what the stream is encrypted with over SRT:
	// its publisher and its players must have it. 10 to 80 bytes. Other
	// protocols do not ask for it, and of players who ask for another name than
	// Stream it is not asked: a Play that knows aliases has to check them.
	Passphrase string
	// Second says what becomes of this publisher where the stream has one; the
	// zero value leaves it to Server.Second.
	Second Second
	// Slate stands for this stream in the place of Server.Slate; nil leaves it
	// to that. The first publisher of a broadcast decides.
	Slate *Slate
}

var streamName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// Server takes broadcasts in, and serves players on the same ports. Set the
// fields, then call Run. The zero value of each optional field works.
type Server struct {
	// RTMP is the address to listen on for RTMP, such as ":1935"; none if
	// empty. RTMPS is one for RTMP over TLS, such as ":443"; none if empty.
	RTMP, RTMPS string
	// TLS is what RTMPS needs: at least a certificate.
	TLS *tls.Config
	// SRT is the address to listen on for SRT, such as ":8890"; none if empty.
	// Publishers send MPEG-TS with the stream id publish:KEY or
	// #!::m=publish,r=KEY, players ask for #!::m=request,r=STREAM.
	SRT string
	// SRTLatency is how long SRT packets are held back for lost ones to come
	// again; a peer that asks for more gets it. Default 120 ms.
	SRTLatency time.Duration
	// RTC is the address of one UDP and one TCP port for WebRTC, such as ":8189";
	// none if empty. Publishers come through the handler that WHIP returns.
	RTC string
	// ICE says how WebRTC publishers find these ports.
	ICE ICE

	// Authorize is asked before the protocol says yes. nil lets everybody
	// publish, with the stream's name for a key: only for trying out.
	Authorize func(ctx context.Context, r *Request) (Grant, error)
	// Play finds the stream that a player asks for. nil refuses players.
	Play func(ctx context.Context, r *Request) (*sluice.Stream, error)
	// Broadcast runs a broadcast: it reads b until io.EOF. It is called once
	// per broadcast, in a goroutine of its own; when it returns, the broadcast
	// ends and its publisher is disconnected. It is required.
	Broadcast func(ctx context.Context, b *Broadcast) error

	// Positions keep numbers and eras from one broadcast to the next; nil
	// keeps them in memory.
	Positions Positions
	// SegmentDur is T, the distance of segment starts, from 1 s; default 4 s.
	SegmentDur time.Duration
	// Grace is how long a broadcast waits for its encoder to come back; default
	// 30 s.
	Grace time.Duration
	// Slate is shown while a broadcast's encoder is away, until it is back or the
	// grace time is over; nil shows gaps.
	Slate *Slate
	// SlateAfter is how long an encoder may be gone before the slate is shown;
	// one that is still connected may be silent four times as long. Default
	// 0.5 s. Shorter shows it at every hiccup, longer makes viewers stall.
	SlateAfter time.Duration
	// Second says what becomes of a publisher who comes while the stream has
	// one; default Refuse.
	Second Second
	// StandbyAfter is how long no frame may come before a spare takes over,
	// see Standby; default 1 s.
	StandbyAfter time.Duration
	// Idle is how long a publisher may send no media before it is
	// disconnected; default 30 s.
	Idle time.Duration
	// Drain is how long broadcasts and players may take to end once Run's ctx
	// is done; default 5 s.
	Drain time.Duration
	// Limits bound every publisher whose Grant has none of its own.
	Limits Limits
	// Conns bounds connections, of publishers and players.
	Conns ConnLimits
	// Log takes what happens; nil discards it.
	Log *slog.Logger

	once   sync.Once
	memory memory
	conns  connTable
	live   broadcasts
	fans   fanouts

	rtmp, rtmps rtmpPort
	srt         srtPort
	rtc         rtcPort

	listening sync.Mutex
	ports     []port // that are open
}

func (s *Server) init() {
	s.once.Do(func() {
		if s.Log == nil {
			s.Log = slog.New(slog.DiscardHandler)
		}
		if s.Positions == nil {
			s.Positions = &s.memory
		}
		setDefault(&s.SegmentDur, defaultSegment)
		setDefault(&s.Grace, 30*time.Second)
		setDefault(&s.Drain, 5*time.Second)
		s.Conns = s.Conns.withDefaults()
		s.rtmp = rtmpPort{server: s, name: "RTMP", address: s.RTMP}
		s.rtmps = rtmpPort{server: s, name: "RTMPS", address: s.RTMPS, tls: s.TLS}
		s.rtc.init(s)
		s.srt.server, s.srt.address = s, s.SRT
		s.conns.log, s.conns.limits = s.Log, s.Conns
	})
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

func hasCertificate(c *tls.Config) bool {
	return c != nil && (len(c.Certificates) > 0 || c.GetCertificate != nil || c.GetConfigForClient != nil)
}

// port is one of the ways in.
type port interface {
	listen() error
	// serve takes connections, each in a goroutine of wg, until close; ctx bounds them.
	serve(ctx context.Context, wg *sync.WaitGroup) error
	close()
}

// Listen opens the server's ports, so that their addresses are known before
// Run. Run calls it.
func (s *Server) Listen() (err error) {
	s.init()
	s.listening.Lock()
	defer s.listening.Unlock()
	switch {
	case s.ports != nil:
		return nil
	case s.Broadcast == nil:
		return errors.New("ingest: Server.Broadcast is not set: nobody would read the broadcasts")
	case s.SegmentDur < time.Second:
		return fmt.Errorf("ingest: segments of %v: the shortest that players take are of 1 s", s.SegmentDur)
	}
	var ports []port
	if s.RTMP != "" {
		ports = append(ports, &s.rtmp)
	}
	if s.RTMPS != "" {
		if !hasCertificate(s.TLS) {
			return errors.New("ingest: RTMPS needs a certificate: set Server.TLS")
		}
		ports = append(ports, &s.rtmps)
	}
	if s.RTC != "" {
		ports = append(ports, &s.rtc)
	}
	if s.SRT != "" {
		ports = append(ports, &s.srt)
	}
	if len(ports) == 0 {
		return errors.New("ingest: no address to listen on: set Server.RTMP, RTMPS, SRT or RTC")
	}
	for i, p := range ports {
		if err := p.listen(); err != nil {
			for _, open := range ports[:i] {
				open.close()
			}
			return err
		}
	}
	s.ports = ports
	return nil
}

// Run serves until ctx is done. Then it ends its broadcasts, lets readers and
// players have what is left for the time of Drain, and returns nil once
// everything has ended. A Server runs once.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(work, s.conns.closeAll)()
	var wg sync.WaitGroup // of connections
	err := s.accept(ctx, work, &wg)
	s.live.endAll()
	done := make(chan struct{})
	go func() {
		wg.Wait()
		s.live.wait()
		close(done)
	}()
	drain := time.NewTimer(s.Drain)
	defer drain.Stop()
	select {
	case <-done:
	case <-drain.C:
		cancel()
		<-done
	}
	return err
}

// accept takes connections on all ports until ctx is done, or one fails.
func (s *Server) accept(ctx, work context.Context, wg *sync.WaitGroup) error {
	closePorts := func() {
		for _, p := range s.ports {
			p.close()
		}
	}
	defer context.AfterFunc(ctx, closePorts)()
	failed := make(chan error, len(s.ports))
	var accepting sync.WaitGroup
	for _, p := range s.ports {
		accepting.Go(func() {
			failed <- p.serve(work, wg)
			closePorts()
		})
	}
	accepting.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return <-failed // the first
}
