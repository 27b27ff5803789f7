package transcode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/m4s"
)

// Isolated is a Transform that runs a Ladder in a child process, so that a
// fault in FFmpeg takes nothing down: the program starts itself again, and its
// main calls WorkerMain first.
//
// What of the source goes along untouched never waits for the child. The rest
// is kept in a ring of up to 40 s and 128 MiB; a child that crashes, hangs or
// breaks the protocol is ended and started again, and makes what is missing:
// its renditions are late then, and go on in the open segment, under their
// Maker, behind the last packet that was sent. Where the encoder's parameter
// sets have changed, the open segment ends short and the rendition goes on with
// the next, under another Maker.
type Isolated struct {
	// Ladder is what runs in the child. Its Log, Monitor and Overlays work as in
	// this process.
	Ladder Ladder
	// Nice is added to the child's CPU priority, as nice(1) does; default 0.
	Nice int
	// Memory bounds the child's resident memory in bytes, and the address space
	// that it takes beyond what it begins with to twice that and 1 GiB; on Linux
	// only. A child that needs more is ended. A ladder of 1080p takes about
	// 200 MB. Default: none.
	Memory int64
	// Stall is how long the child may make nothing of what it is given, before
	// it is taken to hang; default 5 s. Encoders that look ahead need their time.
	Stall time.Duration
	// Command starts the child; default this program, without arguments. It must
	// be built from the same code.
	Command []string
}

const (
	defaultStall = 5 * time.Second
	workerEnv    = "SLUICE_TRANSCODE_WORKER"
)

var mainCalled atomic.Bool // WorkerMain was

// Transform starts a child on a source; both run until the source's end, Close,
// or the end of ctx. Configuration that cannot work is an error at once. A
// child that cannot make anything of the stream ends it only where nothing of
// the source goes along.
func (i Isolated) Transform(ctx context.Context, src sluice.Source) (sluice.Source, error) {
	l := i.Ladder.withDefaults()
	if err := l.check(); err != nil {
		return nil, fmt.Errorf("transcode: ladder: %w", err)
	}
	if len(i.Command) == 0 && !mainCalled.Load() {
		return nil, errors.New("transcode: isolated: this program's main does not call transcode.WorkerMain first, so it cannot be its own worker")
	}
	if i.Memory < 0 || i.Stall < 0 {
		return nil, errors.New("transcode: isolated: Memory and Stall are not negative")
	}
	if i.Stall == 0 {
		i.Stall = defaultStall
	}
	i.Ladder = l
	return detach(ctx, l, i, src), nil
}

func (i Isolated) supervised() (limit time.Duration, atEnd bool) { return i.Stall, false }
func (i Isolated) trusted() bool                                 { return true }

// hello is the first that a worker is told.
type hello struct {
	Ladder   Ladder // without what is none of its business
	Overlays []Overlay
	Resume   resume
	Nice     int
	Memory   int64
}

// run implements far with a child process.
func (i Isolated) run(ctx context.Context, d *detached, src *feed, r resume) (err error) {
	p, err := startProcess(i.Command)
	if err != nil {
		return fmt.Errorf("transcode: start worker: %w", err)
	}
	defer d.stats.ended()
	unhook := context.AfterFunc(ctx, p.kill)
	var pipes sync.WaitGroup
	pipes.Go(func() { i.give(ctx, d, p, src, r) })
	heard := make(chan struct{})
	pipes.Go(func() {
		defer close(heard)
		hear(p.said, d)
	})
	d.overlayTeller(nil)
	err = receive(ctx, d, p.made)
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		p.settle(ctx, heard)
	}
	unhook()
	p.kill()
	d.overlayTeller(nil)
	pipes.Wait()
	<-p.exited
	switch {
	case err == io.EOF:
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return p.reason()
	}
	return err
}

// receive passes on what a worker makes; io.EOF says that it has finished.
func receive(ctx context.Context, d *detached, r io.Reader) error {
	dec := m4s.NewDecoder(r, m4s.Limits{})
	for {
		p, err := dec.Decode()
		if err != nil {
			return err
		}
		if err := d.take(ctx, p); err != nil {
			return err
		}
	}
}

// give tells a worker what it is to do and gives it the source.
func (i Isolated) give(ctx context.Context, d *detached, p *process, src *feed, r resume) {
	defer p.media.Close()
	list, version := i.Ladder.Overlays.now()
	h := hello{Ladder: i.Ladder, Overlays: list, Resume: r, Nice: i.Nice, Memory: i.Memory}
	h.Ladder.Name, h.Ladder.Log, h.Ladder.Monitor, h.Ladder.Overlays = "", nil, nil, nil
	tell := json.NewEncoder(p.told)
	if tell.Encode(h) != nil {
		return // whoever reads from it finds out why
	}
	d.overlayTeller(func() {
		if list, now := i.Ladder.Overlays.now(); now != version {
			version = now
			_ = tell.Encode(list) // as above
		}
	})
	_ = m4s.NewEncoder(p.media, m4s.EncoderConfig{}).Consume(ctx, src) // as above
}

func (d *detached) overlayTeller(f func()) {
	if f == nil {
		d.overlay.Store(nil)
		return
	}
	d.overlay.Store(&f)
}

// executable is this program, even where its file was replaced since.
func executable() (string, error) {
	if _, err := os.Stat("/proc/self/exe"); err == nil {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

var (
	_ sluice.Transform = Isolated{}
	_ far              = Isolated{}
)
