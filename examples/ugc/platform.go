package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/ingest"
	"github.com/sluice-live/sluice/m4s"
	"github.com/sluice-live/sluice/origin"
)

// platform is the roles of this process. Its ports are open from the start.
type platform struct {
	lock      io.Closer
	log       *slog.Logger
	server    *ingest.Server                     // nil without its role
	playback  *origin.Server                     // the same
	service   exchange                           // transcodes for other servers, and does nothing else
	transform func(name string) sluice.Transform // nil: streams stay as they are
	sink      func(name string) sluice.Sink      // where streams go
	ladders   prometheus.Collector               // nil where there are none
	previews  *previews                          // nil where there are none
	targets   *targets
	m4s       *m4s.Handler
	web       httpServers
	site      net.Addr // of the HTTP port
}

// exchange takes streams from other servers and gives them back, otherwise.
type exchange interface {
	Publish(ctx context.Context, name string, src sluice.Source) error
	Play(ctx context.Context, name string) (*sluice.Stream, error)
}

// open opens the data directory and the ports.
func open(c config) (_ *platform, err error) {
	if !c.Open {
		return nil, errors.New("there are no accounts and stream keys yet: start with --open, " +
			"which lets anyone who reaches this machine publish and watch")
	}
	level := slog.LevelInfo
	if c.Debug {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	p := &platform{log: log}
	p.targets = &targets{log: log, sound: p.soundFor}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.lock, err = prepare(c.Data); err != nil {
		return nil, err
	}
	if err := p.targets.addAll(c.Push); err != nil {
		return nil, err
	}
	r, err := parseRoles(c.Roles, c.Ladder)
	if err == nil {
		err = r.check(c)
	}
	if err == nil {
		err = p.assemble(r, c)
	}
	if err != nil {
		return nil, err
	}
	p.m4s = p.newM4S(c)
	p.site, err = p.web.listen("--http", c.HTTP, newSite(p), log)
	if err == nil && c.Pprof != "" {
		_, err = p.web.listen("--pprof", c.Pprof, profiles(), log)
	}
	return p, err
}

// assemble makes what the roles need.
func (p *platform) assemble(r roles, c config) error {
	peer := m4s.Client{Token: c.M4S, Log: p.log, GiveUp: -1}
	if r.origin {
		p.playback = &origin.Server{Spool: filepath.Join(c.Data, "spool"), Window: c.Window, Log: p.log}
		p.sink = p.playback.Stream
	} else if c.Origin != "" {
		p.sink = func(name string) sluice.Sink { return &m4s.Push{URL: c.Origin + "/m4s/" + name, Client: peer} }
	}
	var err error
	switch {
	case r.transcode:
		p.transform, err = p.newLadder(c)
	case c.Transcoder != "":
		p.transform, err = p.remoteLadder(c.Transcoder, peer)
	}
	if err != nil {
		return err
	}
	if p.sink == nil {
		p.service = p.newService()
	}
	if p.playback != nil && p.transform != nil {
		p.previews = newPreviews()
	}
	if !r.ingest {
		return nil
	}
	secure, err := c.TLS.config(p.log)
	if err != nil {
		return err
	}
	slate, err := loadSlate(c.Slate)
	if err != nil {
		return err
	}
	p.server = &ingest.Server{
		RTMP:      c.RTMP,
		RTMPS:     c.TLS.RTMPS,
		TLS:       secure,
		RTC:       c.RTC,
		ICE:       ingest.ICE{Advertise: c.Advertise},
		SRT:       c.SRT,
		Positions: ingest.Dir(filepath.Join(c.Data, "positions")),
		Grace:     c.Grace,
		Second:    c.Second,
		Slate:     slate,
		Broadcast: func(ctx context.Context, b *ingest.Broadcast) error { return p.carry(ctx, b.Name, b) },
		Log:       p.log,
	}
	if p.playback != nil {
		p.server.Play = p.playback.Play
	}
	if err := c.Limits.set(p.server); err != nil {
		return err
	}
	return p.server.Listen()
}

// carry takes one stream, of an encoder or another server, to its viewers.
func (p *platform) carry(ctx context.Context, name string, src sluice.Source) error {
	pipeline := sluice.Pipeline{Source: src, Sinks: []sluice.Sink{p.sink(name), p.targets.sink(name)}}
	if p.transform != nil {
		pipeline.Transforms = []sluice.Transform{p.transform(name)}
	}
	if p.previews != nil {
		pipeline.Sinks = append(pipeline.Sinks, p.previewSink(name))
	}
	return pipeline.Run(ctx)
}

// run serves until ctx is done, and stops in the order in which media flows.
func (p *platform) run(ctx context.Context) error {
	var err error
	if p.server != nil {
		err = p.server.Run(ctx)
	}
	if err == nil {
		<-ctx.Done()
	}
	p.drainM4S()
	p.web.drain(p.log)
	return err
}

func (p *platform) close() {
	if p.m4s != nil {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = p.m4s.Shutdown(ctx) // says only that ctx is done
	}
	p.web.close()
	if p.playback != nil {
		if err := p.playback.Close(); err != nil {
			p.log.Warn("spool not removed", "error", err)
		}
	}
	if p.lock != nil {
		p.lock.Close()
	}
}

func port(a net.Addr) int { return a.(*net.TCPAddr).Port }

// prepare makes the data directory, keeps a second server out of it, and
// clears what a killed one left in the spool.
func prepare(dir string) (lock io.Closer, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory (choose another with --data): %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s is in use by another server (choose another with --data): %w", dir, err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "spool")); err != nil {
		f.Close()
		return nil, fmt.Errorf("clear the spool: %w", err)
	}
	return f, nil
}
