package transcode

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/asticode/go-astiav"

	"github.com/sluice-live/sluice"
)

// frame takes a frame out of the decoder, stamps it and scales it.
func (v *video) frame(ctx context.Context, f *astiav.Frame) error {
	pts, ok := v.dec.pts(f)
	if !ok || pts <= v.last {
		v.o.stats.lost() // a damaged stream; its neighbours are there
		return nil
	}
	v.last = pts
	st := v.waiting[pts]
	for t := range v.waiting {
		if t <= pts {
			delete(v.waiting, t)
		}
	}
	due := v.stamps.until(pts)
	for i, o := range due {
		if i < len(due)-1 {
			if err := v.open(ctx, o); err != nil {
				return err
			}
			continue
		}
		v.segment, st.opens, st.key = max(v.segment, o.segment), true, true
	}
	st.segment = v.segment
	if st.dur == 0 {
		st.dur = v.in.FrameDur
	}
	if err := v.ready(ctx, f, st); err != nil {
		return err
	}
	v.decoded = true
	if len(v.active) == 0 {
		return nil
	}
	// Before an encoder makes it later still. One that the decoder held back while
	// the source paused is no later than the packet that let it go.
	now := time.Now()
	st.late = min(st.origin.lag(now), v.newest.lag(now))
	v.inside[pts] = st
	f.SetPts(pts - v.dec.base)
	f.SetPictureType(astiav.PictureTypeNone)
	return v.graph.push(f, v.deliver(ctx))
}

// ready sees to it that graph and encoders fit the frame.
func (v *video) ready(ctx context.Context, f *astiav.Frame, st stamp) error {
	p := pictureOf(f, int(v.in.Timescale))
	if f.KeyFrame() || p.rotation != 0 {
		v.turned = p.rotation // said at key frames, it holds for what follows
	}
	p.rotation = v.turned
	if !v.opened {
		if err := v.openWorkers(ctx, p, f, st.dur); err != nil {
			return err
		}
	}
	if len(v.active) == 0 {
		return nil
	}
	list, version := v.o.ladder.Overlays.now()
	if v.graph != nil {
		// Once interlaced, the graph stays so: frames that are not pass it as they are.
		p.interlaced = p.interlaced || v.graph.picture.interlaced
		if p == v.graph.picture && version == v.overlay {
			return nil
		}
		if err := v.flushGraph(ctx); err != nil {
			return err
		}
		release(&v.graph)
	}
	var sizes []size
	for _, w := range v.active {
		sizes = append(sizes, w.fit(p))
	}
	g, err := newGraph(p, sizes, list, v.dec.base)
	if err != nil { // a picture that nothing fits, as damaged headers make them
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	v.graph, v.overlay = g, version
	return nil
}

// openDeclared opens the renditions for the size that the track declares, where
// it says nothing but that there is nothing.
func (v *video) openDeclared(ctx context.Context) error {
	if v.in.Width <= 0 || v.in.Height <= 0 || v.in.Width > maxSide || v.in.Height > maxSide {
		return nil
	}
	p := picture{w: v.in.Width, h: v.in.Height, aspect: astiav.NewRational(1, 1)}
	return v.openWorkers(ctx, p, nil, v.in.FrameDur)
}

// openWorkers decides which renditions there are and starts them.
func (v *video) openWorkers(ctx context.Context, p picture, colour *astiav.Frame, dur int64) error {
	w, h := p.display()
	v.active, v.opened = v.choose(w, h), true
	fps := 0.0
	if v.in.FrameDur > 0 {
		fps = float64(v.in.Timescale) / float64(v.in.FrameDur)
	} else if dur > 0 {
		fps = float64(v.in.Timescale) / float64(dur)
	}
	base := v.since
	if v.dec != nil {
		base = v.dec.base
	}
	for i, w := range v.active {
		share := time.Duration(0) // of the delay that is allowed
		if limit := v.o.ladder.MaxDelay; limit > 0 {
			share = limit * time.Duration(i+1) / time.Duration(len(v.active)+1)
		}
		var ref *astiav.Frame
		if colour != nil {
			ref = colour.Clone()
		}
		w.patience, w.due = share, noPTS
		s := &start{in: v.in, fps: fps, fixed: v.in.FrameDur > 0, base: base, size: w.size, held: v.held}
		if v.o.ladder.Steady {
			w.rate.keep(s)
		}
		t := task{start: s, frame: ref}
		if err := w.put(ctx, t); err != nil {
			return err
		}
	}
	v.held = nil
	return nil
}

// choose returns the renditions of a picture of the given size. One that was
// there before stays, if need be in the picture's own size.
func (v *video) choose(width, height int) (active []*worker) {
	var smallest *worker
	for _, w := range v.workers {
		s, fits := w.rendition.sizeFor(width, height)
		same := s.w >= width&^1 && s.h >= height&^1
		switch {
		case w.used && v.o.ladder.Steady && w.size.w > 0: // as it was
		case fits && (!v.pass || !same):
			w.size = s
		case w.used:
			w.size = sourceSize(width, height)
		default:
			if smallest == nil || s.w*s.h < smallest.size.w*smallest.size.h {
				smallest = w
				w.size = s
			}
			continue
		}
		active = append(active, w)
	}
	if len(active) == 0 && smallest != nil && !v.pass {
		smallest.size = sourceSize(width, height)
		active = append(active, smallest)
	}
	for _, w := range active {
		w.used = true
	}
	slices.SortStableFunc(active, func(a, b *worker) int { return cmp.Compare(b.size.w*b.size.h, a.size.w*a.size.h) })
	return active
}

// fit returns how a picture gets into the size that the encoder was opened for.
func (w *worker) fit(p picture) size {
	width, height := p.display()
	r := w.rendition
	if w.size == sourceSize(width, height) {
		return w.size
	}
	r.Width, r.Height = w.size.w, w.size.h
	if r.Fit == Contain {
		if s, _ := r.sizeFor(width, height); s == w.size {
			return w.size
		}
		r.Fit = Pad
	}
	s, _ := r.sizeFor(width, height)
	return s
}

// deliver hands scaled frames to the renditions.
func (v *video) deliver(ctx context.Context) func(int, int64, *astiav.Frame) error {
	return func(out int, pts int64, f *astiav.Frame) error {
		pts += v.dec.base
		st, ok := v.inside[pts]
		if out == len(v.active)-1 {
			for t := range v.inside {
				if t <= pts {
					delete(v.inside, t)
				}
			}
		}
		w := v.active[out]
		if !ok || !w.wants(pts, st, v.in) {
			f.Free()
			return nil
		}
		if w.patience > 0 && st.late > w.patience && !st.opens {
			f.Free()
			w.stats.dropped.Add(1)
			v.o.stats.overload(v.o.ladder.Log, "cannot encode in time", "rendition", w.rendition.name(w.size))
			return nil
		}
		return w.put(ctx, task{frame: f, pts: pts, stamp: st})
	}
}

// wants keeps the frame rate down. What opens a segment is always wanted, and
// so are the source's key frames.
func (w *worker) wants(pts int64, st stamp, in *sluice.Track) bool {
	if w.rendition.FPS == 0 {
		return true
	}
	step := int64(float64(in.Timescale)/w.rendition.FPS + 0.5)
	half := max(st.dur, 1) / 2
	if w.due != noPTS && pts+half < w.due && !st.key {
		return false
	}
	if w.due == noPTS || st.key || pts > w.due+step {
		w.due = pts
	}
	w.due += step
	return true
}
