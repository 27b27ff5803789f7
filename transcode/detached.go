package transcode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/m4s"
)

// far runs a ladder somewhere else.
type far interface {
	// run carries src there and hands over what comes back, until the ladder has
	// finished (nil) or something fails. It has left nothing behind then.
	run(ctx context.Context, d *detached, src *feed, r resume) error
	// supervised says after how long a worker without progress is ended; atEnd:
	// only once it has all.
	supervised() (limit time.Duration, atEnd bool)
	// trusted says that a worker which changes its Maker knows what it does.
	trusted() bool
}

// detached is a ladder that runs elsewhere, in a worker that may fail: the
// Source that Isolated and Remote return. One goroutine reads the source,
// passes on what stays as it is, and keeps the rest in a ring; the other gives
// it to one worker after another, and passes on what they make.
type detached struct {
	ladder   Ladder
	far      far
	src      sluice.Source
	router   *router
	backlog  *backlog
	progress progress
	overlay  atomic.Pointer[func()] // tells the worker about overlays that changed
	stats    farCounters

	w      *sluice.PipeWriter
	writes sync.Mutex               // w is for one goroutine at a time
	along  map[uint32]sluice.Packet // newest of each track that went along, without data; guarded by writes
	out    sluice.Source
	cancel context.CancelCauseFunc
	done   chan struct{} // all goroutines have ended
	once   sync.Once
	fault  error // of Close

	// Of the goroutine that supervises the worker.
	sent map[uint32]*sent
	made uint64 // packets passed on

	mu    sync.Mutex
	first error // that ended the run
}

func detach(ctx context.Context, l Ladder, f far, src sluice.Source) *detached {
	d := &detached{ladder: l, far: f, src: src, router: newRouter(l), backlog: newBacklog(),
		done: make(chan struct{}), sent: make(map[uint32]*sent), along: make(map[uint32]sluice.Packet)}
	d.w, d.out = sluice.Pipe(outputDepth)
	ctx, d.cancel = context.WithCancelCause(ctx)
	l.Monitor.add(d)
	var group sync.WaitGroup
	group.Go(func() { d.guard("read", func() error { return d.read(ctx) }) })
	group.Go(func() { d.guard("worker", func() error { return d.supervise(ctx) }) })
	go func() {
		group.Wait()
		d.cancel(nil)
		l.Monitor.remove(d)
		d.w.Close(d.first)
		close(d.done)
	}()
	return d
}

func (d *detached) guard(what string, f func() error) {
	defer func() {
		if r := recover(); r != nil {
			d.fail(fmt.Errorf("transcode: panic in %s: %v\n%s", what, r, debug.Stack()))
		}
	}()
	if err := f(); err != nil {
		d.fail(err)
	}
}

func (d *detached) fail(err error) {
	d.keep(err)
	d.cancel(err)
}

// keep lets the ladder end with err behind what is still to come.
func (d *detached) keep(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.first == nil {
		d.first = err
	}
}

// read reads the source to its end. The worker finishes what it has then.
func (d *detached) read(ctx context.Context) error {
	defer d.backlog.stream.End(nil)
	for {
		p, err := d.src.ReadPacket(ctx)
		if err == nil {
			err = d.route(ctx, p)
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil && ctx.Err() == nil:
			d.keep(err)
			return nil
		case err != nil:
			return err
		}
	}
}

// route passes on what stays as it is, at once, and keeps what is to be
// transcoded.
func (d *detached) route(ctx context.Context, p sluice.Packet) error {
	if p.Track == nil || p.Track.Timescale == 0 {
		return errors.New("transcode: the source yields a packet without a track, or whose track has no timescale")
	}
	pass, work, err := d.router.route(p.Track)
	if err != nil {
		return err
	}
	for _, t := range pass {
		q := p
		q.Track = t
		if err := d.goAlong(ctx, q); err != nil {
			return err
		}
	}
	if !work {
		return nil
	}
	return d.backlog.write(ctx, p, d.ladder.MaxDelay < 0)
}

// goAlong passes on what stays as it is.
func (d *detached) goAlong(ctx context.Context, p sluice.Packet) error {
	d.writes.Lock()
	defer d.writes.Unlock()
	err := d.w.Write(ctx, p)
	p.Data = nil
	d.along[p.Track.ID] = p
	return err
}

// emit passes on what a worker made, unless it comes behind what has gone along
// under its number since: the source's sound was of another coding before.
func (d *detached) emit(ctx context.Context, p sluice.Packet) error {
	d.writes.Lock()
	defer d.writes.Unlock()
	if a, ok := d.along[p.Track.ID]; ok && (p.Track.Era < a.Track.Era || p.Track.Era == a.Track.Era && p.Track.Time(p.DTS).Before(a.Track.Time(a.DTS))) {
		return nil
	}
	return d.w.Write(ctx, p)
}

// gave notes that a packet is on its way to the worker.
func (d *detached) gave(p sluice.Packet) {
	d.backlog.gave(p)
	if p.Data != nil {
		d.progress.in(p.Track)
	}
	if tell := d.overlay.Load(); tell != nil && p.Track.Kind == sluice.Video {
		(*tell)()
	}
}

var errEarly = errors.New("it ended before its source did")

var errAnotherMaker = errors.New("the server's ladder began again")

