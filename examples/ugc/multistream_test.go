package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/examples/ugc/browser"
	"github.com/sluice-live/sluice/internal/testmedia"
)

// The studio page pushes a stream to a second server, sees it live, and takes
// the target away again; on a wide window and on a phone's.
func TestStudioPushesAStreamOn(t *testing.T) {
	for name, size := range map[string]string{"desktop": "1280x900", "phone": "390x844"} {
		t.Run(name, func(t *testing.T) {
			far, s := start(t), startWith(t, config{SRT: "127.0.0.1:0"})
			testmedia.Publish(t.Context(), t, testmedia.Clip(t, clip), s.rtmp("/live/demo"))
			s.live(t, "demo")
			arrived := make(chan bool, 1)
			go func() { arrived <- far.sees(t.Context(), "copy-key") }()
			r := browser.AddAndRemoveTarget(t, s.url(""), "demo", far.rtmp("/live"), "copy-key", size)
			t.Logf("%+v", r)
			assert.True(t, <-arrived, "the second server had the stream")
			assert.Empty(t, r.Errors)
			assert.Zero(t, r.Overflow)

			assert.Equal(t, "RTMP", r.Broadcast["Over"])
			assert.Equal(t, "640×360", r.Broadcast["Picture"])
			assert.Equal(t, "30 fps", r.Broadcast["Frame rate"])
			assert.Equal(t, "/@demo", r.Watch)

			assert.Contains(t, r.Complaint, `"ftp" is no protocol`)
			assert.Equal(t, "target-url", r.Focused)
			assert.Equal(t, "Live", r.Target.Badge)
			assert.Equal(t, far.rtmp("/live/***"), r.Target.URL)
			assert.Regexp(t, `bit/s · .+ sent · for \d`, r.Target.Figures)
			assert.Equal(t, "1 target, 1 live", r.Note)
			assert.Empty(t, r.Kept, "the form forgets the key")
			assert.Equal(t, "Really remove?", r.Asks)
			require.Empty(t, s.targetsOf(t, "demo"))
		})
	}
}

// sees waits until packets of a stream have come in.
func (s *server) sees(ctx context.Context, name string) bool {
	for deadline := time.Now().Add(2 * time.Minute); ctx.Err() == nil && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for _, b := range s.server.Broadcasts() {
			if b.Name == name && b.Stats().Packets > 0 {
				return true
			}
		}
	}
	return false
}
