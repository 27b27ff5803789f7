package ingest

import (
	"time"

	"github.com/sluice-live/sluice"
)

// line is one track as it goes out; it lives as long as the broadcast.
type line struct {
	cuts      cuts
	native    *sluice.Track // as it is or will be announced; times are in its ticks
	frame     int64         // nominal duration of one of native's, 0 is not known
	part      int64         // native's part target
	track     *sluice.Track // as announced; nil before
	lastDTS   int64         // or the watermark, if that is later
	watermark int64
	heard     time.Time // arrival of the last frame that went out
	key       []byte    // the newest key frame, of video
}

// adopt makes a feed's track the one that is announced next.
func (l *line) adopt(f *feed) {
	if old := int64(l.native.Timescale); old != 0 {
		for _, v := range []*int64{&l.lastDTS, &l.watermark, &l.cuts.end} {
			*v = sluice.Rescale(*v, old, int64(f.native.Timescale))
		}
	}
	l.native, l.frame = f.native, f.cadence.nominal()
	l.part = partTargetOf(f.cadence.num, f.cadence.den, f.native.Timescale)
}

// emit puts a frame out, behind the packets that open what begins before it.
func (t *timeline) emit(l *line, u unit, s stamped) {
	if l.track == nil || l.track.Era != t.era {
		t.announce(l, s.dts, s.pts)
	}
	longest := ticks(t.segment, int64(l.track.Timescale)) // else no cut could keep segments short
	s.dur, s.end = min(s.dur, longest), min(s.end, s.pts+longest)
	key := u.Key || l.track.Kind == sluice.Audio
	for _, o := range l.cuts.frame(s.dts, s.pts, s.end, key) {
		t.dirty = true
		if o.start != s.pts { // else the frame itself opens it
			t.mark(l, o, min(o.start, s.dts))
		}
	}
	t.put(l, sluice.Packet{
		Track: l.track, DTS: s.dts, PTS: s.pts, Dur: s.dur,
		Segment: l.cuts.number, Key: key, Discont: s.discont, Data: u.Data,
	})
	if u.Key && l.track.Kind == sluice.Video {
		l.key = u.Data
	}
	l.heard, t.heard = u.arrival, u.arrival
	if at := l.track.Time(s.dts); at.After(t.media) {
		t.media = at
	}
}

// announce begins a track's era, not before the end of the last.
func (t *timeline) announce(l *line, dts, pts int64) {
	track := *l.native
	track.Era, track.SegmentDur = t.era, t.segment
	track.FrameDur, track.PartTarget = l.frame, l.part
	l.cuts.t, l.cuts.scale = t.segment, int64(track.Timescale)
	l.track = &track
	l.watermark = 0
	t.unused, t.dirty = false, true
	t.mark(l, l.cuts.era(max(pts, l.cuts.end)), dts)
}

// mark puts out a packet without media that opens a segment.
func (t *timeline) mark(l *line, o opening, dts int64) {
	t.put(l, sluice.Packet{Track: l.track, DTS: max(dts, l.lastDTS), PTS: o.start, Segment: o.number})
}

// keyDue reports whether a track of the source has entered a cell whose segment
// no key frame has opened yet.
func (t *timeline) keyDue(track *sluice.Track) bool {
	if track.Kind != sluice.Video {
		return false
	}
	l := t.line(track)
	return l.track != nil && l.cuts.cellOf(l.lastDTS) > l.cuts.cell
}

func (t *timeline) put(l *line, p sluice.Packet) {
	l.lastDTS = p.DTS
	if end := p.Track.Time(max(p.PTS, p.DTS) + p.Dur); end.After(t.end) {
		t.end = end
	}
	t.out = append(t.out, p)
}

// partTargetOf returns the part target in ticks: 0.26 s, under which parts of
// every usual frame rate and of AAC last at least 85 % of it, which players ask
// for; for other frame durations the whole number of frames next to it.
func partTargetOf(num, den int64, timescale uint32) int64 {
	target := ticks(partTarget, int64(timescale))
	if num == 0 {
		return target
	}
	if n := target * den / num; n > 0 && n*num*100 >= target*den*85 {
		return target
	}
	n := max(1, (target*den+num/2)/num)
	return (n*num + den - 1) / den
}
