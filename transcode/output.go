package transcode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/sluice-live/sluice"
)

// output is a running ladder: the Source that Transform returns.
//
// One goroutine reads the source and passes on what stays as it is; one decodes
// and scales pictures, one more for each rendition encodes them; one does the
// sound. Each track's packets come from one of them, so they stay in order.
type output struct {
	ladder Ladder
	src    sluice.Source
	maker  uint32

	packets chan sluice.Packet
	done    chan struct{} // closed when all goroutines have ended; err is set before
	err     error
	cancel  context.CancelCauseFunc
	closed  chan struct{}
	once    sync.Once
	fault   error // of Close

	tracks []*sluice.Track // of the reader

	video *video // nil before the source has such a track, as audio
	audio *audio
	stats *counters
	group sync.WaitGroup
	first error // that ended the run
	mu    sync.Mutex
}

const outputDepth = 64

var errClosed = fmt.Errorf("transcode: ladder is closed: %w", io.ErrClosedPipe)

func newOutput(l Ladder, src sluice.Source) *output {
	o := &output{
		ladder: l, src: src, maker: newMaker(),
		packets: make(chan sluice.Packet, outputDepth),
		done:    make(chan struct{}), closed: make(chan struct{}),
		stats: newCounters(l),
	}
	o.video, o.audio = newVideo(o), newAudio(o)
	return o
}

func (o *output) start(ctx context.Context) {
	run, cancel := context.WithCancelCause(ctx)
	o.cancel = cancel
	o.ladder.Monitor.add(o)
	o.spawn("read", func() error { return o.feed(run) })
	o.spawn("video", func() error { return o.video.run(run) })
	o.spawn("audio", func() error { return o.audio.run(run) })
	go func() {
		o.group.Wait()
		cancel(nil)
		o.ladder.Monitor.remove(o)
		o.err = o.first
		if o.err == nil {
			o.err = io.EOF
		}
		close(o.done)
	}()
}

// spawn runs one of the ladder's goroutines; the first that fails ends all.
func (o *output) spawn(what string, f func() error) {
	o.group.Go(func() {
		defer func() {
			if r := recover(); r != nil {
				o.fail(fmt.Errorf("transcode: panic in %s: %v\n%s", what, r, debug.Stack()))
			}
		}()
		if err := f(); err != nil {
			o.fail(err)
		}
	})
}

func (o *output) fail(err error) {
	o.mu.Lock()
	if o.first == nil {
		o.first = err
	}
	o.mu.Unlock()
	o.cancel(err)
}

// emit hands a packet to the reader.
func (o *output) emit(ctx context.Context, p sluice.Packet) error {
	select {
	case o.packets <- p:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// feed reads the source to its end. What the source ends with, the ladder ends
// with behind the last packet.
func (o *output) feed(ctx context.Context) error {
	var ended error
	for {
		p, err := o.src.ReadPacket(ctx)
		if err != nil {
			if err != io.EOF {
				ended = err
			}
			break
		}
		if err := o.route(ctx, p); err != nil {
			ended = err
			break
		}
	}
	o.video.queue.close()
	o.audio.queue.close()
	if ended != nil && ctx.Err() == nil {
		o.mu.Lock() // the others go on to the end of what they have
		defer o.mu.Unlock()
		if o.first == nil {
			o.first = ended
		}
		return nil
	}
	return ended
}

// route sends a packet where it goes: on, to be decoded, or both.
func (o *output) route(ctx context.Context, p sluice.Packet) error {
	if p.Track == nil || p.Track.Timescale == 0 {
		return errors.New("transcode: the source yields a packet without a track, or whose track has no timescale")
	}
	o.stats.in(p)
	patient := o.ladder.MaxDelay < 0
	switch {
	case o.video.takes(p.Track):
		if o.video.passes(p.Track) {
			if err := o.emit(ctx, p); err != nil {
				return err
			}
		}
		if o.audio.missing(p) {
			if err := o.audio.queue.push(ctx, item{Packet: p, silence: true}, patient); err != nil {
				return err
			}
		}
		if len(o.ladder.Renditions) == 0 {
			return nil
		}
		return o.video.queue.push(ctx, item{Packet: p}, patient)
	case o.audio.takes(p.Track):
		return o.audio.queue.push(ctx, item{Packet: p}, patient)
	}
	if o.video.makes(p.Track.ID) || o.audio.makes(p.Track.ID) {
		return fmt.Errorf("transcode: the source's track %d has the number of a rendition: is a ladder put upon another?", p.Track.ID)
	}
	return o.emit(ctx, p)
}

// Tracks implements sluice.Source.
func (o *output) Tracks() []*sluice.Track { return o.tracks }

// ReadPacket implements sluice.Source.
func (o *output) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	select {
	case <-o.closed:
		return sluice.Packet{}, errClosed
	default:
	}
	select {
	case p := <-o.packets:
		return o.note(p), nil
	default:
	}
	select {
	case p := <-o.packets:
		return o.note(p), nil
	case <-o.closed:
		return sluice.Packet{}, errClosed
	case <-ctx.Done():
		return sluice.Packet{}, ctx.Err()
	case <-o.done:
	}
	select {
	case p := <-o.packets: // written before the end
		return o.note(p), nil
	default:
		return sluice.Packet{}, o.err
	}
}

func (o *output) note(p sluice.Packet) sluice.Packet {
	i := slices.IndexFunc(o.tracks, func(t *sluice.Track) bool { return t.ID == p.Track.ID })
	switch {
	case i < 0:
		o.tracks = append(slices.Clip(o.tracks), p.Track)
	case o.tracks[i] != p.Track:
		o.tracks = slices.Clone(o.tracks)
		o.tracks[i] = p.Track
	}
	return p
}

// Close implements sluice.Source.
func (o *output) Close() error {
	o.once.Do(func() {
		close(o.closed)
		o.cancel(errClosed)
		o.fault = o.src.Close()
		<-o.done
	})
	return o.fault
}

// RequestKey asks the source for a key frame, on whatever rendition's behalf:
// each has one where the source has.
func (o *output) RequestKey(track uint32) bool {
	if id := o.video.source.Load(); id != 0 && o.video.makes(track) {
		track = id
	}
	return sluice.RequestKey(o.src, track)
}

var (
	_ sluice.Source       = (*output)(nil)
	_ sluice.KeyRequester = (*output)(nil)
)
