package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/examples/ugc/browser"
)

// page has the interface of the watch page and plays by the browser's clock.
const page = `<!doctype html><title>player</title><script>
const began = performance.now();
const frames = () => Math.floor((performance.now() - began) / 40);
window.sluice = {
  log: [{at: 1, type: 'state', detail: 'live'}],
  stats: () => ({
    state: frames() < 5 ? 'connecting' : 'live', currentTime: performance.now() / 1000, latency: 1.5, frames: frames(),
    firstFrameMs: 40, dropped: 2, stalls: 0, stalledMs: 0, width: frames() < 30 ? 640 : 1280, height: frames() < 30 ? 360 : 720,
    buffered: [{start: 0, end: 9}], buffer: 1,
  }),
};
fetch('/missing');
setTimeout(() => { throw new Error('of the page'); });
</script>`

func serve(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, page) })
	mux.HandleFunc("GET /silent", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<script>window.sluice = {log: [], stats: () => ({state: 'offline', frames: 0})}</script>`)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestWatchReportsWhatThePagePlays(t *testing.T) {
	shot := filepath.Join(t.TempDir(), "page.png")
	r := browser.Watch(t, serve(t)+"/", browser.Options{Observe: 2 * time.Second, Screenshot: shot})
	t.Log(r.Summary())

	require.True(t, r.Playing)
	assert.Positive(t, r.Frames)
	assert.Positive(t, r.Advanced)
	assert.Equal(t, 2, r.Dropped)
	require.NotNil(t, r.Latency)
	assert.InDelta(t, 1.5, r.Latency.Median, 1e-9)
	assert.True(t, r.Reached("live"))
	assert.False(t, r.Reached("ended"))
	assert.Equal(t, 1280, r.Sizes[len(r.Sizes)-1].Width)
	assert.Contains(t, r.Errors[0], "of the page")
	assert.Contains(t, r.FailedRequests[0], "404")
	assert.Len(t, r.Log, 1)
	require.NotEmpty(t, r.Samples)
	assert.Equal(t, []browser.Range{{Start: 0, End: 9}}, r.Samples[0].Buffered)
	info, err := os.Stat(shot)
	require.NoError(t, err)
	assert.Positive(t, info.Size())
}

func TestWatchReportsAPageWithoutAPicture(t *testing.T) {
	r := browser.Watch(t, serve(t)+"/silent", browser.Options{Wait: time.Second})
	assert.False(t, r.Playing)
	assert.Nil(t, r.Latency)
	assert.True(t, r.Reached("offline"))
}

func TestWatchEndsAtAState(t *testing.T) {
	r := browser.Watch(t, serve(t)+"/silent", browser.Options{Wait: time.Hour, UntilState: "offline"})
	assert.Len(t, r.Samples, 1)
}
