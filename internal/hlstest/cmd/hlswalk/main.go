// Command hlswalk walks a live LL-HLS presentation as a strict client and
// prints every rule it breaks:
//
//	go run ./internal/hlstest/cmd/hlswalk http://127.0.0.1:8080/live/demo/index.m3u8 --for 60s
//
// It exits with 1 when something that must hold was broken, 2 when the
// presentation could not be walked.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/alecthomas/kong"

	"github.com/sluice-live/sluice/internal/hlstest"
)

type flags struct {
	URL      string        `arg:"" help:"Address of the multivariant playlist."`
	For      time.Duration `default:"60s" help:"How long to walk."`
	Slack    time.Duration `default:"1500ms" help:"How late an answer may be that ought to come at once."`
	AnyNames bool          `help:"Do not hold the names of segments to Sluice's scheme."`
}

func main() {
	var f flags
	kong.Parse(&f, kong.Description("Walks a live LL-HLS presentation as a strict client."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, f)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, f flags) int {
	report, err := hlstest.Walk(ctx, &http.Client{}, f.URL, hlstest.Options{
		For: f.For, Slack: f.Slack, AnyNames: f.AnyNames,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	fmt.Print(report)
	if !report.OK() {
		return 1
	}
	return 0
}
