package interop

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/hlstest"
	"github.com/sluice-live/sluice/internal/testmedia"
)

func TestPublishWithFFmpeg(t *testing.T) {
	s := start(t)
	testmedia.Publish(t.Context(), t, testmedia.Clip(t, clip), s.publish("ffmpeg"))
	s.check(t, "ffmpeg")
}

// TestPublishWithGStreamer sends what gst-launch encodes, with each of the AAC
// encoders that Debian has. flvmux waits for whichever is late: unless it is told
// to, it gives the picture's frames the time stamp of the sound that it has
// already sent, many of them the same.
func TestPublishWithGStreamer(t *testing.T) {
	s := start(t)
	for _, encoder := range []string{"voaacenc", "avenc_aac"} {
		t.Run(encoder, func(t *testing.T) {
			testmedia.Start(t.Context(), t, testmedia.Need(t, "gst-launch-1.0"), strings.Fields(
				"-q videotestsrc is-live=true pattern=ball ! video/x-raw,width=640,height=360,framerate=30/1 ! "+
					"x264enc tune=zerolatency speed-preset=ultrafast bitrate=800 key-int-max=60 ! "+
					"video/x-h264,profile=baseline ! h264parse ! queue ! mux. "+
					"audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! audioconvert ! "+
					encoder+" bitrate=96000 ! aacparse ! queue ! mux. "+
					"flvmux name=mux streamable=true latency=2000000000 ! rtmp2sink location="+s.publish(strings.ReplaceAll(encoder, "_", "-")))...)
			s.check(t, strings.ReplaceAll(encoder, "_", "-"))
		})
	}
}

// TestPublishWithOBS runs OBS Studio under Xvfb, once for each way in that it
// has: it starts streaming by itself, and stops when told to end.
func TestPublishWithOBS(t *testing.T) {
	t.Run("rtmp", func(t *testing.T) {
		s := start(t)
		s.checkOBS(t, obsOptions{server: "rtmp://" + s.rtmp + "/live", key: "obs"})
	})
	t.Run("rtmps", func(t *testing.T) {
		cert, key, trust := certificate(t)
		s := start(t, "--rtmps", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
		server := obsOptions{server: "rtmps://" + s.rtmps + "/live", key: "obs"}
		stranger := startOBS(t, server)
		require.Eventually(t, func() bool { return strings.Contains(stranger.log.String(), "Cert verify failed") },
			time.Minute, 100*time.Millisecond, "OBS refuses a certificate that it does not trust")
		stranger.end()
		server.trust = trust
		s.checkOBS(t, server)
	})
	t.Run("srt", func(t *testing.T) {
		s := start(t)
		s.checkOBS(t, obsOptions{server: "srt://" + s.srt + "?streamid=publish:obs"})
	})
}

// checkOBS has OBS publish the stream obs, watches it, and stops it.
func (s *server) checkOBS(t *testing.T, c obsOptions) {
	t.Helper()
	obs := startOBS(t, c)
	s.check(t, "obs")
	obs.stop(t)
	log := obs.log.String()
	require.Contains(t, log, "==== Streaming Start")
	require.NotContains(t, log, "Number of dropped frames", "it says so only when there are any")
	if strings.HasPrefix(c.server, "rtmp") {
		require.NotContains(t, log, "Disconnected from "+c.server, "OBS was cut off")
		require.Contains(t, log, "User stopped the stream")
	}
}

// TestOBSThroughTheLadder has renditions made of what OBS sends in 720p. All
// playlists are walked, the source's and theirs.
func TestOBSThroughTheLadder(t *testing.T) {
	s := start(t, "--ladder", "--renditions", "480,240")
	startOBS(t, obsOptions{server: "rtmp://" + s.rtmp + "/live", key: "obs", width: 1280, height: 720})
	s.live(t, "obs")
	report, err := hlstest.Walk(t.Context(), http.DefaultClient, s.hls("obs"), hlstest.Options{For: 30 * time.Second, Slack: 5 * time.Second})
	require.NoError(t, err)
	t.Log(report)
	require.True(t, report.OK(), "the conformance walk found violations")
	require.Len(t, report.Renditions, 5, "three pictures, AAC and Opus")
}

// TestOBSRefused checks that OBS says why it may not publish, and that the one
// who does goes on.
func TestOBSRefused(t *testing.T) {
	s := start(t)
	testmedia.Publish(t.Context(), t, testmedia.Clip(t, clip), s.publish("taken"))
	s.live(t, "taken")
	obs := startOBS(t, obsOptions{server: "rtmp://" + s.rtmp + "/live", key: "taken"})
	require.Eventually(t, func() bool {
		log := obs.log.String()
		return strings.Contains(log, "Connection to rtmp://") && strings.Contains(log, "failed") ||
			strings.Contains(log, "NetStream.Publish.BadName")
	}, 2*time.Minute, time.Second, "OBS was refused")
	require.NotContains(t, obs.log.String(), "==== Streaming Start")
	obs.end()
	s.check(t, "taken")
}
