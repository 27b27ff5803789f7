package main

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/testmedia"
)

func TestSRTInAndOut(t *testing.T) {
	ffmpeg := testmedia.Need(t, "ffmpeg")
	s := startWith(t, config{SRT: "127.0.0.1:0"})
	address := "srt://" + s.server.SRTAddr().String()
	testmedia.Start(t.Context(), t, ffmpeg, "-nostdin", "-loglevel", "warning", "-re", "-stream_loop", "-1",
		"-i", testmedia.Clip(t, clip), "-c", "copy", "-f", "mpegts", address+"?streamid=publish:demo")
	s.live(t, "demo")
	for _, url := range []string{s.url("/live/demo/index.m3u8"), address + "?streamid=#!::m=request,r=demo"} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, testmedia.Need(t, "ffprobe"), "-v", "error", "-show_entries", "stream=codec_name,width,height",
			"-of", "csv=p=0", url).CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Contains(t, string(out), "h264,640,360", url)
		assert.Contains(t, string(out), "aac", url)
	}
	answer := s.listed(t)
	require.Len(t, answer.Streams, 1)
	assert.Contains(t, answer.Publish.SRT, "?streamid=publish:")
	assert.Equal(t, "srt", answer.Streams[0].Encoder.Protocol)
	figures := answer.Streams[0].SRT
	require.NotNil(t, figures)
	assert.Positive(t, figures.RTT)
	assert.Positive(t, figures.Received)
	assert.Zero(t, figures.Missing)
}
