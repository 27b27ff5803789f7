package srt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config configures a Listener or a Conn that is dialled. The zero value is
// good.
type Config struct {
	// Latency is how long packets are held back so that lost ones can come
	// again; the peer's applies where it is larger, up to 65 s. Default 120 ms,
	// good for a round trip of up to 30 ms.
	Latency time.Duration
	// PeerTimeout is how long the peer may not be heard of: 5 s if 0.
	PeerTimeout time.Duration
	// MediaTimeout is how long a publisher may send no media: 30 s if 0.
	MediaTimeout time.Duration
	// WriteTimeout is how long Write waits for room: 5 s if 0.
	WriteTimeout time.Duration
	// Pending bounds the handshakes that wait for an answer, in all; default
	// 256. Further ones are told that the server is overloaded.
	Pending int
	// ReceiveBuffer is the size of the socket's receive buffer that is asked of
	// the system, which may give less: 4 MiB if 0.
	ReceiveBuffer int
	// Log takes what happens; nil discards it.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Latency = cmp.Or(c.Latency, 120*time.Millisecond)
	c.PeerTimeout = cmp.Or(c.PeerTimeout, 5*time.Second)
	c.MediaTimeout = cmp.Or(c.MediaTimeout, 30*time.Second)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 5*time.Second)
	c.Pending = cmp.Or(c.Pending, 256)
	c.ReceiveBuffer = cmp.Or(c.ReceiveBuffer, 4<<20)
	c.Latency = min(max(c.Latency, 0), 65*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// endpoint is a UDP socket with the connections on it. One goroutine reads it,
// another one ticks while there are connections.
type endpoint struct {
	cfg       Config
	pc        *net.UDPConn
	single    bool // one connection's own, and the socket is connected
	greet     func(b []byte, from peerAddr)
	mu        sync.RWMutex
	conns     map[uint32]*Conn
	work      chan struct{} // there are connections
	done      chan struct{}
	once      sync.Once
	wg        sync.WaitGroup
	malformed atomic.Uint64
}

// peerAddr is where a packet came from, and where it came to.
type peerAddr struct {
	addr netip.AddrPort
	oob  []byte
}

func (e *endpoint) run() {
	e.conns = make(map[uint32]*Conn)
	e.work = make(chan struct{}, 1)
	e.done = make(chan struct{})
	_ = e.pc.SetReadBuffer(e.cfg.ReceiveBuffer)
	_ = e.pc.SetWriteBuffer(e.cfg.ReceiveBuffer) // what the system allows
	e.wg.Go(e.receive)
	e.wg.Go(e.ticks)
}

// receive takes packets from the socket until it is closed.
func (e *endpoint) receive() {
	buf, oob := make([]byte, 2048), make([]byte, 128)
	for {
		n, oobn, _, from, err := e.pc.ReadMsgUDPAddrPort(buf, oob)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // an ICMP message, say: the peer's port is closed
			select {
			case <-e.done:
				return
			case <-time.After(5 * time.Millisecond):
			}
			continue
		}
		if n < headerSize {
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		e.dispatch(buf[:n], peerAddr{from, oob[:oobn]})
	}
}

// dispatch gives a packet to its connection. A panic is the packet's fault: it
// is counted, and everything goes on.
func (e *endpoint) dispatch(b []byte, from peerAddr) {
	defer func() {
		if r := recover(); r != nil {
			e.bad(from, fmt.Errorf("panic: %v", r))
		}
	}()
	to := word(b, 3)
	if isControl(b) && word(b, 0) == ctrlHandshake|1<<31 {
		e.greet(b, from)
		return
	}
	if to == 0 {
		return
	}
	e.mu.RLock()
	c := e.conns[to]
	e.mu.RUnlock()
	if c == nil || !e.single && c.peer.addr != from.addr {
		return
	}
	c.handle(b, time.Now())
}

// bad notes a malformed packet. A flood must not fill the log: it has the 1st,
// 2nd, 4th, 8th …
func (e *endpoint) bad(from peerAddr, err error) {
	if n := e.malformed.Add(1); n&(n-1) == 0 {
		e.cfg.Log.Warn("SRT packet is malformed and was dropped", "remote", from.addr.String(), "error", err, "so far", n)
	}
}

// ticks ticks while there are connections.
func (e *endpoint) ticks() {
	var all []*Conn
	for {
		select {
		case <-e.done:
			return
		case <-e.work:
		}
		ticker := time.NewTicker(tickEvery)
		last := time.Now()
		for {
			e.mu.RLock()
			all = slices.AppendSeq(all[:0], maps.Values(e.conns))
			e.mu.RUnlock()
			if len(all) == 0 {
				break
			}
			select {
			case <-e.done:
				ticker.Stop()
				return
			case <-ticker.C:
			}
			now := time.Now()
			stalled := now.Sub(last) > stall
			last = now
			for _, c := range all {
				e.tick(c, now, stalled)
			}
			clear(all)
		}
		ticker.Stop()
	}
}

func (e *endpoint) tick(c *Conn, now time.Time, stalled bool) {
	defer func() {
		if r := recover(); r != nil {
			e.bad(peerAddr{addr: c.peer.addr}, fmt.Errorf("panic: %v", r))
		}
	}()
	c.tick(now, stalled)
}

func (e *endpoint) write(b, oob []byte, to netip.AddrPort) {
	// What the system does not take is lost on the way, like any packet.
	if e.single {
		_, _ = e.pc.Write(b)
		return
	}
	_, _, _ = e.pc.WriteMsgUDPAddrPort(b, oob, to)
}

func (e *endpoint) add(c *Conn) {
	e.mu.Lock()
	e.conns[c.id] = c
	e.mu.Unlock()
	signal(e.work)
}

func (e *endpoint) remove(c *Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conns[c.id] == c {
		delete(e.conns, c.id)
	}
}

// stop closes the socket and does not wait.
func (e *endpoint) stop() {
	e.once.Do(func() {
		close(e.done)
		_ = e.pc.Close()
	})
}

// close closes the socket and waits for what reads it.
func (e *endpoint) close() {
	e.stop()
	e.wg.Wait()
}

// bind opens a UDP port.
func bind(ctx context.Context, address string) (*net.UDPConn, error) {
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	return pc.(*net.UDPConn), nil
}
