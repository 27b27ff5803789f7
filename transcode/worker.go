package transcode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asticode/go-astiav"

	"github.com/sluice-live/sluice"
)

// task is what a rendition's goroutine has to do; one of start, drain, marker
// and frame is set. A start comes with a frame to take the colours from.
type task struct {
	start  *start
	drain  bool
	marker *sluice.Packet
	frame  *astiav.Frame // the goroutine's to free
	pts    int64
	stamp  stamp
}

// start begins a rendition on a new description of the source.
type start struct {
	in    *sluice.Track
	fps   float64
	fixed bool
	base  int64
	size  size
	held  []sluice.Packet // to be passed on first
}

// steadyRate is the frame rate that a steady rendition's encoder is opened for.
type steadyRate struct {
	fps   float64
	fixed bool
}

// keep notes the rate of the first start, and gives it to all that follow.
func (r *steadyRate) keep(s *start) {
	if r.fps == 0 {
		r.fps, r.fixed = s.fps, s.fixed
	}
	s.fps, s.fixed = r.fps, r.fixed
}

// waitingFrames is how many scaled pictures may wait for an encoder; each has
// the size of a picture.
const waitingFrames = 2

// worker encodes one rendition.
type worker struct {
	o         *output
	rendition Rendition
	index     int
	tasks     chan task
	stats     renditionCounters

	// Of the decoding goroutine.
	used     bool
	size     size
	due      int64         // PTS of the next frame that keeps the frame rate
	patience time.Duration // how late a frame may be and still be encoded
	rate     steadyRate

	// Of the worker's own.
	start   start
	colour  *astiav.Frame
	enc     *encoder
	track   *sluice.Track
	segment uint64
	stamps  map[int64]stamp // of frames in the encoder
	last    int64           // newest DTS out
	cut     bool            // the next frame is a key frame whatever it is
	maker   uint32
	broken  map[string]bool // encoders that did not work
	from    *standing       // where another worker left the rendition
	after   int64           // PTS of the last picture that is not to be encoded
}

func newWorker(o *output, r Rendition, index int) *worker {
	return &worker{o: o, rendition: r, index: index, tasks: make(chan task, waitingFrames), maker: o.maker, broken: map[string]bool{}, after: noPTS}
}

// put hands a task over; it takes ownership of its frame.
func (w *worker) put(ctx context.Context, t task) error {
	select {
	case w.tasks <- t:
		return nil
	case <-ctx.Done():
		if t.frame != nil {
			t.frame.Free()
		}
		return ctx.Err()
	}
}

// run works until tasks is closed, so that no frame is left behind.
func (w *worker) run(ctx context.Context) error {
	defer w.close()
	var failed error
	for t := range w.tasks {
		if failed == nil && ctx.Err() == nil {
			failed = w.do(ctx, t)
			if failed != nil {
				w.o.fail(failed)
			}
		}
		if t.frame != nil {
			t.frame.Free()
		}
	}
	if failed == nil {
		failed = ctx.Err()
	}
	return failed
}

func (w *worker) close() {
	release(&w.enc)
	if w.colour != nil {
		w.colour.Free()
		w.colour = nil
	}
}

func (w *worker) do(ctx context.Context, t task) error {
	switch {
	case t.start != nil:
		return w.begin(ctx, t)
	case t.drain:
		return w.drain(ctx)
	case t.marker != nil:
		return w.mark(ctx, *t.marker)
	}
	return w.encode(ctx, t)
}

