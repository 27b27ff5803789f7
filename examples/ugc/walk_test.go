package main

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/hlstest"
	"github.com/sluice-live/sluice/internal/testmedia"
)

// sources are what encoders send, by stream name.
var sources = map[string]testmedia.Spec{
	"gop-1":         {GOP: 1, Audio: "aac"},
	"gop-2":         {GOP: 2, Audio: "aac"},
	"gop-3":         {GOP: 3, Audio: "aac"},
	"gop-8_3":       {GOP: 8.3, Audio: "aac"},
	"gop-20":        {GOP: 20, Audio: "aac"},
	"scene-cuts":    {SceneCut: true, GOP: 5, Audio: "aac"},
	"fps-23_976":    {FPS: "24000/1001", Audio: "aac"},
	"fps-29_97":     {FPS: "30000/1001", Audio: "aac", SampleRate: 44100},
	"fps-25":        {FPS: "25", Audio: "aac"},
	"fps-60":        {FPS: "60", Audio: "aac"},
	"b-frames":      {BFrames: 3, Audio: "aac"},
	"b-frames-long": {BFrames: 3, GOP: 20, Audio: "aac"},
	"audio-only":    {NoVideo: true, Audio: "aac"},
	"video-only":    {},
	"mp3":           {Audio: "mp3"},
	"audio-early":   {Audio: "aac", AudioOffset: -400 * time.Millisecond},
	"audio-late":    {Audio: "aac", AudioOffset: 400 * time.Millisecond},
}

// TestWalk walks every source's playlists as a strict LL-HLS client would, all
// at once: for a minute with SLUICE_INTEROP=1, else for 20 s. The slack is for a
// machine that carries all of them under the race detector.
func TestWalk(t *testing.T) {
	length := 20 * time.Second
	if thorough {
		length = time.Minute
	}
	s := start(t)
	clips := map[string]string{}
	for name, spec := range sources {
		spec.Width, spec.Height, spec.VideoKbps = 320, 180, 300
		spec.Seconds = (length + 20*time.Second).Seconds() // a loop would leave a hole
		clips[name] = testmedia.Clip(t, spec)
	}
	var mu sync.Mutex
	reports, errs := map[string]hlstest.Report{}, map[string]error{}
	var walks sync.WaitGroup
	for name, path := range clips {
		testmedia.Publish(t.Context(), t, path, s.rtmp("/live/"+name))
		s.live(t, name)
		walks.Go(func() {
			r, err := hlstest.Walk(t.Context(), http.DefaultClient, s.url("/live/"+name+"/index.m3u8"),
				hlstest.Options{For: length, Slack: 8 * time.Second})
			mu.Lock()
			defer mu.Unlock()
			reports[name], errs[name] = r, err
		})
	}
	walks.Wait()
	for name := range sources {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, errs[name])
			t.Log(reports[name])
			require.Empty(t, reports[name].Violations)
		})
	}
}