// take passes on what a worker made, unless it was sent already.
func (d *detached) take(ctx context.Context, p sluice.Packet) error {
	if d.router.passes(p.Track) {
		return nil
	}
	s := d.sent[p.Track.ID]
	if s == nil {
		s = &sent{}
		d.sent[p.Track.ID] = s
	}
	if s.joined && !d.far.trusted() && p.Track.Era == s.Era && p.Track.Maker != s.Maker && (!s.opens(&p) || p.DTS > s.End+p.Dur) {
		return errAnotherMaker
	}
	d.progress.out(p.Track.Kind)
	if !s.admit(&p) {
		return nil
	}
	d.router.learn(p.Track.ID)
	d.made++
	return d.emit(ctx, p)
}

// Backoff between two workers, and after how long one has run well.
const (
	backoff    = 100 * time.Millisecond
	maxBackoff = 10 * time.Second
	ranWell    = 10 * time.Second
	// poisoned is how often workers may fail on the same media, and make nothing,
	// before it is passed over.
	poisoned = 3
	// lingers is how many workers are started once the source has ended and
	// none makes anything.
	lingers    = 5
	lingerWait = 500 * time.Millisecond // at most, between them
)

// supervise runs one worker after another until one has finished.
func (d *detached) supervise(ctx context.Context) error {
	wait, idle, ended := backoff, 0, 0
	for {
		began, made, over := time.Now(), d.made, d.backlog.stream.Ended()
		err := d.work(ctx, idle >= poisoned)
		if err == nil && !d.backlog.stream.Ended() {
			err = errEarly
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, m4s.ErrRemote) && d.made == 0 && !d.router.goesAlone():
			return fmt.Errorf("transcode: %w", err)
		}
		switch {
		case d.made > made:
			idle, ended = 0, 0
		case d.progress.heard.Load(): // it began, so the media may be at fault
			idle++
		}
		if over {
			wait = min(wait, lingerWait)
			ended++
		}
		if ended >= lingers {
			d.ladder.Log.Error("the end of the stream is not transcoded: its worker fails", "error", err)
			return nil
		}
		if time.Since(began) > ranWell && d.made > made {
			wait = backoff
		}
		d.stats.restarts.Add(1)
		d.ladder.Log.Warn("transcoding worker failed and is started again; the source goes on", "error", err,
			"ran", time.Since(began).Round(time.Millisecond), "wait", wait, "restarts", d.stats.restarts.Load())
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		wait = min(2*wait, maxBackoff)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// work runs one worker. With skip it begins at the newest start, since what is
// behind the last one ended others.
func (d *detached) work(ctx context.Context, skip bool) error {
	sub := d.subscribe(skip)
	defer func() {
		d.stats.missed.Add(sub.Dropped())
		sub.Close()
	}()
	for _, s := range d.sent {
		s.joined = false
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	d.progress.begin()
	var watch sync.WaitGroup
	watch.Go(func() {
		limit, atEnd := d.far.supervised()
		d.progress.watch(ctx, limit, atEnd, cancel)
	})
	err := d.far.run(ctx, d, sub, d.resume())
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	cancel(nil)
	watch.Wait()
	return err
}

// subscribe finds where a worker begins.
func (d *detached) subscribe(skip bool) *feed {
	number, ok := d.backlog.start(d.missing(), d.router.ids().Video != 0)
	conf := sluice.Subscription{Start: sluice.StartSegment}
	if ok && !skip {
		conf.Resume, conf.At = true, number
	}
	sub := d.backlog.stream.Subscribe(conf)
	if skip && ok {
		d.stats.missed.Add(max(sub.Next(), number) - number)
	}
	d.backlog.begin(sub.Next())
	return &feed{Subscriber: sub, d: d, announce: conf.Resume && number > 0}
}

// missing says where the tracks go on that renditions are made of.
func (d *detached) missing() (need []missing) {
	r := d.router.ids()
	for _, kind := range []sluice.Kind{sluice.Video, sluice.Audio} {
		era := uint32(0)
		for _, s := range d.sent {
			if s.track != nil && s.track.Kind == kind {
				era = max(era, s.Era)
			}
		}
		for _, s := range d.sent {
			if s.track == nil || s.track.Kind != kind || s.Era != era {
				continue
			}
			m := missing{r.Video, s.track.Time(max(s.PTS, 0))}
			if kind == sluice.Audio {
				m.at = s.track.Time(max(s.End, 0)).Add(-preroll)
				if r.Audio != 0 {
					m.track = r.Audio
				}
			}
			need = append(need, m)
		}
	}
	return need
}

func (d *detached) resume() resume {
	r := d.router.ids()
	for _, s := range d.sent {
		if s.track != nil {
			r.Standings = append(r.Standings, s.standing)
		}
	}
	return r
}

// Tracks implements sluice.Source.
func (d *detached) Tracks() []*sluice.Track { return d.out.Tracks() }

// ReadPacket implements sluice.Source.
func (d *detached) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	return d.out.ReadPacket(ctx)
}

// Close implements sluice.Source.
func (d *detached) Close() error {
	d.once.Do(func() {
		d.out.Close()
		d.cancel(errClosed)
		d.fault = d.src.Close()
		<-d.done
	})
	return d.fault
}

// RequestKey asks the source for a key frame, on whatever rendition's behalf:
// each has one where the source has.
func (d *detached) RequestKey(track uint32) bool {
	if id := d.router.ids().Video; id != 0 && track/trackSpan == id {
		track = id
	}
	return sluice.RequestKey(d.src, track)
}

func withLog(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}

var (
	_ sluice.Source       = (*detached)(nil)
	_ sluice.KeyRequester = (*detached)(nil)
)
