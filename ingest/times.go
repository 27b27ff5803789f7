package ingest

import "github.com/sluice-live/sluice"

// stamped are a frame's times on the outgoing timescale.
type stamped struct {
	dts, dur int64
	pts, end int64 // shown
	discont  bool
}

// onCadence turns a frame's rough position into its exact times. It reports
// false for a frame that has no place.
func (t *timeline) onCadence(f *feed, l *line, u unit, raw int64) (stamped, bool) {
	s := stamped{discont: u.Discont}
	c := &f.cadence
	c.last = max(c.last, l.lastDTS)
	if f.native.Kind == sluice.Audio {
		return t.audioTimes(f, l, s, raw)
	}
	limit := ticks(maxComposition, int64(f.native.Timescale))
	composition := u.composition
	if composition > limit || composition < -limit {
		composition = 0
		t.repairs.BadComposites++
	}
	if !c.started {
		raw = max(raw, l.lastDTS+1, l.cuts.end-composition)
	}
	if dur := sluice.Rescale(u.Dur, int64(f.raw.Timescale), int64(f.native.Timescale)); dur > 0 {
		if c.started && raw <= c.last {
			t.repairs.BackwardDTS++
		}
		s.dts, s.dur = c.known(raw, dur)
		s.pts, s.end = s.dts+composition, s.dts+composition+s.dur
		return s, true
	}
	steps, fits := int64(0), false
	if c.started {
		steps, fits = c.place(raw)
	}
	if fits && steps >= 1 {
		s.dts, s.dur = c.take(raw, steps)
	} else {
		if c.started && raw <= c.last {
			t.repairs.BackwardDTS++
		}
		s.dts, s.dur = c.free(raw)
	}
	s.pts, s.end = c.compose(s.dts, s.dur, composition)
	c.refine(raw)
	return s, true
}

// audioTimes places an audio frame by its count of samples.
func (t *timeline) audioTimes(f *feed, l *line, s stamped, raw int64) (stamped, bool) {
	c := &f.cadence
	steps, fits := int64(1), false
	switch {
	case c.started:
		steps, fits = c.place(raw)
		if steps != 1 && c.jittery(raw) {
			steps = 1
		}
	case l.track != nil && raw < l.cuts.end-c.nominal()/2:
		steps = 0
	default:
		raw = max(raw, l.cuts.end)
	}
	if steps < 1 {
		t.repairs.DoubledAudio++
		return s, false
	}
	if c.started && c.num != 0 && (steps == 1 || fits) { // frames of Opus have no one duration
		s.dts, s.dur = c.take(raw, steps)
	} else {
		s.dts, s.dur = c.free(raw)
	}
	if steps > 1 {
		t.repairs.MissingAudio++
		s.discont = true
	}
	s.pts, s.end = s.dts, s.dts+s.dur
	return s, true
}
