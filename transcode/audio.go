package transcode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/asticode/go-astiav"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

const (
	audioRate = 48000
	opusFrame = 960
	// drift is how far sound may be from where its sample count puts it before
	// silence is put in or samples are taken out.
	drift = 5 * time.Millisecond
	// longestFill is the most silence that is put in; beyond it the count begins anew.
	longestFill = 10 * time.Second
	// silentAfter is how much picture passes without sound before it is made.
	silentAfter = time.Second
)

// audio makes the sound's renditions of the source's first audio track.
type audio struct {
	o      *output
	queue  *queue
	source atomic.Uint32 // the track's ID; 0 before it is known
	// Of the reading goroutine: the first picture, and that silence is made.
	since   *item
	filling bool

	in    *sluice.Track
	dec   *decoder
	graph *resampler
	outs  []*audioOut

	counting bool
	origin   int64 // PTS of the first sample counted, in ticks of in
	samples  int64 // that came in since, at rateIn
	rateIn   int
	next     int64 // where the next sample goes out, at 48 kHz since the epoch
	skip     int   // samples to be left out
	failed   bool
	decoded  bool
	first    int64
}

func newAudio(o *output) *audio {
	a := &audio{o: o, queue: newQueue()}
	for i, r := range o.ladder.Audio {
		a.outs = append(a.outs, &audioOut{a: a, rendition: r, index: i})
	}
	return a
}

func (a *audio) takes(t *sluice.Track) bool {
	if t.Kind != sluice.Audio || len(a.outs) == 0 {
		return false
	}
	a.source.CompareAndSwap(0, t.ID)
	return t.ID == a.source.Load()
}

// makes reports whether a track is one of the renditions.
func (a *audio) makes(track uint32) bool {
	n := track - a.source.Load()*trackSpan
	return a.source.Load() != 0 && n >= 1 && n <= uint32(len(a.outs))
}

// missing reports whether silence is to be made beside a packet of video.
func (a *audio) missing(p sluice.Packet) bool {
	if !a.o.ladder.Silence || len(a.outs) == 0 || a.source.Load() != 0 {
		return false
	}
	if a.since == nil {
		a.since = &item{Packet: p}
	}
	a.filling = a.filling || p.Track.Duration(p.DTS-a.since.DTS) >= silentAfter
	return a.filling
}

func (a *audio) run(ctx context.Context) error {
	defer a.close()
	if err := a.queue.each(ctx, a.packet); err != nil {
		return err
	}
	return a.settle(ctx)
}

func (a *audio) close() {
	a.closeInput()
	for _, o := range a.outs {
		o.close()
	}
}

func (a *audio) closeInput() {
	release(&a.dec)
	release(&a.graph)
}

func (a *audio) packet(ctx context.Context, it item) error {
	if it.Track != a.in {
		if err := a.change(ctx, it); err != nil {
			return err
		}
	}
	for _, o := range a.outs {
		if o.pass != nil {
			p := it.Packet
			p.Track = o.pass
			if err := a.o.emit(ctx, p); err != nil {
				return err
			}
		}
	}
	if it.lost {
		return nil
	}
	if it.Data == nil {
		return a.marker(ctx, it.Packet)
	}
	if a.failed || !slices.ContainsFunc(a.outs, (*audioOut).encodes) {
		return nil
	}
	for _, o := range a.outs {
		if o.encodes() {
			o.note(it.Packet)
		}
	}
	if it.silence {
		return a.fill(ctx, it.Packet)
	}
	return a.decode(ctx, it.Packet)
}

func (a *audio) decode(ctx context.Context, p sluice.Packet) error {
	if a.first == noPTS {
		a.first = p.PTS
	}
	err := a.dec.send(p, func(f *astiav.Frame) error { return a.frame(ctx, f) })
	if errors.Is(err, errDamaged) {
		a.o.stats.damaged(a.o.ladder.Log, p.Track, err)
		if !a.decoded && p.Track.Duration(p.PTS-a.first) > hopelessAfter {
			return fmt.Errorf("transcode: track %d is announced as %q, but nothing in %v of it could be decoded: does the encoder send something else? %w",
				p.Track.ID, p.Track.Codec, hopelessAfter, err)
		}
		return nil
	}
	return err
}

// change makes ready for a new description of the track.
func (a *audio) change(ctx context.Context, it item) error {
	t, old := it.Track, a.in
	if old != nil && old.Era == t.Era && old.Maker == t.Maker && old.Codec == t.Codec && old.Timescale == t.Timescale && slices.Equal(old.Config, t.Config) {
		a.in = t
		for _, o := range a.outs {
			if o.pass != nil {
				o.passOn(t)
			}
		}
		return nil
	}
	if err := a.settle(ctx); err != nil {
		return err
	}
	a.closeInput()
	a.in, a.failed, a.decoded, a.first = t, false, false, noPTS
	if !it.silence {
		if err := a.openInput(it.Packet); err != nil {
			return err
		}
	}
	for _, o := range a.outs {
		if err := o.begin(t, it.silence); err != nil {
			return err
		}
	}
	return nil
}

