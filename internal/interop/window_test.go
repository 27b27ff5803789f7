package interop

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/hlstest"
	"github.com/sluice-live/sluice/internal/testmedia"
)

// TestLongWindow walks playlists that list two minutes, long enough for delta
// updates to skip most of it.
func TestLongWindow(t *testing.T) {
	const window = 2 * time.Minute
	s := start(t, "--window", window.String())
	testmedia.Publish(t.Context(), t, testmedia.Clip(t, clip), s.publish("demo"))
	s.live(t, "demo")
	time.Sleep(window) // until the window is full
	report, err := hlstest.Walk(t.Context(), http.DefaultClient, s.hls("demo"), hlstest.Options{For: time.Minute, Slack: 3 * time.Second})
	require.NoError(t, err)
	t.Log(report)
	require.True(t, report.OK(), "the conformance walk found violations")
	for _, r := range report.Renditions {
		require.GreaterOrEqual(t, r.Window, window-8*time.Second, r.Rendition)
		require.GreaterOrEqual(t, r.Deltas, 3, r.Rendition)
	}
}
