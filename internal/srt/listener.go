package srt

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/datarhei/gosrt/packet"

	"github.com/sluice-live/sluice/internal/access"
)

// Listener takes publishers and players on one UDP port.
type Listener struct {
	*endpoint
	secret   [32]byte
	started  time.Time
	arrivals chan *Pending
	stopped  chan struct{}
	stopOnce sync.Once

	// Guarded by endpoint.mu:
	known  map[caller]*Conn // nil while it is pending
	closed bool

	handshakes, refused, overloaded atomic.Uint64
}

// caller tells one handshake from another.
type caller struct {
	addr netip.AddrPort
	id   uint32
}

// ListenerStats count what came to a Listener.
type ListenerStats struct {
	Conns, Pending int    // now
	Handshakes     uint64 // that asked to publish or to play
	Refused        uint64 // of these, with a reason
	Overloaded     uint64 // of these, because too many were pending
	Malformed      uint64 // packets dropped
}

// Listen opens a UDP port.
func Listen(ctx context.Context, address string, cfg Config) (*Listener, error) {
	pc, err := bind(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("srt: listen: %w", err)
	}
	cfg = cfg.withDefaults()
	l := &Listener{
		endpoint: &endpoint{cfg: cfg, pc: pc},
		started:  time.Now(),
		arrivals: make(chan *Pending, cfg.Pending),
		stopped:  make(chan struct{}),
		known:    make(map[caller]*Conn),
	}
	_, _ = rand.Read(l.secret[:]) // never fails
	l.greet = l.handshake
	wantDestination(pc)
	l.run()
	return l, nil
}

// Addr returns the address that l listens on.
func (l *Listener) Addr() net.Addr { return l.pc.LocalAddr() }

// Stats returns the counters.
func (l *Listener) Stats() ListenerStats {
	l.mu.RLock()
	conns, known := len(l.conns), len(l.known)
	l.mu.RUnlock()
	return ListenerStats{
		Conns: conns, Pending: max(known-conns, 0), Handshakes: l.handshakes.Load(), Refused: l.refused.Load(),
		Overloaded: l.overloaded.Load(), Malformed: l.malformed.Load(),
	}
}

