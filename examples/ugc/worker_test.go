package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/examples/ugc/browser"
	"github.com/sluice-live/sluice/internal/testmedia"
)

// TestAWorkerThatDiesLeavesNoHole kills the ladder's process in mid-stream,
// and stops another without a word, while somebody watches what it makes:
// every segment is there afterwards, and the player goes on.
func TestAWorkerThatDiesLeavesNoHole(t *testing.T) {
	s := startLadder(t)
	testmedia.Publish(t.Context(), t, testmedia.Clip(t, source720), s.rtmp("/live/demo"))
	s.live(t, "demo")
	watched := browser.Start(t, s.url("/@demo"), browser.Options{
		Observe: 35 * time.Second, Quality: []browser.Change{{After: 0, Value: "240p"}},
	})
	time.Sleep(10 * time.Second)
	signalWorker(t, syscall.SIGKILL)
	time.Sleep(9 * time.Second)
	signalWorker(t, syscall.SIGSTOP)
	r := watched()
	t.Log(r.Summary())
	last := r.Samples[len(r.Samples)-1]
	assert.Equal(t, 240, last.Height)
	before := r.Samples[len(r.Samples)-1-int(5*time.Second/browser.Interval)]
	assert.Greater(t, last.CurrentTime-before.CurrentTime, 3.0, "the player goes on")
	s.complete(t, "demo", 3)
	st := s.server.Broadcasts()[0].Stats()
	assert.Zero(t, st.Repairs, "ingest noticed nothing")
	restarts := restartsMetric.FindStringSubmatch(fetch(t, s.url("/metrics")))
	require.NotNil(t, restarts)
	n, err := strconv.Atoi(restarts[1])
	require.NoError(t, err)
	assert.GreaterOrEqual(t, n, 2, "both are counted")
}

var restartsMetric = regexp.MustCompile(`sluice_transcode_worker_restarts_total{stream="demo"} (\d+)`)

// signalWorker sends a signal to the one child of this process that is a
// worker.
func signalWorker(t *testing.T, sig syscall.Signal) {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	require.NoError(t, err)
	self, err := os.Readlink("/proc/self/exe")
	require.NoError(t, err)
	for _, file := range tasks {
		children, err := os.ReadFile(file)
		if err != nil {
			continue // the thread is gone
		}
		for _, pid := range strings.Fields(string(children)) {
			if exe, err := os.Readlink("/proc/" + pid + "/exe"); err == nil && exe == self {
				n, err := strconv.Atoi(pid)
				require.NoError(t, err)
				require.NoError(t, syscall.Kill(n, sig))
				return
			}
		}
	}
	require.Fail(t, "there is no worker")
}

var mediaSequence = regexp.MustCompile(`(?m)^#EXT-X-MEDIA-SEQUENCE:(\d+)$`)

// complete checks that every playlist of a stream, of so many pictures, lists
// the same segments without a gap, from the first that all have.
func (s *server) complete(t *testing.T, name string, count int) {
	t.Helper()
	pictures, sounds := s.mediaPlaylists(t, name)
	require.Len(t, pictures, count)
	for _, url := range append(pictures, sounds...) {
		text := fetch(t, url)
		assert.NotContains(t, text, "#EXT-X-GAP", url)
		assert.NotContains(t, text, "#EXT-X-DISCONTINUITY\n", url)
		first := mediaSequence.FindStringSubmatch(text)
		require.NotNil(t, first, text)
		number, err := strconv.Atoi(first[1])
		require.NoError(t, err)
		for _, m := range segmentURI.FindAllStringSubmatch(text, -1) {
			assert.Equal(t, strconv.Itoa(number), m[1], "%s lists %s", url, m[0])
			number++
		}
	}
}

var segmentURI = regexp.MustCompile(`(?m)^\d+\.\d+-(\d+)\.m4s$`)

func fetch(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	var b bytes.Buffer
	_, err = io.Copy(&b, resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, url)
	return b.String()
}
