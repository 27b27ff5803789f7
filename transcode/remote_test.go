package transcode

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
	"github.com/sluice-live/sluice/m4s"
)

// tcpRelay forwards connections to where it is told, unless it is cut.
type tcpRelay struct {
	net.Listener
	mu    sync.Mutex
	to    string
	cut   bool
	conns map[net.Conn]bool
	group sync.WaitGroup
}

func newRelay(t *testing.T) *tcpRelay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &tcpRelay{Listener: l, conns: map[net.Conn]bool{}}
	r.group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.group.Go(func() { r.forward(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		r.set("", true)
		r.group.Wait()
	})
	return r
}

// set says where connections go, and ends those that there are when it is cut.
func (r *tcpRelay) set(to string, cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if to != "" {
		r.to = to
	}
	r.cut = cut
	for c := range r.conns {
		if cut {
			c.Close()
		}
	}
}

func (r *tcpRelay) keep(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[c] = true
	return !r.cut && r.to != ""
}

func (r *tcpRelay) forward(c net.Conn) {
	defer c.Close()
	if !r.keep(c) {
		return
	}
	r.mu.Lock()
	to := r.to
	r.mu.Unlock()
	up, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer up.Close()
	r.keep(up)
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{c, up}, {up, c}} {
		both.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			pair[0].Close()
			pair[1].Close()
		})
	}
	both.Wait()
}

// node is a transcoding server.
type node struct {
	addr string
	stop func()
}

func newNode(t *testing.T, l Ladder, isolated bool) *node {
	s := &Service{Transform: func(string) sluice.Transform {
		if isolated {
			return Isolated{Ladder: l}
		}
		return l
	}}
	h := &m4s.Handler{Publish: s.Publish, Play: s.Play, Heartbeat: 200 * time.Millisecond}
	mux := http.NewServeMux()
	mux.Handle("/m4s/{stream}", h)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := &http.Server{Handler: mux}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(listener)
	}()
	n := &node{addr: listener.Addr().String()}
	n.stop = sync.OnceFunc(func() {
		srv.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = h.Shutdown(ctx)
		<-done
	})
	t.Cleanup(n.stop)
	return n
}

func remote(r *tcpRelay, log io.Writer, m *Monitor) Remote {
	return Remote{URL: "http://" + r.Addr().String() + "/m4s/demo", Name: "demo", Monitor: m,
		Log: slog.New(slog.NewTextHandler(log, nil)), Client: m4s.Client{Timeout: 2 * time.Second}}
}

// A link that is cut for three seconds loses nothing.
func TestRemoteLinkCut(t *testing.T) {
	t.Parallel()
	in := livelike(t, 8)
	n, r := newNode(t, Ladder{Renditions: tiny}, true), newRelay(t)
	r.set(n.addr, false)
	var log syncBuilder
	m := new(Monitor)
	var cut, back bool
	var stats Stats
	w := watch(t, remote(r, &log, m), in, func(gone time.Duration) {
		if all := m.Stats(); len(all) > 0 {
			stats = all[0]
		}
		switch {
		case !cut && gone > 2700*time.Millisecond:
			cut = true
			r.set("", true)
		case cut && !back && gone > 5700*time.Millisecond:
			back = true
			r.set("", false)
		}
	})
	require.True(t, back)
	requireWhole(t, in, w.all)
	assert.Less(t, w.latest, 500*time.Millisecond)
	assert.Zero(t, stats.Restarts, log.String())
}

