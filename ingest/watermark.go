package ingest

import (
	"time"

	"github.com/sluice-live/sluice"
)

// silence says what is absent: on every track once the connection is silent
// for two segments' time, on a single track once the others are two seconds
// ahead. A connection that is gone (nil, since then) can bring nothing late;
// one that only stalls may, so its watermarks stay behind.
func (t *timeline) silence(in *input, since, now time.Time) {
	long := 2 * t.segment
	switch {
	case in == nil, in.starting && len(in.held) == 0: // what comes is anchored behind
		if now.Sub(since) >= long {
			t.allSilent(now)
		}
	case in.starting:
	case now.Sub(in.lastArrival) >= long:
		t.flush(in)
		t.allSilent(now.Add(-long))
	default:
		t.trackSilent(in, now)
	}
}

// allSilent says that nothing came until now. It goes by what has passed since
// the newest frame: the wall clock may have been set meanwhile.
func (t *timeline) allSilent(now time.Time) {
	passed := now.Sub(t.heard)
	if passed > longestHole {
		return
	}
	for _, l := range t.lines {
		t.watermark(l, t.media.Add(passed))
	}
}

func (t *timeline) trackSilent(in *input, now time.Time) {
	if now.Sub(in.anchored) < trackSilence {
		return
	}
	var newest time.Time // of the tracks that run
	for _, l := range t.lines {
		if l.track == nil || l.track.Era != t.era || now.Sub(l.heard) >= trackSilence {
			continue
		}
		if at := l.track.Time(l.lastDTS); at.After(newest) {
			newest = at
		}
	}
	for _, l := range t.lines {
		if now.Sub(l.heard) >= trackSilence && !newest.IsZero() {
			t.watermark(l, newest.Add(-trackSilence))
		}
	}
}

// watermark puts out that nothing comes on a line before a time, and that the
// line is in the present era.
func (t *timeline) watermark(l *line, until time.Time) {
	if l.track == nil {
		return
	}
	at := l.native.Ticks(until)
	if l.track.Era != t.era {
		began := max(l.native.Ticks(t.began), l.cuts.end, l.lastDTS, l.watermark)
		if at < began {
			return
		}
		t.announce(l, began, began)
	}
	last := max(l.cuts.end, l.lastDTS, l.watermark)
	at = min(at, last+ticks(longestHole, l.cuts.scale)) // what is missing then follows with the next ones
	if at <= l.lastDTS || at <= l.watermark {
		return
	}
	for _, o := range l.cuts.watermark(at) {
		t.dirty = true
		t.mark(l, o, min(o.start, at))
	}
	l.watermark = at
	t.put(l, sluice.Packet{Track: l.track, DTS: at, PTS: max(at, l.cuts.start), Segment: l.cuts.number})
}

// ahead returns how far the input has come before the time that passed since
// its anchor. An anchor that had to lie before now counts too, but leaves
// some slack: such input is read at the pace of time, not stopped.
func (t *timeline) ahead(now time.Time) time.Duration {
	lead := min(max(t.anchor.Sub(t.anchored), 0), readAhead-time.Second)
	return t.media.Sub(t.anchor) - now.Sub(t.anchored) + lead
}
