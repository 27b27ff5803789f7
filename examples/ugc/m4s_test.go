package main

import (
	"context"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/sluicetest"
	"github.com/sluice-live/sluice/internal/testmedia"
	"github.com/sluice-live/sluice/m4s"
)

// ffprobe and ffmpeg read /m4s/NAME, and another server pulls it.
func TestM4SIsReadByAnyone(t *testing.T) {
	ffprobe, ffmpeg := testmedia.Need(t, "ffprobe"), testmedia.Need(t, "ffmpeg")
	s := start(t)
	testmedia.Publish(t.Context(), t, testmedia.Clip(t, clip), s.rtmp("/live/demo"))
	s.live(t, "demo")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, ffprobe, "-v", "warning", "-show_entries", "stream=codec_name,width,height,sample_rate",
		"-of", "csv=p=0", s.url("/m4s/demo")).CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.ElementsMatch(t, []string{"h264,640,360", "aac,48000"}, strings.Fields(string(out)))
	out, err = exec.CommandContext(ctx, ffmpeg, "-nostdin", "-v", "warning", "-i", s.url("/m4s/demo"), "-t", "6", "-f", "null", "-").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Empty(t, string(out))

	p := &m4s.Pull{URL: s.url("/m4s/demo")}
	defer p.Close()
	for range 100 {
		_, err := p.ReadPacket(ctx)
		require.NoError(t, err)
	}
	require.Len(t, p.Tracks(), 2)
}

func TestM4SPushNeedsTheToken(t *testing.T) {
	p, err := open(config{HTTP: "127.0.0.1:0", RTMP: "127.0.0.1:0", Data: t.TempDir(), Open: true, Roles: "all", M4S: "secret"})
	require.NoError(t, err)
	defer p.close()
	url := "http://" + p.site.String() + "/m4s/demo"
	src := &sluicetest.Slice{Packets: sluicetest.Packets(6), Block: true}
	err = (&m4s.Push{URL: url, Client: m4s.Client{Token: "wrong"}}).Consume(t.Context(), src)
	require.ErrorIs(t, err, m4s.ErrDenied)

	src = &sluicetest.Slice{Packets: sluicetest.Packets(6)}
	require.NoError(t, (&m4s.Push{URL: url, Client: m4s.Client{Token: "secret"}}).Consume(t.Context(), src))
	(&server{platform: p}).live(t, "demo") // what has ended can be watched for a while
	http.DefaultClient.CloseIdleConnections()
}

func TestM4SPushIsRefusedWithoutAToken(t *testing.T) {
	s := start(t)
	resp, err := http.Post(s.url("/m4s/demo"), "video/mp4", nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	require.Contains(t, string(text), "--m4s-token")
}
