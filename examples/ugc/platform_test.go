package main

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/ingest"
	"github.com/sluice-live/sluice/m4s"
)

// A server that cannot take broadcasts any more ends.
func TestRunEndsWithIngest(t *testing.T) {
	p := &platform{log: slog.New(slog.DiscardHandler), m4s: &m4s.Handler{}, server: &ingest.Server{RTMP: "nowhere.invalid:-1"}}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { ended <- p.run(ctx) }()
	select {
	case err := <-ended:
		require.Error(t, err)
	case <-time.After(10 * time.Second):
		cancel()
		<-ended
		t.Fatal("it goes on without RTMP")
	}
}