func (a *audio) openInput(p sluice.Packet) (err error) {
	ts := int64(p.Track.Timescale)
	a.dec, err = openDecoder(p.Track, (p.PTS/ts-3600)*ts, 1)
	if err == nil {
		return nil
	}
	name, _, _ := codec.Decoder(p.Track)
	if slices.ContainsFunc(a.outs, func(o *audioOut) bool { return passable[o.rendition.Codec] == name && name != "" }) {
		a.failed = true
		a.o.ladder.Log.Warn("the source's sound goes on alone", "error", err)
		return nil
	}
	return fmt.Errorf("transcode: track %d: %w", p.Track.ID, err)
}

// marker passes on a packet without data, behind all sound before it.
func (a *audio) marker(ctx context.Context, p sluice.Packet) error {
	if err := a.settle(ctx); err != nil {
		return err
	}
	for _, o := range a.outs {
		if o.encodes() {
			if err := o.mark(ctx, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle gets everything out; the count of samples begins anew behind it.
func (a *audio) settle(ctx context.Context) error {
	if a.in == nil {
		return nil
	}
	if a.dec != nil && a.counting {
		if err := a.dec.drain(func(f *astiav.Frame) error { return a.frame(ctx, f) }); err != nil {
			return err
		}
	}
	if err := a.restart(ctx); err != nil {
		return err
	}
	for _, o := range a.outs {
		if o.encodes() {
			if err := o.settle(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// restart ends the count of samples.
func (a *audio) restart(ctx context.Context) error {
	if a.graph != nil {
		if err := a.graph.push(nil, func(f *astiav.Frame) error { return a.samplesOut(ctx, f) }); err != nil {
			return err
		}
		release(&a.graph)
	}
	a.counting, a.skip = false, 0
	for _, o := range a.outs {
		if err := o.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// frame takes decoded sound, puts it where its samples belong and resamples it.
func (a *audio) frame(ctx context.Context, f *astiav.Frame) error {
	if f.NbSamples() <= 0 || f.SampleRate() <= 0 {
		return nil
	}
	a.decoded = true
	pts, ok := a.dec.pts(f)
	if a.graph != nil && !a.graph.fits(f) {
		if err := a.graph.push(nil, func(f *astiav.Frame) error { return a.samplesOut(ctx, f) }); err != nil {
			return err
		}
		release(&a.graph)
		if ok && a.counting { // the count goes on at another rate
			a.origin, a.samples = a.expected(), 0
		}
	}
	a.rateIn = f.SampleRate()
	if ok {
		if err := a.place(ctx, pts); err != nil {
			return err
		}
	}
	if a.graph == nil {
		var err error
		if a.graph, err = newResampler(f); err != nil {
			return fmt.Errorf("transcode: track %d: %w", a.in.ID, err)
		}
	}
	a.samples += int64(f.NbSamples())
	return a.graph.push(f, func(f *astiav.Frame) error { return a.samplesOut(ctx, f) })
}

// expected is where the count of samples puts the next one, in ticks of in.
func (a *audio) expected() int64 {
	return a.origin + sluice.Rescale(a.samples, int64(a.rateIn), int64(a.in.Timescale))
}

// place compares a frame's time with the count of samples. Below the drift that
// is allowed the count is right; else silence fills a hole, samples that come
// doubled go, and a jump begins a new count.
func (a *audio) place(ctx context.Context, pts int64) error {
	ts := int64(a.in.Timescale)
	if a.counting {
		off := pts - a.expected()
		d := a.in.Duration(off)
		switch {
		case d <= drift && d >= -drift:
			return nil
		case d > 0 && d <= longestFill:
			a.samples += sluice.Rescale(off, ts, int64(a.rateIn))
			var s stereo
			s.silence(int(sluice.Rescale(off, ts, audioRate)))
			return a.out(ctx, &s)
		case d < 0 && -d <= longestFill:
			a.samples -= sluice.Rescale(-off, ts, int64(a.rateIn))
			a.skip += int(sluice.Rescale(-off, ts, audioRate))
			return nil
		}
		if err := a.restart(ctx); err != nil {
			return err
		}
	}
	a.counting, a.origin, a.samples = true, pts, 0
	a.next = max(a.next, sluice.Rescale(pts, ts, audioRate))
	return nil
}

func (a *audio) samplesOut(ctx context.Context, f *astiav.Frame) error {
	from := min(a.skip, f.NbSamples())
	a.skip -= from
	var s stereo
	s.appendFrame(f, from)
	return a.out(ctx, &s)
}

// out hands samples to the encoders.
func (a *audio) out(ctx context.Context, s *stereo) error {
	for _, o := range a.outs {
		if o.encodes() {
			if err := o.write(ctx, a.next, s); err != nil {
				return err
			}
		}
	}
	a.next += int64(len(s.left))
	return nil
}

// fill makes silence up to a packet of video.
func (a *audio) fill(ctx context.Context, p sluice.Packet) error {
	at := sluice.Rescale(p.DTS, int64(p.Track.Timescale), audioRate)
	if !a.counting {
		a.counting, a.next = true, max(a.next, at)
	}
	n := at - a.next
	if n <= 0 {
		return nil
	}
	if n > audioRate*int64(longestFill/time.Second) {
		a.next, n = at, 0
	}
	var s stereo
	s.silence(int(n))
	return a.out(ctx, &s)
}
