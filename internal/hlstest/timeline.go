package hlstest

import (
	"time"
)

// timeline holds the time stamps in the media against each other and against
// the playlist, in order.
type timeline struct {
	r     *rendition
	codec string
	peak  float64

	end    int64 // of the last fragment, in ticks
	timed  bool  // end is known
	broken bool  // a gap or another era stands between
	seq    uint64

	last    *Segment      // newest complete one
	first   fragment      // the first of last
	samples time.Duration // sum of last
}

// ragged is how much longer or shorter than its samples' durations a segment
// may be where none follows it at once: its frames' composition offsets.
const ragged = 100 * time.Millisecond

// clock turns ticks since the epoch into time.
func (i *initSegment) clock(ticks int64) time.Time {
	return time.Unix(ticks/i.timescale, ticks%i.timescale*int64(time.Second)/i.timescale).UTC()
}

func (i *initSegment) duration(ticks int64) time.Duration {
	return time.Duration(ticks/i.timescale)*time.Second + time.Duration(ticks%i.timescale*int64(time.Second)/i.timescale)
}

// gap takes note that no media follows for a while.
func (t *timeline) gap(v view) {
	t.broken = true
	if t.last == nil {
		return
	}
	if t.last.Dur < t.samples-ragged {
		t.r.note("extinf", v, t.last.URI, "segment %d is said to last %v, its samples last %v", t.last.MSN, t.last.Dur, t.samples)
	}
	t.last = nil
}

// part takes a part's fragments, when it appears.
func (t *timeline) part(v view, s *Segment, i int, init *initSegment, frags []fragment) {
	p := s.Parts[i]
	t.fragments(v, s, p.URI, init, frags, i == 0)
	sum := int64(0)
	for _, f := range frags {
		sum += f.dur
	}
	if off := p.Dur - init.duration(sum); off.Abs() > time.Millisecond {
		t.r.note("part-duration", v, p.URI, "part %d.%d is said to last %v, its samples last %v", s.MSN, i, p.Dur, init.duration(sum))
	}
	if p.Independent != frags[0].sync && (p.Independent || init.handler == "vide") {
		t.r.note("independent", v, p.URI, "part %d.%d has INDEPENDENT=%v; its first sample is a sync sample: %v",
			s.MSN, i, p.Independent, frags[0].sync)
	}
}

// segment takes a whole segment, when it is complete.
func (t *timeline) segment(v view, s *Segment, init *initSegment, frags []fragment, size int) {
	if len(s.Parts) == 0 {
		t.fragments(v, s, s.URI, init, frags, true)
	}
	if (v.Independent || t.r.w.index.Independent) && !frags[0].sync {
		t.r.note("independent-segments", v, s.URI, "EXT-X-INDEPENDENT-SEGMENTS, but segment %d does not begin with a sync sample", s.MSN)
	}
	if s.Dur > 0 {
		t.peak = max(t.peak, float64(size)*8/s.Dur.Seconds())
	}
	t.codec = init.codec
	t.last, t.first = s, frags[0]
	t.samples = 0
	for _, f := range frags {
		t.samples += init.duration(f.dur)
	}
	t.r.count(func(st *Stats) { st.Kind, st.Codec = init.handler, init.codec })
}

// fragments checks that decode times go on where they ended.
func (t *timeline) fragments(v view, s *Segment, uri string, init *initSegment, frags []fragment, opens bool) {
	if t.timed && s.DiscSeq != t.seq {
		t.broken = true
		t.r.count(func(st *Stats) { st.Discontinuities++ })
	}
	for i, f := range frags {
		if f.lied != "" {
			t.r.note("sync", v, uri, "%s, fragment %d: %s", uri, i, f.lied)
		}
		switch off := f.start - t.end; {
		case !t.timed:
		case t.broken && off < 0:
			t.r.note("tfdt", v, uri, "%s begins at %d, %d ticks before the end of what came before", uri, f.start, -off)
		case !t.broken && (off > 1 || off < -1):
			t.r.note("tfdt", v, uri, "%s, fragment %d begins at %d, %d ticks (%v) after the end %d of the one before",
				uri, i, f.start, off, init.duration(off), t.end)
		}
		if i == 0 && opens {
			t.begin(v, s, init, f)
		}
		t.end, t.timed, t.broken, t.seq = f.end(), true, false, s.DiscSeq
	}
}

// begin checks the first fragment of a segment against the playlist's dates.
func (t *timeline) begin(v view, s *Segment, init *initSegment, f fragment) {
	at := init.clock(f.shown())
	if off := s.Start.Sub(at); off.Abs() > tolerance && !s.Start.IsZero() {
		t.r.note("date-time", v, s.Start.Format("15:04:05.000"), "segment %d begins at %s by the playlist, its first frame is shown at %s (tfdt %d, first sample +%d), %v apart",
			s.MSN, s.Start.Format("15:04:05.000000"), at.Format("15:04:05.000000"), f.start, f.offset, off)
	}
	if f.sync && f.minPTS < f.start+f.offset {
		t.r.note("open-gop", v, s.URI, "segment %d begins with a sync sample, but a sample of the same part is presented before it", s.MSN)
	}
	if t.last == nil || t.last.MSN+1 != s.MSN {
		return
	}
	if t.broken {
		if off := t.last.Dur - t.samples; off.Abs() > ragged {
			t.r.note("extinf", v, t.last.URI, "segment %d is said to last %v, its samples last %v", t.last.MSN, t.last.Dur, t.samples)
		}
		return
	}
	span := init.duration(f.shown() - t.first.shown())
	if off := t.last.Dur - span; off.Abs() > tolerance {
		t.r.note("extinf", v, t.last.URI, "segment %d is said to last %v, the next begins %v after it", t.last.MSN, t.last.Dur, span)
	}
}
