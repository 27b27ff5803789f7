package rtc

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/sluice-live/sluice"
)

const (
	maxTracks   = 8
	sessionTick = 500 * time.Millisecond
	queueLength = 16 // access units; what is behind them waits in pion's buffers
	gatherTime  = 5 * time.Second
)

// Session is one peer that sends media. It is a sluice.Source.
type Session struct {
	server *Server
	log    *slog.Logger
	pc     *webrtc.PeerConnection
	common commonClock
	tracks []*sluice.Track // of the reader

	queue  chan sluice.Packet
	ended  chan struct{} // closed once err is set
	once   sync.Once
	err    error
	closed chan struct{} // everything is joined

	lastMedia atomic.Int64 // Unix time in ns; 0: none yet

	mu       sync.Mutex
	stopping bool   // no goroutine may be added
	after    func() // the end
	wg       sync.WaitGroup
	incoming []*incoming
	layout   layout
	away     time.Time // since when the peer cannot be reached
	remote   string    // the offer in force

	negotiating sync.Mutex // one exchange of descriptions at a time; of candidates
	candidates  int        // of the peer
}

var (
	_ sluice.Source       = (*Session)(nil)
	_ sluice.KeyRequester = (*Session)(nil)
)

func newSession(server *Server, api *webrtc.API, o *Offer) (*Session, error) {
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, fmt.Errorf("rtc: new session: %w", err)
	}
	s := &Session{
		server: server,
		log:    server.cfg.Log,
		pc:     pc,
		queue:  make(chan sluice.Packet, queueLength),
		ended:  make(chan struct{}),
		closed: make(chan struct{}),
		layout: layout{layers: o.layers},

		candidates: o.candidates,
	}
	pc.OnTrack(s.onTrack)
	pc.OnConnectionStateChange(s.onState)
	go s.watch()
	return s, nil
}

// answer takes the offer and waits until the answer is complete.
func (s *Session) answer(ctx context.Context, o *Offer) error {
	s.negotiating.Lock()
	defer s.negotiating.Unlock()
	return s.negotiate(ctx, o.text)
}

func (s *Session) negotiate(ctx context.Context, offer string) error {
	ctx, cancel := context.WithTimeout(ctx, gatherTime)
	defer cancel()
	err := s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer})
	if err != nil {
		return fmt.Errorf("rtc: take the offer: %w: %w", err, ErrOffer)
	}
	answer, err := s.pc.CreateAnswer(nil)
	if err != nil {
		return fmt.Errorf("rtc: answer the offer: %w: %w", err, ErrOffer)
	}
	gathered := webrtc.GatheringCompletePromise(s.pc)
	if err := s.pc.SetLocalDescription(answer); err != nil {
		return fmt.Errorf("rtc: answer the offer: %w: %w", err, ErrOffer)
	}
	select {
	case <-gathered:
	case <-s.ended:
		return s.err
	case <-ctx.Done():
		return fmt.Errorf("rtc: gather candidates: %w", ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remote = offer
	return nil
}

// Answer returns the SDP for the peer.
func (s *Session) Answer() string { return s.pc.LocalDescription().SDP }

// onState notes whether the peer can be reached.
func (s *Session) onState(state webrtc.PeerConnectionState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case webrtc.PeerConnectionStateConnected:
		s.away = time.Time{}
	case webrtc.PeerConnectionStateDisconnected:
		if s.away.IsZero() {
			s.away = time.Now()
		}
	case webrtc.PeerConnectionStateFailed:
		s.end(fmt.Errorf("%w: no way to it works any more", ErrGone))
	case webrtc.PeerConnectionStateClosed:
		s.end(io.EOF) // said goodbye
	}
}

// watch ends a session that has died, and tidies up.
func (s *Session) watch() {
	began := time.Now()
	tick := time.NewTicker(sessionTick)
	defer tick.Stop()
	for alive := true; alive; {
		select {
		case now := <-tick.C:
			s.check(began, now)
		case <-s.ended:
			alive = false
		}
	}
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	if err := s.pc.GracefulClose(); err != nil {
		s.log.Debug("WebRTC session not closed cleanly", "error", err)
	}
	s.wg.Wait()
	s.server.forget(s)
	if s.after != nil { // set no more
		s.after()
	}
	close(s.closed)
}

