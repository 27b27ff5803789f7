package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/ingest"
	"github.com/sluice-live/sluice/internal/testmedia"
)

// encoderOf waits until the API says of demo's encoder what ok wants.
func (s *server) encoderOf(t *testing.T, what string, ok func(*encoder) bool) (e *encoder) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		for _, c := range s.listed(t).Streams {
			if e = c.Encoder; c.Name == "demo" && e != nil && ok(e) {
				return e
			}
		}
		require.True(t, time.Now().Before(deadline), "%s: %+v", what, e)
	}
}

// An encoder is live, gets a spare that takes over, and goes: its stream stays
// listed, waiting or with the slate.
func TestTheAPIFollowsTheEncoder(t *testing.T) {
	for slate, away := range map[string]string{"": encoderWaiting, "last": encoderSlate} {
		t.Run(away, func(t *testing.T) {
			s := startWith(t, config{Second: ingest.Standby, Slate: slate, Grace: time.Minute})
			first := testmedia.Publish(t.Context(), t, testmedia.Clip(t, clip), s.rtmp("/live/demo"))
			e := s.encoderOf(t, "live", func(e *encoder) bool { return e.State == encoderLive && e.Bytes > 50_000 })
			assert.Equal(t, "rtmp", e.Protocol)
			assert.Zero(t, e.Spares)

			spare := testmedia.Publish(t.Context(), t, testmedia.Clip(t, clip), s.rtmp("/live/demo"))
			s.encoderOf(t, "has a spare", func(e *encoder) bool { return e.Spares == 1 && e.Connections == 2 && e.State == encoderLive })
			require.NoError(t, first.Process.Kill())
			_ = first.Wait()
			s.encoderOf(t, "the spare took over", func(e *encoder) bool { return e.Switches == 1 && e.Spares == 0 && e.State == encoderLive })
			require.NoError(t, spare.Process.Kill())
			_ = spare.Wait()
			e = s.encoderOf(t, away, func(e *encoder) bool { return e.State == away })
			assert.Empty(t, e.Protocol)
		})
	}
}
