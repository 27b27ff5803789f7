package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/examples/ugc/browser"
	"github.com/sluice-live/sluice/internal/hlstest"
)

// Chromium's fake camera goes live in each codec, over UDP and over TCP alone,
// and another Chromium watches it, as it came.
func TestChromiumGoesLiveAndIsWatched(t *testing.T) {
	for name, o := range map[string]browser.PublishOptions{
		"h264": {Codec: "video/H264"},
		"tcp":  {Codec: "video/H264", TCP: true},
		"vp9":  {Codec: "video/VP9"},
		"av1":  {Codec: "video/AV1"},

		"av1-tcp": {Codec: "video/AV1", TCP: true},
	} {
		t.Run(name, func(t *testing.T) {
			if (name == "h264" || name == "vp9" || name == "av1-tcp") && !thorough {
				t.Skip("as the others: make interop runs them")
			}
			s := start(t)
			o.For = 22 * time.Second
			published := browser.Publish(t, s.url(""), name, o)
			s.live(t, name)
			r := browser.Watch(t, s.url("/@"+name), browser.Options{Observe: 8 * time.Second})
			t.Log(r.Summary())
			require.True(t, r.Playing)
			assert.Greater(t, r.Frames, 40, "decoded frames advance")
			assert.Empty(t, r.Errors)
			p := published()
			t.Logf("%+v", p)
			assert.Equal(t, o.Codec, p.Codec)
			assert.Equal(t, map[bool]string{true: "tcp", false: "udp"}[o.TCP], p.Protocol)
			assert.Equal(t, http.StatusOK, p.Deleted)
			assert.GreaterOrEqual(t, p.KeyFrames, 4, "one for each segment")
		})
	}
}

// Segments of a WebRTC stream begin with key frames, as they are asked for.
func TestSegmentsOfAWHIPStreamBeginWithKeyFrames(t *testing.T) {
	s := start(t)
	published := browser.Publish(t, s.url(""), "cam", browser.PublishOptions{For: 30 * time.Second})
	s.live(t, "cam")
	report, err := hlstest.Walk(t.Context(), http.DefaultClient, s.url("/live/cam/index.m3u8"), hlstest.Options{For: 20 * time.Second, Slack: 8 * time.Second})
	require.NoError(t, err)
	t.Log(report)
	for _, v := range report.Violations {
		// A busy machine takes pictures and sound from the fake devices with holes.
		assert.Contains(t, []string{"part-duration", "tfdt", "extinf"}, v.Rule, v.String())
	}
	for _, r := range report.Renditions {
		assert.Positive(t, r.Segments)
	}
	first, starts := true, 0 // whether the next part opens a segment
	for line := range strings.Lines(get(t, s.url("/live/cam/1/index.m3u8"))) {
		switch {
		case strings.HasPrefix(line, "#EXT-X-PART:") && first:
			assert.Contains(t, line, "INDEPENDENT=YES")
			starts++
			first = false
		case strings.HasPrefix(line, "#EXTINF"):
			first = true
		}
	}
	assert.GreaterOrEqual(t, starts, 3)
	assert.Greater(t, published().PLIs, 3)
}

// The page goes live, says so, and stops.
func TestStudioGoesLive(t *testing.T) {
	s := start(t)
	published := browser.Publish(t, s.url(""), "studio", browser.PublishOptions{Studio: true, For: 8 * time.Second})
	s.live(t, "studio")
	p := published()
	assert.Empty(t, p.Error)
	assert.Empty(t, p.Errors)
	assert.Equal(t, []string{"connecting", "live"}, p.States)
	assert.Contains(t, p.Messages[0], "You are live")
	assert.Contains(t, p.Encoders, s.url("/whip/studio"))
	assert.Contains(t, p.Encoders, s.rtmp("/live/studio"))
}

func get(t *testing.T, url string) string {
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(b)
}
