package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/examples/ugc/browser"
	"github.com/sluice-live/sluice/internal/testmedia"
)

func TestChromiumPlaysLive(t *testing.T) {
	s := start(t)
	testmedia.Publish(t.Context(), t, testmedia.Clip(t, clip), s.rtmp("/live/demo"))
	s.live(t, "demo")
	r := browser.Watch(t, s.url("/@demo"), browser.Options{Observe: 15 * time.Second})
	require.True(t, r.Playing)
	assert.Greater(t, r.Frames, 200, "decoded frames advance")
	assert.Empty(t, r.Errors)
	assert.Empty(t, r.FailedRequests)
	require.NotNil(t, r.Latency)
	t.Logf("first frame after %.0f ms, live latency %.2f s (median), %d stalls of %.0f ms", r.FirstFrameMs, r.Latency.Median, r.Stalls, r.StalledMs)
}

// The encoder is killed and comes back with another picture size: the page
// goes on without a reload.
func TestChromiumGoesOnWhenTheEncoderReturnsWithAnotherSize(t *testing.T) {
	s := start(t)
	first := testmedia.Publish(t.Context(), t, testmedia.Clip(t, clip), s.rtmp("/live/demo"))
	second := testmedia.Clip(t, testmedia.Spec{Width: 320, Height: 180, FPS: "25", Audio: "aac", SampleRate: 44100, Seconds: 20})
	s.live(t, "demo")
	watched := browser.Start(t, s.url("/@demo"), browser.Options{Observe: 35 * time.Second})
	require.Eventually(t, func() bool {
		l := s.playback.Live()
		return len(l) == 1 && l[0].Viewers > 0
	}, 30*time.Second, 100*time.Millisecond)
	time.Sleep(8 * time.Second) // of watching the first encoder
	require.NoError(t, first.Process.Kill())
	_ = first.Wait()
	time.Sleep(4 * time.Second) // without an encoder
	testmedia.Publish(t.Context(), t, second, s.rtmp("/live/demo"))

	r := watched()
	require.True(t, r.Playing)
	require.Len(t, r.Sizes, 2, "both pictures were seen: %v", r.Log)
	assert.Equal(t, 640, r.Sizes[0].Width)
	assert.Equal(t, 320, r.Sizes[1].Width)
	last := r.Samples[len(r.Samples)-1]
	assert.Equal(t, 320, last.Width)
	before := r.Samples[len(r.Samples)-1-int(5*time.Second/browser.Interval)]
	assert.Greater(t, last.CurrentTime-before.CurrentTime, 1.0, "the second picture goes on: %v", r.States)
	t.Logf("%d stalls of %.0f ms in all; seconds from the kill to the second picture: %.1f", r.Stalls, r.StalledMs, r.Sizes[1].At/1000)
}
