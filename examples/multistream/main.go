// Command multistream takes RTMP on :1935 and sends what comes to every URL on
// its command line, each on its own: rtmp(s), srt, whip(s), or m4s.
//
//	go run ./examples/multistream rtmp://a.example/live2/KEY 'srt://b.example:8890?streamid=publish:KEY'
//
// Publish to rtmp://127.0.0.1/live/NAME. Anyone who reaches the port may.
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/sluice-live/sluice/ingest"
)

func main() {
	targets := new(ingest.Targets)
	for i, url := range os.Args[1:] {
		t := ingest.Push(url)
		t.Name, t.Log = fmt.Sprintf("target %d", i+1), slog.Default()
		if err := targets.Add(t); err != nil {
			log.Fatal(t.Name, ": ", err)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	go report(ctx, targets)
	server := &ingest.Server{
		RTMP: ":1935",
		Broadcast: func(ctx context.Context, b *ingest.Broadcast) error {
			return targets.Consume(ctx, b)
		},
		Log: slog.Default(),
	}
	if err := server.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// report says every ten seconds what the targets do.
func report(ctx context.Context, targets *ingest.Targets) {
	for ctx.Err() == nil {
		for _, st := range targets.Stats() {
			fmt.Printf("%-10s %-10s %9d kB %6d dropped  %s  %s\n", st.Name, st.State, st.Bytes/1000, st.Dropped, st.URL, st.Error)
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Second):
		}
	}
}
