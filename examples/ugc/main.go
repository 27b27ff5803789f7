package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// config is the command line.
type config struct {
	HTTP   string        `name:"http" default:":8080" env:"UGC_HTTP" help:"Address of the site, its APIs and playback."`
	RTMP   string        `name:"rtmp" default:":1935" env:"UGC_RTMP" help:"Address for RTMP publishers and players."`
	Data   string        `name:"data" default:"./data" env:"UGC_DATA" help:"Directory for what is kept: stream positions, live segments."`
	Window time.Duration `name:"window" default:"1m" env:"UGC_WINDOW" help:"How much of a live stream its playlists list; at least 24s."`
	Open   bool          `name:"open" env:"UGC_OPEN" help:"Trying out: a stream's name is its key, and anyone may watch."`
	M4S    string        `name:"m4s-token" env:"UGC_M4S_TOKEN" placeholder:"TOKEN" help:"Other servers may push streams to /m4s/ with this bearer token."`
	Pprof  string        `name:"pprof" env:"UGC_PPROF" placeholder:"ADDR" help:"Serve Go profiles on this address; keep it private."`
	Debug  bool          `name:"debug" env:"UGC_DEBUG" help:"Log more."`
}

func main() {
	var c config
	kong.Parse(&c, kong.Name("ugc"), kong.Description("A streaming platform of your own, in one process."))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "ugc:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c config) error {
	p, err := open(c)
	if err != nil {
		return err
	}
	defer p.close()
	announce(port(p.site), port(p.server.RTMPAddr()))
	return p.run(ctx)
}

// announce tells a newcomer what to do.
func announce(httpPort, rtmpPort int) {
	fmt.Printf(`
Sluice is running.

  Publish  OBS: Settings, Stream, Service "Custom"
           Server      rtmp://127.0.0.1:%[2]d/live
           Stream key  demo (any name: it becomes the channel)
           or: ffmpeg -re -i clip.mp4 -c copy -f flv rtmp://127.0.0.1:%[2]d/live/demo
  Watch    http://127.0.0.1:%[1]d/@demo      all channels: http://127.0.0.1:%[1]d/
           m4s http://127.0.0.1:%[1]d/m4s/demo (to other servers and tools)
           HLS http://127.0.0.1:%[1]d/live/demo/index.m3u8    RTMP rtmp://127.0.0.1:%[2]d/play/demo

Ctrl-C stops it.

`, httpPort, rtmpPort)
}