// begin opens the encoder and says which track there is.
func (w *worker) begin(ctx context.Context, t task) error {
	release(&w.enc)
	w.start, w.stamps, w.last, w.track = *t.start, make(map[int64]stamp), noPTS, nil
	w.describeColour(t.frame)
	if err := w.open(); err != nil {
		return err
	}
	for _, p := range w.start.held {
		if err := w.mark(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// describeColour keeps a frame to take the colours from.
func (w *worker) describeColour(f *astiav.Frame) {
	if w.colour != nil {
		if w.o.ladder.Steady {
			return
		}
		w.colour.Free()
		w.colour = nil
	}
	if f != nil {
		w.colour = f.Clone()
	}
}

// open opens the first encoder that works and describes its track.
func (w *worker) open() error {
	var failed error
	for _, name := range w.candidates() {
		enc, err := openEncoder(name, encoding{
			rendition: w.rendition, size: w.start.size, timescale: int(w.start.in.Timescale), base: w.start.base, colour: w.colour,
			fps: w.fps(), fixed: w.start.fixed && w.rendition.FPS == 0,
		})
		if err != nil {
			w.broken[name] = true
			failed = errors.Join(failed, err)
			continue
		}
		if wanted := w.o.ladder.HW != "" || isHardware(w.rendition.encoder()); wanted && !isHardware(name) {
			w.o.stats.noGPU(w.o.ladder.Log, name, failed)
		}
		w.enc = enc
		w.adopt()
		w.stats.encoder.Store(&name)
		return nil
	}
	return fmt.Errorf("transcode: rendition %s: %w", w.rendition.name(w.start.size), failed)
}

// adopt describes the track of an encoder that was opened, unless it is the one
// that was described before.
func (w *worker) adopt() {
	if w.track != nil && w.track.Maker == w.maker && !bytes.Equal(w.track.Config, w.enc.track.Config) {
		w.maker = newMaker() // no two makings share a name
	}
	if w.track == nil {
		w.goOn()
	}
	if w.track == nil || w.track.Maker != w.maker {
		w.describe()
	}
}

// candidates returns the names of encoders to try.
func (w *worker) candidates() (names []string) {
	name := w.rendition.encoder()
	coding := families[name].coding
	if w.o.ladder.HW == "auto" && !isHardware(name) && coding != "" {
		for _, kind := range []string{"_nvenc", "_vaapi"} {
			if hw := coding + kind; !w.broken[hw] && astiav.FindEncoderByName(hw) != nil {
				names = append(names, hw)
			}
		}
	}
	names = append(names, name)
	if soft := software[coding]; isHardware(name) && astiav.FindEncoderByName(soft) != nil {
		names = append(names, soft)
	}
	return names
}

// software encodes on the CPU what a GPU could not.
var software = map[string]string{"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"}

func (w *worker) fps() float64 {
	fps := orFloat(w.start.fps, 30)
	if limit := w.rendition.FPS; limit > 0 && limit < fps {
		return limit
	}
	return fps
}

// describe makes the rendition's track of what encoder and source say.
func (w *worker) describe() {
	in, t := w.start.in, *w.enc.track
	t.ID = in.ID*trackSpan + uint32(w.index) + 1
	t.Era, t.Maker, t.SegmentDur = in.Era, w.maker, in.SegmentDur
	t.Timescale, t.PartTarget, t.FrameDur = in.Timescale, in.PartTarget, in.FrameDur
	if fps := w.fps(); fps > 0 && fps < w.start.fps {
		t.FrameDur = int64(float64(in.Timescale)/fps + 0.5)
		t.PartTarget = partTarget(in.PartTarget, t.FrameDur)
	}
	t.Name, t.Language = w.rendition.name(w.start.size), in.Language
	_, peak, buffer := w.rendition.bitrate(w.start.size, w.fps())
	t.Bandwidth = peak
	if seconds := in.SegmentDur.Seconds(); seconds > 0 {
		t.Bandwidth += int(float64(buffer) / seconds) // a segment may begin with a full buffer
	}
	w.track = &t
}

// partTarget makes a part a whole number of frames where they are so long that
// players would refuse the rest, as at the head of the stream.
func partTarget(target, frame int64) int64 {
	if frame <= 0 || target <= 0 {
		return target
	}
	if n := target / frame; n > 0 && n*frame*100 >= target*85 {
		return target
	}
	return max(1, (target+frame/2)/frame) * frame
}

// drain gets everything out of the encoder.
func (w *worker) drain(ctx context.Context) error {
	if w.enc == nil || w.enc.held == 0 {
		return nil
	}
	return w.reopen(ctx)
}

// reopen gets everything out of the encoder, which opens anew for the next
// frame: with the same parameters, so that the track remains.
func (w *worker) reopen(ctx context.Context) error {
	err := w.enc.send(nil, func(e encoded) error { return w.emit(ctx, e) })
	release(&w.enc)
	return err
}

// mark passes a packet without data on.
func (w *worker) mark(ctx context.Context, p sluice.Packet) error {
	p.Track = w.track
	p.Segment = max(p.Segment, w.segment)
	w.segment = p.Segment
	if w.last != noPTS {
		p.DTS = max(p.DTS, w.last)
		p.PTS = max(p.PTS, p.DTS)
	}
	w.last = p.DTS
	return w.o.emit(ctx, p)
}

func (w *worker) encode(ctx context.Context, t task) error {
	if t.pts <= w.after {
		return nil // another worker's
	}
	st := t.stamp
	if force := st.key || w.cut; force && w.enc != nil && w.enc.used && families[w.enc.name].reopens {
		if err := w.reopen(ctx); err != nil {
			return err
		}
	}
	if w.enc == nil {
		if err := w.open(); err != nil {
			return err
		}
	}
	if w.rendition.FPS > 0 {
		st.dur = max(st.dur, w.track.FrameDur)
	}
	w.stamps[t.pts] = st
	t.frame.SetPts(t.pts - w.start.base)
	t.frame.SetPictureType(astiav.PictureTypeNone)
	if st.key || w.cut {
		t.frame.SetPictureType(astiav.PictureTypeI)
		w.cut = false
	}
	began := time.Now()
	err := w.enc.send(t.frame, func(e encoded) error { return w.emit(ctx, e) })
	w.stats.encoded(time.Since(began))
	if err != nil && isHardware(w.enc.name) && ctx.Err() == nil {
		return w.forsake(err)
	}
	return err
}

// forsake goes on with another encoder when a GPU fails in mid-stream: what it
// had is lost, and its names are not used again.
func (w *worker) forsake(err error) error {
	w.o.ladder.Log.Warn("the GPU failed, the CPU encodes", "encoder", w.enc.name, "error", err)
	w.broken[w.enc.name] = true
	release(&w.enc)
	clear(w.stamps)
	w.maker, w.cut = newMaker(), true
	return nil
}

// emit stamps an encoded picture and hands it to the reader.
func (w *worker) emit(ctx context.Context, e encoded) error {
	st, ok := w.stamps[e.pts]
	if !ok {
		return fmt.Errorf("transcode: encoder %s returned a picture of a time that none went in with", w.enc.name)
	}
	delete(w.stamps, e.pts)
	if w.last != noPTS && e.dts <= w.last {
		e.dts = w.last + 1 // behind an encoder that was opened anew, whose DTS begin before its PTS
	}
	p := sluice.Packet{Track: w.track, DTS: min(e.dts, e.pts), PTS: e.pts, Dur: st.dur, Segment: st.segment,
		Key: e.key, Discont: st.discont, Data: e.data}
	if w.segment != 0 && p.Segment > w.segment+1 {
		p.Discont = true
	}
	w.last, w.segment = p.DTS, max(w.segment, p.Segment)
	w.stats.out(len(p.Data), time.Since(st.origin.arrived))
	return w.o.emit(ctx, p)
}
