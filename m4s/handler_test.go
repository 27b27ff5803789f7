package m4s

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

// A server that takes no pushes counts none.
func TestRefusedPushIsNotCounted(t *testing.T) {
	h := &Handler{}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/m4s/demo", nil))
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Zero(t, h.stats.pushes.Load())
}

// A range in which the archive has nothing is not there: clients need not try
// again.
func TestPullOfAnEmptyRange(t *testing.T) {
	h := &Handler{Replay: func(context.Context, string, time.Time, time.Time) (sluice.Source, error) {
		return &sluicetest.Slice{}, nil
	}}
	url, c := serve(t, "http/1.1", h)
	p := &Pull{URL: url + "demo", Client: c, From: time.Unix(1000, 0), To: time.Unix(2000, 0)}
	defer p.Close()
	_, err := p.ReadPacket(testContext(t))
	require.ErrorIs(t, err, ErrNotFound)
}

// A pusher that comes back while what it left is being finished begins anew.
func TestPushComesBackTooLate(t *testing.T) {
	finish, packets := make(chan struct{}), make(chan int, 2)
	h := &Handler{Grace: 10 * time.Millisecond, Publish: func(ctx context.Context, _ string, src sluice.Source) error {
		all, err := readAll(ctx, src)
		packets <- len(all)
		<-finish
		return err
	}}
	url, _ := serve(t, "http/1.1", h)
	tr := &http.Transport{DisableKeepAlives: true}
	post := func(ctx context.Context, body io.Reader) *http.Response {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"demo", body)
		require.NoError(t, err)
		Position{Stream: 77}.set(r.Header)
		resp, err := tr.RoundTrip(r)
		require.NoError(t, err)
		return resp
	}
	ctx, cancel := context.WithCancel(testContext(t))
	r, w := io.Pipe()
	defer r.Close()
	whole := encode(t, stampedPackets(1)[:5]...)
	go func() { _, _ = w.Write(whole[:len(whole)-1]) }() // not the end
	resp := post(ctx, r)
	require.Eventually(t, func() bool { return h.stats.inPackets.Load() == 5 }, 5*time.Second, time.Millisecond)
	cancel()
	resp.Body.Close()
	require.Equal(t, 5, <-packets)
	time.AfterFunc(200*time.Millisecond, func() { close(finish) })
	resp = post(testContext(t), bytes.NewReader(whole))
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(string(said), lineDone+"\n"), "%s", said)
	require.Equal(t, 5, <-packets)
}

// A reader that takes nothing does not keep Shutdown waiting for its timeout.
func TestShutdownWithAStuckReader(t *testing.T) {
	s := newSite()
	url, _ := serve(t, "http/1.1", &s.Handler)
	conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/m4s/"))
	require.NoError(t, err)
	defer conn.Close()
	stream := s.stream("demo")
	all := stampedPackets(1)
	write(t, stream, all...)
	fmt.Fprintf(conn, "GET /m4s/demo HTTP/1.1\r\nHost: x\r\n\r\n")
	require.Eventually(t, func() bool { return stream.Stats().Subscribers == 1 }, 5*time.Second, time.Millisecond)
	big := all[len(all)-1]
	big.Data = make([]byte, 8<<20)
	for range 4 {
		big.DTS++
		big.PTS++
		write(t, stream, big)
	}
	time.Sleep(200 * time.Millisecond) // until the socket is full
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	s.Shutdown(ctx)
	assert.Less(t, time.Since(began), 5*time.Second)
}

// A pusher that did not hear that its stream was taken to the end asks again,
// and its stream is not published twice.
func TestPushAsksWhetherItIsDone(t *testing.T) {
	packets := make(chan int, 3)
	h := &Handler{Publish: func(ctx context.Context, _ string, src sluice.Source) error {
		all, err := readAll(ctx, src)
		packets <- len(all)
		return err
	}}
	url, _ := serve(t, "http/1.1", h)
	tr := &http.Transport{DisableKeepAlives: true}
	whole := encode(t, stampedPackets(1)[:5]...)
	post := func(stream uint64) {
		r, err := http.NewRequestWithContext(testContext(t), http.MethodPost, url+"demo", bytes.NewReader(whole))
		require.NoError(t, err)
		Position{Stream: stream, Next: 5}.set(r.Header)
		resp, err := tr.RoundTrip(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		said, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.True(t, strings.HasSuffix(string(said), lineDone+"\n"), "%s", said)
	}
	post(77)
	require.Equal(t, 5, <-packets)
	post(77)
	require.Empty(t, packets)
	post(78)
	require.Equal(t, 5, <-packets)
}
