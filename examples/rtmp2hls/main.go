// Command rtmp2hls takes RTMP on :1935 and serves it as LL-HLS on :8080:
// publish to rtmp://127.0.0.1/live/NAME, play
// http://127.0.0.1:8080/live/NAME/index.m3u8. Anyone may do either.
package main

import (
	"context"
	"log"
	"log/slog"
	"net/http"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/ingest"
	"github.com/sluice-live/sluice/origin"
)

func main() {
	site := &origin.Server{Log: slog.Default()}
	go func() { log.Fatal(http.ListenAndServe(":8080", site)) }()

	server := &ingest.Server{
		RTMP: ":1935",
		Play: site.Play, // rtmp://127.0.0.1/play/NAME
		Broadcast: func(ctx context.Context, b *ingest.Broadcast) error {
			return sluice.Pipeline{Source: b, Sinks: []sluice.Sink{site.Stream(b.Name)}}.Run(ctx)
		},
		Log: slog.Default(),
	}
	log.Fatal(server.Run(context.Background()))
}