// Accept returns the next caller that has asked to publish or to play. The
// error wraps net.ErrClosed after Close.
func (l *Listener) Accept(ctx context.Context) (*Pending, error) {
	select {
	case p := <-l.arrivals:
		return p, nil
	case <-l.stopped:
		return nil, fmt.Errorf("srt: accept: %w", net.ErrClosed)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Stop takes no more callers. Those who are connected stay.
func (l *Listener) Stop() { l.stopOnce.Do(func() { close(l.stopped) }) }

func (l *Listener) isStopped() bool {
	select {
	case <-l.stopped:
		return true
	default:
		return false
	}
}

// Close ends the connections and closes the port.
func (l *Listener) Close() error {
	l.Stop()
	for len(l.arrivals) > 0 {
		(<-l.arrivals).refuse(CodeClose)
	}
	l.mu.Lock()
	l.closed = true
	conns := slices.Collect(maps.Values(l.conns))
	l.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // never fails
	}
	l.close()
	return nil
}

// cookie proves that a caller gets what is sent to its address.
func (l *Listener) cookie(addr netip.AddrPort, minute int64) uint32 {
	mac := hmac.New(sha256.New, l.secret[:])
	b, _ := addr.MarshalBinary() // never fails
	mac.Write(binary.BigEndian.AppendUint64(b, uint64(minute)))
	return max(binary.BigEndian.Uint32(mac.Sum(nil)), 1)
}

func (l *Listener) minute() int64 { return int64(time.Since(l.started) / time.Minute) }

func (l *Listener) stamp() uint32 { return uint32(time.Since(l.started).Microseconds()) }

// handshake takes a handshake packet.
func (l *Listener) handshake(b []byte, from peerAddr) {
	h, err := parseHandshake(b)
	if err != nil {
		l.bad(from, err)
		return
	}
	from.oob = replyFrom(from.oob)
	switch h.HandshakeType {
	case packet.HSTYPE_INDUCTION:
		l.induction(h, from)
	case packet.HSTYPE_CONCLUSION:
		if m := l.minute(); h.SynCookie != l.cookie(from.addr, m) && h.SynCookie != l.cookie(from.addr, m-1) {
			return // whoever does not get our packets gets none
		}
		l.conclusion(h, from, word(b, 2))
	}
}

func (l *Listener) induction(h *packet.CIFHandshake, from peerAddr) {
	h.IsRequest = false
	h.Version = 5
	h.EncryptionField, h.ExtensionField = 0, inductionMagic
	h.SynCookie = l.cookie(from.addr, l.minute())
	setPeerIP(h, from)
	to := h.SRTSocketId
	l.say(h, from, to)
}

// say sends a handshake.
func (l *Listener) say(h *packet.CIFHandshake, from peerAddr, to uint32) {
	b, err := handshakePacket(h, l.stamp(), to)
	if err != nil {
		l.bad(from, err)
		return
	}
	l.write(b, from.oob, from.addr)
}

func (l *Listener) reject(h *packet.CIFHandshake, from peerAddr, code Code) {
	r := &packet.CIFHandshake{
		Version: 5, HandshakeType: code.wire(), SRTSocketId: h.SRTSocketId,
		InitialPacketSequenceNumber: h.InitialPacketSequenceNumber,
		MaxTransmissionUnitSize:     mtu, MaxFlowWindowSize: maxWindow,
	}
	setPeerIP(r, from)
	l.refused.Add(1)
	l.say(r, from, h.SRTSocketId)
}

// conclusion takes what a caller asks for.
func (l *Listener) conclusion(h *packet.CIFHandshake, from peerAddr, stamp uint32) {
	key := caller{from.addr, h.SRTSocketId}
	l.mu.RLock()
	c, known := l.known[key]
	pending := len(l.known) - len(l.conns)
	l.mu.RUnlock()
	if known {
		if c != nil { // our answer was lost
			l.write(c.response, from.oob, from.addr)
		}
		return
	}
	l.handshakes.Add(1)
	if code, err := check(h); err != nil {
		l.cfg.Log.Info("SRT handshake refused", "remote", from.addr.String(), "error", err)
		l.reject(h, from, code)
		return
	}
	if l.isStopped() {
		l.reject(h, from, CodeClose)
		return
	}
	if pending >= l.cfg.Pending {
		l.overloaded.Add(1)
		l.reject(h, from, CodeOverload)
		return
	}
	id, err := parseStreamID(h.StreamId)
	if err != nil {
		l.cfg.Log.Info("SRT handshake refused", "remote", from.addr.String(), "error", err)
		l.reject(h, from, codeOf(err))
		return
	}
	p := &Pending{l: l, h: h, key: key, from: from, stamp: stamp, at: time.Now(), id: id}
	l.mu.Lock()
	l.known[key] = nil
	l.mu.Unlock()
	select {
	case l.arrivals <- p:
	default:
		l.overloaded.Add(1)
		p.refuse(CodeOverload)
	}
}

// forget takes a caller out of the books.
func (l *Listener) forget(key caller) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.known, key)
}

// Pending is a caller that waits for an answer: Accept or Reject.
type Pending struct {
	l     *Listener
	h     *packet.CIFHandshake
	key   caller
	from  peerAddr
	stamp uint32
	at    time.Time
	id    streamID

	unlocked bool
	keys     *keys
	once     sync.Once
	conn     *Conn // once accepted
}

// Request returns what is asked for.
func (p *Pending) Request() *access.Request {
	return &access.Request{
		Protocol: "srt", Remote: p.from.addr.String(), Name: p.id.name, Token: p.id.query.Get("token"),
		Query: p.id.query, Agent: versionText(p.h.SRTHS.SRTVersion),
	}
}

