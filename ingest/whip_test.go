package ingest

import (
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
	_, url := whip(t, &Server{Conns: ConnLimits{Max: 1}})
	first, err := rtc.Dial(t.Context(), url+"one", []*sluice.Track{vp8Track(t)}, rtc.ClientConfig{})
	require.NoError(t, err)
	_, err = rtc.Dial(t.Context(), url+"two", []*sluice.Track{vp8Track(t)}, rtc.ClientConfig{})
	require.ErrorContains(t, err, "503")
	require.NoError(t, first.Close())

	idle := httptest.NewServer((&Server{RTC: "127.0.0.1:0"}).WHIP())
	defer idle.Close()
	_, err = rtc.Dial(t.Context(), idle.URL+"/whip/demo", []*sluice.Track{vp8Track(t)}, rtc.ClientConfig{})
	require.ErrorContains(t, err, "503")
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
		c, err := rtc.Dial(t.Context(), url+"demo", []*sluice.Track{vp8Track(t)}, rtc.ClientConfig{})
		if err != nil { // the one before is still on its way out
			assert.ErrorContains(t, err, "409")
			time.Sleep(10 * time.Millisecond)
			return
		}
		assert.NoError(t, c.Close())
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
