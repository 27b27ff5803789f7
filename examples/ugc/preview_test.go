//go:build cgo

package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/testmedia"
	"github.com/sluice-live/sluice/transcode"
)

// A second broadcast of a name, which the origin refuses, does not take the
// preview of the first with it.
func TestPreviewOutlivesARefusedBroadcast(t *testing.T) {
	s := newPreviews()
	first, second := new(transcode.Previews), new(transcode.Previews)
	s.put("demo", first)
	s.put("demo", second)
	s.remove("demo", second)
	require.Same(t, first, s.newest("demo"))
	s.remove("demo", first)
	require.Nil(t, s.newest("demo"))
	require.Empty(t, s.m)
}

// The API names no picture before there is one.
func TestPreviewIsNamedOnceItIsThere(t *testing.T) {
	s := startWith(t, config{Ladder: true, Renditions: "240"})
	testmedia.Publish(t.Context(), t, testmedia.Clip(t, clip), s.rtmp("/live/demo"))
	without := 0
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "a picture is named")
		all := s.listed(t).Streams
		if len(all) == 0 {
			continue
		}
		if all[0].Preview != "" {
			resp, err := http.Get(s.url(all[0].Preview))
			require.NoError(t, err)
			resp.Body.Close()
			require.Equal(t, http.StatusOK, resp.StatusCode)
			break
		}
		without++
	}
	assert.Positive(t, without, "times that it was listed without a picture")
}