// Play reports whether the caller wants to play; else it publishes.
func (p *Pending) Play() bool { return p.id.play }

// RemoteAddr returns the caller's address.
func (p *Pending) RemoteAddr() netip.AddrPort { return p.from.addr }

// Reject refuses, and tells why as far as SRT can.
func (p *Pending) Reject(reason error) { p.refuse(codeOf(reason)) }

func (p *Pending) refuse(code Code) {
	p.once.Do(func() {
		p.l.reject(p.h, p.from, code)
		p.l.forget(p.key)
	})
}

// errAnswered says that a Pending has had its answer.
var errAnswered = errors.New("srt: the handshake has been answered")

// Unlock checks the caller's passphrase against the one that is required, ""
// for none. If it is wrong, the error is a *RejectError, to be told with Reject.
func (p *Pending) Unlock(passphrase string) error {
	p.unlocked = true
	switch {
	case p.h.HasKM != (passphrase != ""):
		return fmt.Errorf("srt: %w", &RejectError{CodeUnsecure})
	case passphrase == "":
		return nil
	}
	var err error
	if p.keys, err = openKeys(p.h.SRTKM, passphrase); err != nil {
		return fmt.Errorf("srt: %w", &RejectError{CodeBadSecret})
	}
	return nil
}

// Accept says yes. A caller with a passphrase is to be unlocked before; if it
// was not, it is refused.
func (p *Pending) Accept() (*Conn, error) {
	if !p.unlocked {
		if err := p.Unlock(""); err != nil {
			p.Reject(err)
			return nil, err
		}
	}
	err := errAnswered
	p.once.Do(func() { p.conn, err = p.accept(p.keys) })
	return p.conn, err
}

// Close refuses the caller if it has no answer yet, and else closes its
// connection.
func (p *Pending) Close() error {
	p.refuse(CodeClose)
	if p.conn != nil {
		return p.conn.Close()
	}
	return nil
}

func (p *Pending) accept(k *keys) (*Conn, error) {
	l := p.l
	c := l.agree(p.h, l.freeID(), p.from, p.at, p.at, p.stamp)
	c.keys, c.media = k, !p.id.play
	c.heard, c.in.media = c.now(), c.now()
	r := &packet.CIFHandshake{
		Version: 5, HandshakeType: packet.HSTYPE_CONCLUSION, SRTSocketId: c.id,
		InitialPacketSequenceNumber: p.h.InitialPacketSequenceNumber,
		MaxTransmissionUnitSize:     p.h.MaxTransmissionUnitSize, MaxFlowWindowSize: maxWindow,
		HasHS: true, SRTHS: &packet.CIFHandshakeExtension{
			SRTVersion: ourVersion, SRTFlags: ourFlags,
			RecvTSBPDDelay: uint16(c.in.delay / 1000), SendTSBPDDelay: uint16(c.out.delay / 1000),
		},
		HasKM: p.h.HasKM, SRTKM: p.h.SRTKM,
	}
	setPeerIP(r, p.from)
	b, err := handshakePacket(r, uint32(c.now()), p.h.SRTSocketId)
	if err != nil {
		p.l.forget(p.key)
		return nil, fmt.Errorf("srt: accept: %w", err)
	}
	c.response = b
	c.onEnd = func() { l.forget(p.key) }
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, fmt.Errorf("srt: accept: %w", net.ErrClosed)
	}
	l.known[p.key], l.conns[c.id] = c, c
	l.mu.Unlock()
	signal(l.work)
	l.write(b, p.from.oob, p.from.addr)
	return c, nil
}

// freeID returns a socket id that nobody has.
func (l *Listener) freeID() uint32 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for {
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails
		id := binary.BigEndian.Uint32(b[:]) &^ (3 << 30)
		if _, taken := l.conns[id]; id != 0 && !taken {
			return id
		}
	}
}
