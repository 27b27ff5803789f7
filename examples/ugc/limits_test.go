package main

import (
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/ingest"
)

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		args   []string
		limits ingest.Limits
		conns  ingest.ConnLimits
	}{
		{nil, ingest.Limits{Tracks: 16}, ingest.ConnLimits{Max: 10000, Handshake: 10 * time.Second, Idle: 30 * time.Second}},
		{[]string{"--max-bitrate=6.5", "--max-size=1920x1080", "--max-fps=60", "--max-tracks=3", "--max-duration=12h",
			"--max-per-address=4", "--max-connections=50", "--handshake-timeout=3s", "--idle-timeout=7s"},
			ingest.Limits{Bitrate: 6_500_000, Width: 1920, Height: 1080, FrameRate: 60, Tracks: 3, Duration: 12 * time.Hour},
			ingest.ConnLimits{Max: 50, PerAddr: 4, Handshake: 3 * time.Second, Idle: 7 * time.Second}},
	} {
		var parsed config
		parser, err := kong.New(&parsed)
		require.NoError(t, err)
		_, err = parser.Parse(c.args)
		require.NoError(t, err)
		var s ingest.Server
		require.NoError(t, parsed.Limits.set(&s))
		assert.Equal(t, c.limits, s.Limits)
		assert.Equal(t, c.conns, s.Conns)
		assert.Equal(t, c.conns.Idle, s.Idle, "media is waited for as long as bytes are")
	}
	for _, size := range []string{"1920", "x1080", "1920x", "0x0", "-1x5", "1920x1080p", "a"} {
		assert.ErrorContains(t, limits{Size: size}.set(new(ingest.Server)), "--max-size", size)
	}
}
