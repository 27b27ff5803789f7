package transcode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/m4s"
)

// Remote is a Transform whose ladder runs on a transcoding server, a Service
// behind an m4s.Handler: it pushes the source there and pulls the renditions.
//
// What of the source goes along untouched never waits for the server. A link
// that is cut loses nothing that windows on both sides still hold (16 MiB or
// 30 s there and back). A server that is not there, or that restarts, is tried
// for ever; one that restarted is given the source anew from the segment in
// which something is missing: open segments end short, and renditions go on
// with the next, under another Maker.
type Remote struct {
	// URL is that of the stream on the server: http(s)://host/m4s/NAME. Needed.
	URL string
	// Client says how the server is reached: token, TLS. Its GiveUp is for ever
	// by default.
	Client m4s.Client
	// Source says whether the source's picture goes along, and Audio which of
	// the ladder's codings the source's sound may serve as. Both are those of
	// the server's Ladder; with overlays there, Source is PassNever.
	Source Passing
	Audio  []AudioRendition
	// Name is the stream's, for the log and for metrics.
	Name string
	// Log gets warnings; default none.
	Log *slog.Logger
	// Monitor lists the ladder, with what is known of it here; default none.
	Monitor *Monitor
}

// Transform starts pushing and pulling; both run until the source's end, Close,
// or the end of ctx.
func (r Remote) Transform(ctx context.Context, src sluice.Source) (sluice.Source, error) {
	if r.URL == "" {
		return nil, errors.New("transcode: remote: URL is not set: it is http(s)://host/m4s/NAME of the transcoding server")
	}
	if r.Client.GiveUp == 0 {
		r.Client.GiveUp = -1
	}
	// Which renditions of the picture there are is the server's business.
	l := Ladder{Name: r.Name, Source: r.Source, Audio: r.Audio, Log: r.Log, Monitor: r.Monitor}.withDefaults()
	if r.Client.Log == nil {
		r.Client.Log = l.Log
	}
	return detach(ctx, l, r, src), nil
}

// The server supervises its own worker, and the link has timeouts.
func (r Remote) supervised() (limit time.Duration, atEnd bool) { return remoteStall, true }
func (r Remote) trusted() bool                                 { return false }

// remoteStall is how long a server may take for the rest of a stream.
const remoteStall = 30 * time.Second

// run implements far: one session on the server.
func (r Remote) run(ctx context.Context, d *detached, src *feed, _ resume) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	push := &m4s.Push{URL: r.URL, Client: r.Client}
	var pushing sync.WaitGroup
	pushing.Go(func() {
		if err := push.Consume(ctx, src); err != nil {
			cancel(fmt.Errorf("push: %w", err))
		}
	})
	err := r.pull(ctx, d, push)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			err = cause
		}
		cancel(nil)
	}
	pushing.Wait()
	if err == nil {
		err = context.Cause(ctx) // the server has not confirmed the end
	}
	return err
}

// pull takes what the server makes of the stream that is being pushed, to its
// end (nil).
func (r Remote) pull(ctx context.Context, d *detached, push *m4s.Push) error {
	for {
		for push.Stats().Connects == 0 { // before, another session's may be there
			if err := sleep(ctx, 10*time.Millisecond); err != nil {
				return err
			}
		}
		err := r.session(ctx, d)
		if !errors.Is(err, m4s.ErrNotFound) {
			return err
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

func (r Remote) session(ctx context.Context, d *detached) error {
	pull := &m4s.Pull{URL: r.URL, Client: r.Client}
	defer func() { _ = pull.Close() }() // never fails
	for {
		p, err := pull.ReadPacket(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("pull: %w", err)
		}
		if err := d.take(ctx, p); err != nil {
			return err
		}
	}
}

var (
	_ sluice.Transform = Remote{}
	_ far              = Remote{}
)
