package ingest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/rtc"
	"github.com/sluice-live/sluice/internal/rtmp"
)

// whip serves a Server's WHIP endpoint.
func whip(t *testing.T, s *Server) (r *running, url string) {
	s.RTC = "127.0.0.1:0"
	r = serve(t, s)
	require.Eventually(t, func() bool {
		s.rtc.mu.Lock()
		defer s.rtc.mu.Unlock()
		return s.rtc.ctx != nil
	}, 5*time.Second, time.Millisecond)
	web := httptest.NewServer(s.WHIP())
	t.Cleanup(web.Close)
	return r, web.URL + "/whip/"
}

func vp8Track(t *testing.T) *sluice.Track {
	track, err := codec.VP(sluice.VP08, 0, 8, 64, 64)
	require.NoError(t, err)
	track.ID = 1
	return track
}

func TestWHIPPublisherIsAdmittedOnceAndFreesItsKey(t *testing.T) {
	r, url := whip(t, &Server{})
	first, err := rtc.Dial(t.Context(), url+"demo", []*sluice.Track{vp8Track(t)}, rtc.ClientConfig{})
	require.NoError(t, err)
	<-r.streams
	_, err = rtc.Dial(t.Context(), url+"demo", []*sluice.Track{vp8Track(t)}, rtc.ClientConfig{})
	require.ErrorIs(t, err, ErrBusy)
	_, err = rtc.Dial(t.Context(), url+"UPPER", []*sluice.Track{vp8Track(t)}, rtc.ClientConfig{})
	require.ErrorIs(t, err, ErrDenied)
	require.NoError(t, first.Close())
	require.Eventually(t, func() bool {
		again, err := rtc.Dial(t.Context(), url+"demo", []*sluice.Track{vp8Track(t)}, rtc.ClientConfig{})
		if err != nil {
			return false
		}
		return again.Close() == nil
	}, 10*time.Second, 50*time.Millisecond)
}

func TestWHIPIsRefusedWhereItIsFullOrNotRunning(t *testing.T) {
	r, url := whip(t, &Server{Conns: ConnLimits{Max: 1}})
	first, err := rtc.Dial(t.Context(), url+"one", []*sluice.Track{vp8Track(t)}, rtc.ClientConfig{})
	require.NoError(t, err)
	_, err = rtc.Dial(t.Context(), url+"two", []*sluice.Track{vp8Track(t)}, rtc.ClientConfig{})
	require.ErrorContains(t, err, "503")
	assert.Equal(t, ConnStats{Open: 1, Accepted: 1, Refused: 1}, r.ConnStats())
	c, err := rtmp.Dial(t.Context(), "rtmp://"+r.RTMPAddr().String()+"/live/three", rtmp.Config{})
	require.Error(t, err, "the bound is for all protocols together")
	require.Nil(t, c)
	require.NoError(t, first.Close())

	idle := httptest.NewServer((&Server{RTC: "127.0.0.1:0"}).WHIP())
	defer idle.Close()
	_, err = rtc.Dial(t.Context(), idle.URL+"/whip/demo", []*sluice.Track{vp8Track(t)}, rtc.ClientConfig{})
	require.ErrorContains(t, err, "503")
}

// A port that was taken may be free the next time.
func TestListenAgain(t *testing.T) {
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &Server{RTC: "127.0.0.1:0", SRT: taken.LocalAddr().String(), Broadcast: func(context.Context, *Broadcast) error { return nil }}
	require.ErrorContains(t, s.Listen(), "SRT")
	require.NoError(t, taken.Close())
	require.NoError(t, s.Listen())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	assert.Eventually(t, func() bool {
		pub := new(whipPublisher)
		in, err := s.rtc.enter(pub, "192.0.2.1:1")
		if err == nil {
			s.rtc.leave(pub)
		}
		return in != nil
	}, 5*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
}

// A thousand publishers come and go: nothing of them is left. Without
// SLUICE_INTEROP it is thirty.
func TestWHIPPublishersLeaveNothingBehind(t *testing.T) {
	count := 30
	if os.Getenv("SLUICE_INTEROP") != "" {
		count = 1000
	}
	r, url := whip(t, &Server{})
	cycle := func() {
		require.Eventually(t, func() bool {
			c, err := rtc.Dial(t.Context(), url+"demo", []*sluice.Track{vp8Track(t)}, rtc.ClientConfig{})
			if err != nil {
				assert.ErrorIs(t, err, ErrBusy) // the one before is still on its way out
				return false
			}
			return c.Close() == nil
		}, 20*time.Second, time.Millisecond)
	}
	cycle()
	settled := func() int {
		runtime.GC()
		http.DefaultClient.CloseIdleConnections()
		return runtime.NumGoroutine()
	}
	before := settled()
	for range count {
		cycle()
	}
	assert.Eventually(t, func() bool { return settled() <= before+10 }, 20*time.Second, 100*time.Millisecond, "goroutines leak")
	_, sessions := r.rtc.stats()
	assert.LessOrEqual(t, sessions, 1)
}
