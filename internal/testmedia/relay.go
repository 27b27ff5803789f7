package testmedia

import (
	"container/heap"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Path is what a Relay does to the packets of each direction.
type Path struct {
	Delay  time.Duration // one way
	Jitter time.Duration // at most that much more; it reorders
	Loss   float64       // share that is dropped
}

// Relay is a UDP path between any callers and one server, which loses, delays
// and reorders packets. Each caller reaches the server from an address of its
// own.
type Relay struct {
	Path
	pc     *net.UDPConn
	server netip.AddrPort

	mu      sync.Mutex
	queue   delayed
	wake    chan struct{}
	callers map[netip.AddrPort]*net.UDPConn
	loss    float64 // now
	stall   time.Duration
	random  *rand.Rand
	closed  bool
	wg      sync.WaitGroup
}

type datagram struct {
	at   time.Time
	data []byte
	send func([]byte)
}

type delayed []datagram

func (d delayed) Len() int           { return len(d) }
func (d delayed) Less(i, j int) bool { return d[i].at.Before(d[j].at) }
func (d delayed) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *delayed) Push(x any)        { *d = append(*d, x.(datagram)) }
func (d *delayed) Pop() any {
	old := *d
	x := old[len(old)-1]
	*d = old[:len(old)-1]
	return x
}

// NewRelay relays to a server until the end of the test.
func NewRelay(t testing.TB, server net.Addr, p Path) *Relay {
	t.Helper()
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	require.NoError(t, pc.SetReadBuffer(1<<20))
	r := &Relay{
		Path: p, pc: pc, loss: p.Loss, wake: make(chan struct{}, 1),
		server:  netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(server.(*net.UDPAddr).Port)),
		callers: make(map[netip.AddrPort]*net.UDPConn),
		random:  rand.New(rand.NewPCG(1, uint64(p.Delay))),
	}
	r.wg.Go(r.fromCallers)
	r.wg.Go(r.deliver)
	t.Cleanup(r.close)
	return r
}

// Addr is what callers are to call, host:port.
func (r *Relay) Addr() string { return r.pc.LocalAddr().String() }

// Lose sets the share of packets that is dropped from now on.
func (r *Relay) Lose(share float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loss = share
}

// Stall returns by how much the relay itself has delayed a packet, at most: how
// long this machine stood still, which is no fault of those it relays for.
func (r *Relay) Stall() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stall
}

func (r *Relay) fromCallers() {
	buf := make([]byte, 2048)
	for {
		n, from, err := r.pc.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		r.mu.Lock()
		up := r.callers[from]
		if up == nil && !r.closed {
			if up, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(r.server)); err != nil {
				panic(err)
			}
			_ = up.SetReadBuffer(1 << 20)
			r.callers[from] = up
			r.wg.Go(func() { r.fromServer(up, from) })
		}
		r.mu.Unlock()
		r.push(buf[:n], func(b []byte) { _, _ = up.Write(b) })
	}
}

func (r *Relay) fromServer(up *net.UDPConn, to netip.AddrPort) {
	buf := make([]byte, 2048)
	for {
		n, err := up.Read(buf)
		r.mu.Lock()
		closed := r.closed
		r.mu.Unlock()
		if closed {
			return
		}
		if err == nil {
			r.push(buf[:n], func(b []byte) { _, _ = r.pc.WriteToUDPAddrPort(b, to) })
		}
	}
}

func (r *Relay) push(b []byte, send func([]byte)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.random.Float64() < r.loss {
		return
	}
	d := r.Delay
	if r.Jitter > 0 {
		d += time.Duration(r.random.Int64N(int64(r.Jitter)))
	}
	heap.Push(&r.queue, datagram{time.Now().Add(d), append([]byte(nil), b...), send})
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// deliver sends each packet when its time has come.
func (r *Relay) deliver() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		r.mu.Lock()
		if r.closed {
			r.mu.Unlock()
			return
		}
		wait := time.Hour
		for len(r.queue) > 0 {
			if wait = time.Until(r.queue[0].at); wait > 0 {
				break
			}
			d := heap.Pop(&r.queue).(datagram)
			r.stall = max(r.stall, -wait)
			d.send(d.data)
			wait = time.Hour
		}
		r.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-r.wake:
		}
	}
}

func (r *Relay) close() {
	r.mu.Lock()
	r.closed = true
	_ = r.pc.Close()
	for _, up := range r.callers {
		_ = up.Close()
	}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
	r.wg.Wait()
}
