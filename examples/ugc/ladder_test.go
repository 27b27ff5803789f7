package main

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/examples/ugc/browser"
	"github.com/sluice-live/sluice/internal/testmedia"
)

// source720 is longer than the tests: a loop would leave a hole.
var source720 = testmedia.Spec{Width: 1280, Height: 720, VideoKbps: 2500, Audio: "aac", Seconds: 60}

// startLadder is the platform with what two cores carry beside a browser.
func startLadder(t *testing.T) *server {
	return startWith(t, config{Ladder: true, Renditions: "480,240"})
}

// TestChromiumSwitchesRenditions watches a 720p source that is kept, and its
// 480p and 240p, chosen by hand: the picture changes and never stands.
func TestChromiumSwitchesRenditions(t *testing.T) {
	s := startLadder(t)
	testmedia.Publish(t.Context(), t, testmedia.Clip(t, source720), s.rtmp("/live/demo"))
	s.live(t, "demo")
	r := browser.Watch(t, s.url("/@demo"), browser.Options{
		Observe: 30 * time.Second,
		Quality: []browser.Change{{After: 3 * time.Second, Value: "240p"}, {After: 12 * time.Second, Value: "480p"}, {After: 21 * time.Second, Value: "720p"}},
	})
	t.Log(r.Summary())
	require.True(t, r.Playing)
	assert.Subset(t, heights(r), []int{240, 480, 720})
	assert.Empty(t, r.Errors)
	assert.Empty(t, r.FailedRequests)
	seamless(t, r)
}

// TestChromiumAdapts lets the viewer's line become too slow for 720p and well
// again.
func TestChromiumAdapts(t *testing.T) {
	s := startLadder(t)
	testmedia.Publish(t.Context(), t, testmedia.Clip(t, source720), s.rtmp("/live/demo"))
	s.live(t, "demo")
	r := browser.Watch(t, s.url("/@demo"), browser.Options{
		Observe:   35 * time.Second,
		Bandwidth: []browser.Change{{After: 5 * time.Second, Value: "2200"}, {After: 20 * time.Second, Value: "0"}},
	})
	t.Log(r.Summary())
	require.True(t, r.Playing)
	h := heights(r)
	assert.Contains(t, h, 720)
	assert.Less(t, minHeight(r), 720, "a smaller rendition was taken")
	assert.Equal(t, 720, h[len(h)-1], "and left again")
	assert.Empty(t, r.Errors)
	seamless(t, r)
}

func heights(r browser.Report) (all []int) {
	for _, s := range r.Sizes {
		all = append(all, s.Height)
	}
	return all
}

func minHeight(r browser.Report) int {
	least := math.MaxInt
	for _, h := range heights(r) {
		least = min(least, h)
	}
	return least
}

// seamless checks that once it played, the picture never stood for more than
// half a second, and that what is buffered has no hole. It is about time, so
// only a quiet machine is held to it.
func seamless(t *testing.T, r browser.Report) {
	t.Helper()
	if !thorough {
		return
	}
	var last browser.Sample
	stood := 0.0
	for _, s := range r.Samples {
		if last.Frames > 0 {
			if s.CurrentTime == last.CurrentTime {
				stood += s.At - last.At
			} else {
				stood = 0
			}
			assert.LessOrEqual(t, stood, 500.0, "the picture stands at %.0f ms", s.At)
			assert.LessOrEqual(t, len(s.Buffered), 1, "a hole at %.0f ms: %v", s.At, s.Buffered)
		}
		last = s
	}
}
