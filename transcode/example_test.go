package transcode_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"log"
	"net/http/httptest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
	"github.com/sluice-live/sluice/m4s"
	"github.com/sluice-live/sluice/transcode"
)

// A ladder in a pipeline, with a clock burnt in and its figures for Prometheus.
func ExampleLadder() {
	overlays, monitor := new(transcode.Overlays), new(transcode.Monitor)
	if err := overlays.Set(transcode.Overlay{Clock: "%H:%M:%S", Anchor: transcode.TopRight, X: 0.02, Y: 0.02}); err != nil {
		log.Fatal(err)
	}
	prometheus.NewRegistry().MustRegister(monitor.Collector())

	source := &sluicetest.Slice{} // an ingest.Broadcast, say; this one ends at once
	err := sluice.Pipeline{
		Source: source,
		Transforms: []sluice.Transform{transcode.Ladder{
			Name:       "demo",
			Renditions: append([]transcode.Rendition{{Height: 1080, FPS: 60, Bitrate: 6_000_000}}, transcode.HD...),
			Overlays:   overlays,
			Monitor:    monitor,
		}},
	}.Run(context.Background())
	fmt.Println(err)
	// Output: <nil>
}

// The newest picture of a stream, for its page, and sprites for the seek bar.
func ExamplePreviews() {
	var index []byte
	previews := &transcode.Previews{OnSprite: func(s transcode.Sprite) {
		name := fmt.Sprintf("sprite-%d.jpg", s.Start[0].Unix())
		index = s.AppendWebVTT(index, name, s.Start[0])
	}}
	stream := new(sluice.Stream)
	attached := stream.Attach(context.Background(), "previews", previews, sluice.AttachConfig{})
	stream.End(nil)
	fmt.Println(attached.Wait())
	picture, _ := previews.Latest()
	fmt.Println(len(picture), "bytes")
	// Output:
	// <nil>
	// 0 bytes
}

// A ladder in a process of its own. WorkerMain is the first that main does: the
// program starts itself again as its worker.
func ExampleIsolated() {
	transcode.WorkerMain()

	err := sluice.Pipeline{
		Source:     &sluicetest.Slice{}, // an ingest.Broadcast, say; this one ends at once
		Transforms: []sluice.Transform{transcode.Isolated{Ladder: transcode.Ladder{Name: "demo"}, Nice: 5, Memory: 1 << 30}},
	}.Run(context.Background())
	fmt.Println(err)
	// Output: <nil>
}

// A transcoding server, and a pipeline elsewhere whose ladder runs on it.
func ExampleRemote() {
	service := &transcode.Service{Transform: func(name string) sluice.Transform {
		return transcode.Ladder{Name: name} // or Isolated
	}}
	handler := &m4s.Handler{Publish: service.Publish, Play: service.Play}
	server := httptest.NewServer(handler)
	defer server.Close()

	err := sluice.Pipeline{
		Source:     &sluicetest.Slice{},
		Transforms: []sluice.Transform{transcode.Remote{URL: server.URL + "/m4s/demo"}},
	}.Run(context.Background())
	fmt.Println(err, handler.Shutdown(context.Background()))
	// Output: <nil> <nil>
}

// A picture that is shown while an encoder is away becomes a clip, once.
func ExampleStill() {
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 64, 36))); err != nil {
		log.Fatal(err)
	}
	clip, err := transcode.Still{Width: 640, Height: 360, Length: 2 * time.Second}.Clip(context.Background(), picture.Bytes())
	if err != nil {
		log.Fatal(err)
	}
	defer clip.Close()
	p, err := clip.ReadPacket(context.Background()) // ingest.NewSlate reads it all
	fmt.Println(p.Track.Codec, p.Track.Width, p.Track.Height, p.Key, err)
	// Output: avc1 640 360 true <nil>
}