// A server that comes late, and is restarted in mid-stream: numbers stay
// consecutive, and what the new one makes has another Maker.
func TestRemoteServerRestarts(t *testing.T) {
	t.Parallel()
	in := livelike(t, 9)
	r := newRelay(t)
	var log syncBuilder
	var first, second string
	var kill func()
	w := watch(t, remote(r, &log, new(Monitor)), in, func(gone time.Duration) {
		switch {
		case first == "" && gone > 700*time.Millisecond:
			first, kill = startNode(t)
			r.set(first, false)
		case first != "" && second == "" && gone > 4600*time.Millisecond:
			kill()
			second, _ = startNode(t)
			r.set(second, false)
		}
	})
	require.NotEmpty(t, second)
	require.Equal(t, media(1, in), media(1, w.all))
	assert.Less(t, w.latest, 500*time.Millisecond)
	for _, id := range []uint32{101, 102, 202} {
		of := media(id, w.all)
		source := media(min(id/100, 2), in)
		require.Equal(t, numbers(source), numbers(of), "track %d: %s", id, log.String())
		makers := []uint32{of[0].Track.Maker}
		by := map[uint64]uint32{}
		for i, p := range of {
			if m := p.Track.Maker; m != makers[len(makers)-1] {
				makers = append(makers, m)
				require.True(t, p.Key)
				require.Greater(t, p.Segment, of[i-1].Segment, "it begins with a segment")
			}
			if i > 0 {
				require.Greater(t, p.DTS, of[i-1].DTS)
			}
			if was, ok := by[p.Segment]; ok {
				require.Equal(t, was, p.Track.Maker, "one segment, one maker")
			}
			by[p.Segment] = p.Track.Maker
		}
		assert.Len(t, makers, 2, "track %d: %s", id, log.String())
	}
	for _, id := range []uint32{101, 102} {
		want := cuts(media(1, in))
		got := cuts(media(id, w.all))
		require.Equal(t, want, got)
		require.Len(t, decodeVideo(t, media(id, w.all)), len(media(id, w.all)))
	}
}

// Requests for key frames of the server's ladder reach the source.
func TestServiceRequestsKey(t *testing.T) {
	s := &Service{Transform: func(string) sluice.Transform { return Ladder{Renditions: tiny} }}
	src := &keySource{Slice: &sluicetest.Slice{Packets: livelike(t, 1), Block: true}, asked: make(chan uint32, 1)}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { done <- s.Publish(ctx, "demo", src) }()
	var stream *sluice.Stream
	require.Eventually(t, func() bool {
		stream, _ = s.Play(t.Context(), "demo")
		return stream != nil
	}, 5*time.Second, 5*time.Millisecond)
	sub := stream.Subscribe(sluice.Subscription{})
	defer sub.Close()
	for {
		p, err := sub.ReadPacket(t.Context())
		require.NoError(t, err)
		require.NotEqual(t, uint32(1), p.Track.ID, "the source's own track is its pusher's")
		if p.Track.ID == 101 && p.Data != nil {
			break
		}
	}
	assert.True(t, stream.RequestKey(101))
	assert.Equal(t, uint32(1), <-src.asked)
	src.End()
	require.NoError(t, <-done)
	_, err := s.Play(t.Context(), "other")
	require.ErrorIs(t, err, m4s.ErrNotFound)
}

type keySource struct {
	*sluicetest.Slice
	asked chan uint32
}

func (k *keySource) RequestKey(track uint32) bool {
	k.asked <- track
	return true
}

// What cannot work is said at once.
func TestDetachedConfiguration(t *testing.T) {
	src := &sluicetest.Slice{}
	for want, tr := range map[string]sluice.Transform{
		"URL is not set":    Remote{},
		"transcode: ladder": Isolated{Ladder: Ladder{HW: "gpu"}},
		"not negative":      Isolated{Memory: -1},
	} {
		_, err := tr.Transform(t.Context(), src)
		require.ErrorContains(t, err, want)
		require.False(t, src.Closed())
		require.True(t, strings.HasPrefix(err.Error(), "transcode: "))
	}
}

// startNode runs a transcoding server in a process of its own, which stop kills.
func startNode(t *testing.T) (addr string, stop func()) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestNodeProcess$")
	cmd.Env = append(os.Environ(), "SLUICE_TEST_NODE=1")
	stdin, err := cmd.StdinPipe() // it ends with this process
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		stdin.Close()
	})
	t.Cleanup(stop)
	_, err = fmt.Fscanf(out, "node %s\n", &addr)
	require.NoError(t, err)
	return addr, stop
}

// TestNodeProcess is that server.
func TestNodeProcess(t *testing.T) {
	if os.Getenv("SLUICE_TEST_NODE") == "" {
		t.Skip("it is run by others")
	}
	n := newNode(t, Ladder{Renditions: tiny}, true)
	fmt.Printf("node %s\n", n.addr)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func TestRemoteConforms(t *testing.T) {
	in := livelike(t, 2)
	addr, _ := startNode(t)
	var count atomic.Int64
	sluicetest.Transform(t, func(testing.TB) sluice.Transform {
		return Remote{URL: fmt.Sprintf("http://%s/m4s/s%d", addr, count.Add(1))}
	}, in...)
}
