package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/alecthomas/kong"

	"github.com/sluice-live/sluice/internal/testmedia"
)

// options are the command line.
type options struct {
	Sluice  string   `default:"bin/ugc" help:"The platform's binary."`
	Only    []string `enum:"fanout,packaging,files,parts,srt,whip" default:"fanout,packaging,files,parts,srt,whip" help:"Groups of figures."`
	Servers []string `enum:"sluice,nginx" default:"sluice,nginx" help:"Servers to measure."`
	Rounds  int      `default:"3" help:"Rounds; medians are reported."`
	Players int      `default:"500" help:"Players of the fan-out."`

	clip360, clip720, clip1080 *clip
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	if len(os.Args) == 6 && os.Args[1] == "crowd" {
		return crowdMain(ctx, os.Args[2], os.Args[3], os.Args[4], os.Args[5])
	}
	if len(os.Args) == 4 && os.Args[1] == "bare" {
		return bareMain(os.Args[2], os.Args[3])
	}
	if len(os.Args) == 4 && os.Args[1] == "srtsink" {
		return srtSinkMain(ctx, os.Args[2], os.Args[3])
	}
	var o options
	kong.Parse(&o, kong.Description("Measures Sluice beside nginx."))
	if o.clip360, err = realistic(ctx, 640, 360, 1000); err != nil {
		return err
	}
	if o.clip720, err = realistic(ctx, 1280, 720, 2500); err != nil {
		return err
	}
	if o.clip1080, err = realistic(ctx, 1920, 1080, 5000); err != nil {
		return err
	}
	r, start := results{}, time.Now()
	for _, group := range o.Only {
		fmt.Fprintln(os.Stderr, "measuring", group)
		if err := groups[group](ctx, o, r); err != nil {
			return fmt.Errorf("%s: %w", group, err)
		}
	}
	fmt.Printf(preamble, machine(ctx), o.Rounds, o.Players, time.Since(start).Round(time.Second))
	fmt.Print(r.table())
	return nil
}

// preamble says what the table is.
const preamble = `Sluice beside nginx with its RTMP module, on the same input, in one run, on %s;
medians of %d rounds, fan-out to %d players, in %s.

`

var groups = map[string]func(context.Context, options, results) error{
	"fanout":    benchFanout,
	"packaging": benchPackaging,
	"files":     benchFiles,
	"parts":     benchParts,
	"srt":       benchSRT,
	"whip":      benchWHIP,
}

// realistic is the input of all measurements: two seconds between key frames,
// 30 frames a second, AAC.
func realistic(ctx context.Context, width, height, kbps int) (*clip, error) {
	const seconds = 16 // a whole number of pictures and of sound frames
	path, err := testmedia.Make(ctx, testmedia.Spec{
		Width: width, Height: height, FPS: "30", GOP: 2, VideoKbps: kbps, Audio: "aac", Seconds: seconds,
	})
	if err != nil {
		return nil, err
	}
	return loadClip(path, seconds)
}

// eachRound runs a measurement on every server in turn, several times.
func (o options) eachRound(measure func(name string, launch launcher) error) error {
	launchers := map[string]launcher{"sluice": launchSluice(o.Sluice), "nginx": launchNginx("1")}
	for range o.Rounds {
		for name, launch := range launchers {
			if !slices.Contains(o.Servers, name) {
				continue
			}
			if err := measure(name, launch); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}
