package origin

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A source is listed beside renditions of it only if its segments begin with
// key frames, as theirs do: players change from one to the other there.
func TestSourceIsListedWhereItsSegmentsBeginWithKeyFrames(t *testing.T) {
	for name, c := range map[string]struct {
		gop    int
		listed bool
	}{
		"key frames each two seconds": {60, true},
		"key frames each ten seconds": {300, false},
	} {
		t.Run(name, func(t *testing.T) {
			srv := &Server{Spool: t.TempDir()}
			t.Cleanup(func() { require.NoError(t, srv.Close()) })
			made := *videoTrack(t, 7)
			made.ID, made.Maker, made.Width, made.Height = 101, 99, 640, 360
			source, rendition, sound := newFeed(videoTrack(t, 7), epoch, c.gop), newFeed(&made, epoch, 60), newFeed(audioTrack(t, 7), epoch, 1)
			b := start(t, srv, "demo", source.track, rendition.track, sound.track)
			b.send(interleave(20*time.Second, source, rendition, sound)...)
			b.settle()
			entry := get(srv, "/live/demo/index.m3u8").Body.String()
			assert.Equal(t, c.listed, strings.Contains(entry, "\n1/index.m3u8"), entry)
			assert.Contains(t, entry, "\n101/index.m3u8")
		})
	}
}