// onEnd has f called when the session ends. It reports false if it has ended.
func (s *Session) onEnd(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopping {
		s.after = f
	}
	return !s.stopping
}

func (s *Session) check(began, now time.Time) {
	cfg := s.server.cfg
	s.mu.Lock()
	away := s.away
	s.mu.Unlock()
	last := s.lastMedia.Load()
	switch {
	case !away.IsZero() && now.Sub(away) >= cfg.Away:
		s.end(fmt.Errorf("%w: it has not answered for %v", ErrGone, now.Sub(away).Round(time.Second)+5*time.Second))
	case last == 0 && now.Sub(began) >= cfg.FirstMedia:
		s.end(fmt.Errorf("%w for %v: is UDP or TCP port %d of this server reachable from there?",
			ErrSilent, cfg.FirstMedia, portOf(s.server.Addr())))
	case last != 0 && now.UnixNano()-last >= int64(cfg.Idle):
		s.end(fmt.Errorf("%w for %v", ErrSilent, cfg.Idle))
	}
}

// end makes the session end with err. It blocks for nobody.
func (s *Session) end(err error) {
	s.once.Do(func() {
		s.err = err
		close(s.ended)
	})
}

// Close ends the session and waits until all of it is gone.
func (s *Session) Close() error {
	s.end(io.ErrClosedPipe)
	<-s.closed
	return nil
}

// Ended is closed when the session has ended.
func (s *Session) Ended() <-chan struct{} { return s.ended }

// Hangup ends the session as the peer wished.
func (s *Session) Hangup() { s.end(io.EOF) }

// Tracks implements sluice.Source.
func (s *Session) Tracks() []*sluice.Track { return s.tracks }

// ReadPacket implements sluice.Source.
func (s *Session) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	select {
	case p := <-s.queue:
		return s.note(p), nil
	default:
	}
	select {
	case p := <-s.queue:
		return s.note(p), nil
	case <-s.ended:
		return sluice.Packet{}, s.err
	case <-ctx.Done():
		return sluice.Packet{}, ctx.Err()
	}
}

// note keeps the list of tracks.
func (s *Session) note(p sluice.Packet) sluice.Packet {
	if slices.Contains(s.tracks, p.Track) {
		return p
	}
	tracks := slices.DeleteFunc(slices.Clone(s.tracks), func(t *sluice.Track) bool { return t.ID == p.Track.ID })
	s.tracks = append(tracks, p.Track)
	return p
}

// deliver hands a packet to the reader, for whom it waits.
func (s *Session) deliver(p sluice.Packet) {
	select {
	case s.queue <- p:
	case <-s.ended:
	}
}

// RequestKey implements sluice.KeyRequester.
func (s *Session) RequestKey(track uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.incoming {
		if t.id == track && t.isVideo() {
			t.askKey()
			return true
		}
	}
	return false
}

// Stats returns the session's counters.
func (s *Session) Stats() (total Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.incoming {
		total.add(t.published())
	}
	return total
}

// onTrack serves a track until the session ends.
func (s *Session) onTrack(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	t := newIncoming(s, remote, receiver)
	s.mu.Lock()
	if t == nil || s.stopping || len(s.incoming) >= maxTracks {
		s.mu.Unlock()
		return
	}
	s.wg.Add(2)
	s.incoming = append(s.incoming, t)
	if remote.RID() == "" {
		t.id = s.layout.next(t.isVideo())
	}
	s.mu.Unlock()
	go s.guard(t.readReports)
	s.guard(t.read)
}

// guard runs part of a session; a panic ends it alone.
func (s *Session) guard(f func()) {
	defer s.wg.Done()
	defer func() {
		if r := recover(); r != nil {
			s.end(fmt.Errorf("rtc: panic: %v", r))
		}
	}()
	f()
}

func (s *Session) writeRTCP(p rtcp.Packet) {
	if err := s.pc.WriteRTCP([]rtcp.Packet{p}); err != nil {
		s.log.Debug("RTCP not sent", "error", err)
	}
}
