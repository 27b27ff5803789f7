// Command transcode takes RTMP on :1935, makes a ladder of each broadcast and
// serves it as LL-HLS on :8080: publish to rtmp://127.0.0.1/live/NAME, play
// http://127.0.0.1:8080/live/NAME/index.m3u8. Anyone may do either.
package main

import (
	"context"
	"flag"
	"log"
	"log/slog"
	"net/http"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/ingest"
	"github.com/sluice-live/sluice/origin"
	"github.com/sluice-live/sluice/transcode"
)

func main() {
	rtmp, web := flag.String("rtmp", ":1935", "address for publishers"), flag.String("http", ":8080", "address for players")
	flag.Parse()
	site := &origin.Server{Log: slog.Default()}
	go func() { log.Fatal(http.ListenAndServe(*web, site)) }()

	server := &ingest.Server{
		RTMP: *rtmp,
		Broadcast: func(ctx context.Context, b *ingest.Broadcast) error {
			ladder := transcode.Ladder{Name: b.Name, Renditions: transcode.HD, Log: slog.Default()}
			return sluice.Pipeline{
				Source:     b,
				Transforms: []sluice.Transform{ladder},
				Sinks:      []sluice.Sink{site.Stream(b.Name)},
			}.Run(ctx)
		},
		Log: slog.Default(),
	}
	log.Fatal(server.Run(context.Background()))
}
