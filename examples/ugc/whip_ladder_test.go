//go:build cgo

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/examples/ugc/browser"
)

// No player takes VP8 in fMP4: it is watched in a rendition.
func TestChromiumGoesLiveInVP8AndIsWatchedThroughTheLadder(t *testing.T) {
	for _, protocol := range []string{"udp", "tcp"} {
		t.Run(protocol, func(t *testing.T) {
			if protocol == "tcp" && !thorough {
				t.Skip("as over UDP: make interop runs it")
			}
			s := startWith(t, config{Ladder: true, Renditions: "240"})
			published := browser.Publish(t, s.url(""), "vp8", browser.PublishOptions{Codec: "video/VP8", TCP: protocol == "tcp", For: 25 * time.Second})
			s.live(t, "vp8")
			r := browser.Watch(t, s.url("/@vp8"), browser.Options{Observe: 8 * time.Second})
			t.Log(r.Summary())
			require.True(t, r.Playing)
			assert.Greater(t, r.Frames, 30, "decoded frames advance")
			assert.Empty(t, r.Errors)
			p := published()
			assert.Equal(t, "video/VP8", p.Codec)
			assert.Equal(t, protocol, p.Protocol)
		})
	}
}
