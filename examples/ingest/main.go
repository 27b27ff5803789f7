// Command ingest takes streams from creators whose keys it knows, over RTMP,
// SRT and WebRTC, and hands each broadcast to another server over m4s: to an
// origin, or to a server that transcodes.
//
//	go run ./examples/ingest -to http://127.0.0.1:9090/m4s/ -token TOKEN demo=SECRETKEY
//
// publishes what comes with SECRETKEY as the stream demo. There
// go run ./examples/ugc --open --http :9090 --roles origin --m4s-token TOKEN may
// listen. A second encoder with the same key stands by, and goes on where the
// first one freezes; while there is none, viewers see the last picture.
package main

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/ingest"
	"github.com/sluice-live/sluice/m4s"
)

// keys are the streams' names by their keys' hashes: a look-up takes as long
// for a key that is nearly right.
type keys map[[sha256.Size]byte]string

func (k keys) publish(_ context.Context, r *ingest.Request) (ingest.Grant, error) {
	stream, ok := k[sha256.Sum256([]byte(r.Name))]
	if !ok {
		return ingest.Grant{}, fmt.Errorf("stream key is not known (was it rotated?): %w", ingest.ErrDenied)
	}
	return ingest.Grant{Stream: stream, Limits: ingest.Limits{Bitrate: 20e6, FrameRate: 60}}, nil
}

func main() {
	to := flag.String("to", "http://127.0.0.1:9090/m4s/", "where streams go; their name follows")
	token := flag.String("token", os.Getenv("TOKEN"), "bearer token of that server")
	flag.Parse()
	known := keys{}
	for _, arg := range flag.Args() {
		stream, key, _ := strings.Cut(arg, "=")
		known[sha256.Sum256([]byte(key))] = stream
	}
	server := &ingest.Server{
		RTMP: ":1935", SRT: ":8890", RTC: ":8189",
		Authorize: known.publish,
		Second:    ingest.Standby,
		Slate:     ingest.LastPicture,
		Broadcast: func(ctx context.Context, b *ingest.Broadcast) error {
			push := &m4s.Push{URL: *to + b.Name, Client: m4s.Client{Token: *token, Log: slog.Default()}}
			return sluice.Pipeline{Source: b, Sinks: []sluice.Sink{push}}.Run(ctx)
		},
		Log: slog.Default(),
	}
	go func() { log.Fatal(http.ListenAndServe(":8080", server.WHIP())) }() // POST /whip/SECRETKEY
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := server.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
