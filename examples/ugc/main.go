package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/sluice-live/sluice/ingest"
)

// config is the command line.
type config struct {
	HTTP       string        `name:"http" default:":8080" env:"UGC_HTTP" help:"Address of the site, its APIs and playback."`
	RTMP       string        `name:"rtmp" default:":1935" env:"UGC_RTMP" help:"Address for RTMP publishers and players."`
	TLS        tlsFlags      `embed:""`
	RTC        string        `name:"rtc" default:":8189" env:"UGC_RTC" help:"Address of the UDP and TCP port for WebRTC publishers; none if empty."`
	Advertise  []string      `name:"rtc-advertise" env:"UGC_RTC_ADVERTISE" placeholder:"IP" help:"Addresses that browsers are told to send to, where this machine is behind NAT."`
	SRT        string        `name:"srt" default:":8890" env:"UGC_SRT" help:"Address for SRT publishers and players; none if empty."`
	Data       string        `name:"data" default:"./data" env:"UGC_DATA" help:"Directory for what is kept: stream positions, live segments."`
	Window     time.Duration `name:"window" default:"1m" env:"UGC_WINDOW" help:"How much of a live stream its playlists list; at least 24s."`
	Limits     limits        `embed:""`
	Open       bool          `name:"open" env:"UGC_OPEN" help:"Trying out: a stream's name is its key, and anyone may watch."`
	Roles      string        `name:"roles" default:"all" env:"UGC_ROLES" help:"What this process does: all, or a list of ingest, transcode, origin."`
	Grace      time.Duration `name:"grace" default:"30s" env:"UGC_GRACE" help:"How long a broadcast waits for its encoder to come back."`
	Slate      string        `name:"slate" env:"UGC_SLATE" placeholder:"FILE" help:"Clip (MP4) or picture (PNG, JPEG) to show while an encoder is away; last shows its last picture."`
	Second     ingest.Second `name:"second" default:"refuse" env:"UGC_SECOND" help:"A second publisher on a live key: refuse, takeover, or standby, which keeps it as a hot spare."`
	Ladder     bool          `name:"ladder" env:"UGC_LADDER" help:"Transcode: make renditions of every stream, so that each viewer gets what their line can take."`
	Renditions string        `name:"renditions" default:"1080,720,480,360,240" env:"UGC_RENDITIONS" help:"Lines of the ladder's pictures; none is ever enlarged."`
	Logo       string        `name:"logo" env:"UGC_LOGO" type:"existingfile" placeholder:"PNG" help:"Picture to burn into all renditions, top right."`
	HW         string        `name:"hw" env:"UGC_HW" placeholder:"auto" help:"Encode with the GPU where there is one."`
	Transcoder string        `name:"transcoder" env:"UGC_TRANSCODER" placeholder:"URL" help:"Server with the transcode role that makes the ladders: http://HOST:8080."`
	Origin     string        `name:"origin" env:"UGC_ORIGIN" placeholder:"URL" help:"Server with the origin role that broadcasts go to, where this one has it not: http://HOST:8080."`
	M4S        string        `name:"m4s-token" env:"UGC_M4S_TOKEN" placeholder:"TOKEN" help:"Bearer token between servers: others may push streams to /m4s/ with it, and this one pushes with it."`
	Push       []string      `name:"push" env:"UGC_PUSH" sep:"none" placeholder:"NAME=URL" help:"Push the stream NAME to another server as well: rtmp(s), srt, whip(s), m4s. May be given several times; in the environment, divided by spaces."`
	Pprof      string        `name:"pprof" env:"UGC_PPROF" placeholder:"ADDR" help:"Serve Go profiles on this address; keep it private."`
	Debug      bool          `name:"debug" env:"UGC_DEBUG" help:"Log more."`
}

func main() {
	workerMain() // does not return in a worker's process
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
	p.announce()
	return p.run(ctx)
}
