package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-live/sluice/internal/testmedia"
)

// thorough is the slow matrix, make interop: what takes minutes.
var thorough = os.Getenv("SLUICE_INTEROP") != ""

func TestMain(m *testing.M) {
	workerMain()
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop")) // of the test's own client
}

// server is a platform that runs for a test.
type server struct {
	*platform
	stop func() error // and wait
}

func start(t *testing.T) *server { return startWith(t, config{}) }

// startWith starts it with more flags than every test needs.
func startWith(t *testing.T, c config) *server {
	c.HTTP, c.RTMP, c.RTC, c.Data, c.Open = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", t.TempDir(), true
	p, err := open(c)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx) }()
	stopped := false
	s := &server{platform: p}
	s.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		err := <-ended
		p.close()
		return err
	}
	t.Cleanup(func() { assert.NoError(t, s.stop()) })
	return s
}

func (s *server) url(path string) string { return "http://" + s.site.String() + path }

func (s *server) rtmp(path string) string { return "rtmp://" + s.server.RTMPAddr().String() + path }

// live waits until a stream is.
func (s *server) live(t *testing.T, name string) {
	require.Eventually(t, func() bool {
		resp, err := http.Get(s.url("/live/" + name + "/index.m3u8"))
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body)
		return resp.StatusCode == http.StatusOK
	}, 30*time.Second, 100*time.Millisecond, "stream %s is live", name)
}

// listed returns what the API says is live.
func (s *server) listed(t *testing.T) (l live) {
	require.NoError(t, json.Unmarshal([]byte(get(t, s.url("/api/v1/live"))), &l))
	return l
}

var clip = testmedia.Spec{Audio: "aac", Seconds: 20}

func TestFFprobeReadsHLSAndRTMP(t *testing.T) {
	ffprobe := testmedia.Need(t, "ffprobe")
	s := start(t)
	testmedia.Publish(t.Context(), t, testmedia.Clip(t, clip), s.rtmp("/live/demo"))
	s.live(t, "demo")
	for _, url := range []string{s.url("/live/demo/index.m3u8"), s.rtmp("/play/demo")} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, ffprobe, "-v", "error", "-show_entries", "stream=codec_name,width,height",
			"-of", "csv=p=0", url).CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Contains(t, string(out), "h264,640,360", url)
		assert.Contains(t, string(out), "aac", url)
	}
}

func TestFFmpegDecodesWithoutAWarning(t *testing.T) {
	ffmpeg := testmedia.Need(t, "ffmpeg")
	s := start(t)
	testmedia.Publish(t.Context(), t, testmedia.Clip(t, clip), s.rtmp("/live/demo"))
	s.live(t, "demo")
	for _, url := range []string{s.url("/live/demo/index.m3u8"), s.rtmp("/play/demo")} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, ffmpeg, "-nostdin", "-v", "warning", "-i", url, "-t", "6", "-f", "null", "-").CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Empty(t, complaints(string(out)), url)
	}
}

// complaints leaves out what ffmpeg says of every live stream: it knows no
// LL-HLS, and reads the init segment anew with each reload of the playlist.
func complaints(out string) (lines []string) {
	for line := range strings.Lines(out) {
		if !strings.Contains(line, "Skip ('#EXT-X-") && !strings.Contains(line, "Found duplicated MOOV Atom") && strings.TrimSpace(line) != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestChannelsAreListed(t *testing.T) {
	s := start(t)
	testmedia.Publish(t.Context(), t, testmedia.Clip(t, clip), s.rtmp("/live/demo"))
	s.live(t, "demo")
	l := s.listed(t)
	require.Len(t, l.Streams, 1)
	c := l.Streams[0]
	assert.Equal(t, "demo", c.Name)
	assert.Equal(t, fmt.Sprintf("rtmp://127.0.0.1:%d/live", port(s.server.RTMPAddr())), l.Publish.RTMP)
	require.Len(t, c.Tracks, 2)
	assert.Equal(t, "video", c.Tracks[0].Kind)
	assert.Equal(t, 640, c.Tracks[0].Width)
	assert.InDelta(t, 30, c.Tracks[0].FrameRate, 0.01)
	assert.Equal(t, "mp4a.40.2", c.Tracks[1].Codec)
}

func TestHealthAndMetrics(t *testing.T) {
	s := start(t)
	testmedia.Publish(t.Context(), t, testmedia.Clip(t, clip), s.rtmp("/live/demo"))
	s.live(t, "demo")
	for path, want := range map[string]string{
		"/healthz": "ok\n",
		"/readyz":  "ok\n",
		"/metrics": `sluice_ingest_broadcast_live{stream="demo"} 1`,
	} {
		resp, err := http.Get(s.url(path))
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.Contains(t, string(body), want)
	}
}

// A player that waits for the next part when the server is told to stop gets
// the end of the playlist, and the RTMP player its end of stream.
func TestStopEndsBroadcastsAndDrainsPlayers(t *testing.T) {
	ffmpeg := testmedia.Need(t, "ffmpeg")
	s := start(t)
	testmedia.Publish(t.Context(), t, testmedia.Clip(t, clip), s.rtmp("/live/demo"))
	s.live(t, "demo")
	player := exec.CommandContext(t.Context(), ffmpeg, "-nostdin", "-v", "error", "-i", s.rtmp("/play/demo"), "-c", "copy", "-f", "flv", "-flush_packets", "1", "-")
	player.Stderr = os.Stderr
	media, err := player.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, player.Start())
	_, err = io.ReadFull(media, make([]byte, 4096)) // it plays
	require.NoError(t, err)
	rest := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, media); rest <- err }()

	playlist := make(chan string, 1)
	resp, err := http.Get(s.url("/live/demo/1/index.m3u8"))
	require.NoError(t, err)
	now, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	require.NoError(t, err)
	go func() { playlist <- lastPlaylist(s.url("/live/demo/1/index.m3u8"), string(now)) }()

	require.NoError(t, s.stop())
	assert.Contains(t, <-playlist, "#EXT-X-ENDLIST")
	assert.NoError(t, <-rest)
	assert.NoError(t, player.Wait())
}

// lastPlaylist reloads as LL-HLS players do, until the end of the stream or of
// the server.
func lastPlaylist(url, playlist string) string {
	for !strings.Contains(playlist, "#EXT-X-ENDLIST") {
		resp, err := http.Get(url + nextReload(playlist))
		if err != nil {
			break
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			break
		}
		playlist = string(body)
	}
	return playlist
}

// nextReload returns the query that waits for the part of the preload hint.
func nextReload(playlist string) string {
	i := strings.Index(playlist, `TYPE=PART,URI="`)
	if i < 0 {
		return ""
	}
	var era, maker, msn, part int
	fmt.Sscanf(playlist[i:], `TYPE=PART,URI="%d.%d-%d.%d.m4s"`, &era, &maker, &msn, &part)
	return fmt.Sprintf("?_HLS_msn=%d&_HLS_part=%d", msn, part)
}

func TestASecondServerIsKeptOutOfTheDataDirectory(t *testing.T) {
	s := start(t)
	_, err := open(config{HTTP: "127.0.0.1:0", RTMP: "127.0.0.1:0", Data: strings.TrimSuffix(s.playback.Spool, "/spool"), Open: true})
	require.ErrorContains(t, err, "in use by another server")
}

func TestWithoutOpenItSaysWhatToDo(t *testing.T) {
	_, err := open(config{HTTP: "127.0.0.1:0", RTMP: "127.0.0.1:0", Data: t.TempDir()})
	require.ErrorContains(t, err, "--open")
}
