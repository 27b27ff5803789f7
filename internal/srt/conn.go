package srt

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Errors of a Conn.
var (
	// ErrGone says that the peer has not been heard of for Config.PeerTimeout.
	// It wraps io.ErrUnexpectedEOF.
	ErrGone = fmt.Errorf("srt: peer is gone without a word: %w", io.ErrUnexpectedEOF)
	// ErrIdle says that a publisher sent no media for Config.MediaTimeout.
	ErrIdle = errors.New("srt: publisher sends no media")
	// ErrSlow says that the peer took nothing for Config.WriteTimeout. The
	// connection is open still.
	ErrSlow = errors.New("srt: too slow: the peer takes no more packets")
)

// Conn is an SRT connection. Its methods may be called at the same time, Read
// by one goroutine and Write by one goroutine.
type Conn struct {
	ep       *endpoint
	cfg      Config
	id       uint32 // ours
	peer     peer
	start    time.Time
	media    bool   // it is the peer who sends
	response []byte // our side of the handshake, to be said again
	onEnd    func() // may be nil

	mu    sync.Mutex
	in    receiver
	out   sender
	rtt   rtt
	keys  *keys // nil: not encrypted
	heard int64
	spoke int64
	err   error // why it ended; nil while it is open
	stats Stats

	ready, room chan struct{} // one token each: for Read, for Write
}

// peer is the other end.
type peer struct {
	id      uint32
	addr    netip.AddrPort
	from    []byte // control message that makes our packets come from the address it spoke to
	payload int    // the most bytes that a packet may carry
	agent   string
}

// receiver is the half of a connection that takes.
type receiver struct {
	inbox
	clock peerClock
	delay int64
	acks  acks
	media int64   // when media came last
	rest  *buffer // taken, and not read to its end
	read  int     // of rest
	rate  meter
}

// sender is the half of a connection that gives.
type sender struct {
	outbox
	delay   int64 // the peer's
	written int64 // when Write was last called
}

func (c *Conn) now() int64 { return c.at(time.Now()) }

func (c *Conn) at(t time.Time) int64 { return t.Sub(c.start).Microseconds() }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(c.peer.addr) }

// PayloadSize returns the most bytes that one packet carries.
func (c *Conn) PayloadSize() int { return c.peer.payload }

// Read returns what the peer sent, at most one packet's at a time. After the
// peer's goodbye it returns what is left and then io.EOF.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		n, err := c.tryRead(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		<-c.ready
	}
}

func (c *Conn) tryRead(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.in.rest == nil {
		now := int64(math.MaxInt64) // of a peer that has left, nothing more will come in between
		if c.err == nil {
			now = c.now()
		} else {
			c.in.ticked = now
		}
		buf, missing := c.in.take(now)
		c.stats.Missing += uint64(missing)
		if buf == nil {
			return 0, c.err
		}
		c.in.rest, c.in.read = buf, 0
	}
	n := copy(p, c.in.rest.payload()[c.in.read:])
	if c.in.read += n; c.in.read == c.in.rest.n {
		c.in.rest.free()
		c.in.rest = nil
	}
	signal(c.ready) // there may be more
	return n, nil
}

// Write sends p in packets of at most PayloadSize bytes. It waits while the
// peer has no room, for Config.WriteTimeout at most: then it returns ErrSlow.
func (c *Conn) Write(p []byte) (n int, err error) {
	var deadline time.Time
	for len(p) > 0 {
		size := min(len(p), c.peer.payload)
		wait, err := c.trySend(p[:size])
		if err != nil {
			return n, err
		}
		if wait == 0 {
			n, p, deadline = n+size, p[size:], time.Time{}
			continue
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(c.cfg.WriteTimeout)
		} else if time.Now().After(deadline) {
			return n, ErrSlow
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-c.room:
			t.Stop()
		}
	}
	return n, nil
}

// trySend sends a packet, or says how long to wait before the next attempt.
func (c *Conn) trySend(p []byte) (wait time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		if c.err == io.EOF {
			return 0, fmt.Errorf("srt: peer has left: %w", io.ErrClosedPipe)
		}
		return 0, c.err
	case !c.out.room():
		return c.cfg.WriteTimeout, nil
	}
	now := c.now()
	if !c.out.pace(now) {
		return time.Millisecond, nil
	}
	buf := newBuffer(p)
	c.out.message = max(1, (c.out.message+1)&messageMask)
	flags := uint32(flagSolo) | c.out.message
	if c.keys != nil {
		key, err := c.keys.encrypt(buf.payload(), c.out.next)
		if err != nil {
			buf.free()
			return 0, fmt.Errorf("srt: encrypt: %w", err)
		}
		flags |= uint32(key) << keyShift
		c.keys.refresh(c, now)
	}
	putData(buf.b[:], c.out.next, flags, uint32(now), c.peer.id)
	c.out.add(buf, now)
	c.out.written = now
	c.send(buf.packet(), now)
	c.stats.PacketsSent++
	c.stats.BytesSent += uint64(len(p))
	c.out.rate.bytes += int64(len(p))
	return 0, nil
}

// Flush waits until the peer has everything that was written, and has had the
// time to give it out: peers forget what they hold back when they get a
// goodbye. It waits no longer than that would be of use.
func (c *Conn) Flush() {
	const grace = 500_000
	limit := time.Now().Add(time.Duration(c.out.delay+grace) * time.Microsecond)
	for {
		wait := time.Until(limit)
		c.mu.Lock()
		if c.out.waiting() == 0 {
			wait = min(wait, time.Duration(c.out.written+c.out.delay+c.rtt.mean+50_000-c.now())*time.Microsecond)
		}
		ended := c.err != nil
		c.mu.Unlock()
		if ended || wait <= 0 {
			return
		}
		t := time.NewTimer(wait)
		select {
		case <-c.room:
		case <-t.C:
		}
		t.Stop()
	}
}

// Close says goodbye and ends the connection. Whatever is in Read or Write
// returns; what was not read is lost.
func (c *Conn) Close() error {
	c.hangUp()
	if c.ep.single {
		c.ep.close()
	}
	return nil
}

func (c *Conn) hangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		for range 3 { // one may be lost, and then the peer waits for us
			c.sendControl(c.now(), ctrlShutdown, 0, 0, []byte{0, 0, 0, 0})
		}
	}
	c.end(net.ErrClosed)
	c.in.clear()
	if c.in.rest != nil {
		c.in.rest.free()
		c.in.rest = nil
	}
	c.err = net.ErrClosed
}

// end ends the connection; the first reason counts. c.mu is held.
func (c *Conn) end(reason error) {
	if c.err != nil {
		return
	}
	c.err = reason
	c.out.clear()
	c.ep.remove(c)
	if c.onEnd != nil {
		c.onEnd()
	}
	signal(c.ready)
	signal(c.room)
	if c.ep.single {
		c.ep.stop()
	}
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func (c *Conn) send(b []byte, now int64) {
	c.spoke = now
	c.ep.write(b, c.peer.from, c.peer.addr)
}

// sendControl sends a control packet.
func (c *Conn) sendControl(now int64, kind, sub uint16, info uint32, body []byte) {
	var store [mtu]byte
	b := appendControl(store[:0], kind, sub, info, uint32(now), c.peer.id)
	c.send(append(b, body...), now)
}
