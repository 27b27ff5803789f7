package ingest

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/stretchr/testify/require"
)

// checker holds the invariants of what comes out of a timeline, whatever went in.
type checker struct {
	t     testing.TB
	era   uint32
	lines map[uint32]*checked
}

// checked is what the checker knows of a track.
type checked struct {
	track    *sluice.Track
	packets  []sluice.Packet
	segments []segment
	dts      int64 // of the newest frame
	quiet    int64 // no frame comes before
	media    bool
	end      int64 // of media in presentation time
}

// segment is what the checker knows of one.
type segment struct {
	number       uint64
	era          uint32
	start        int64
	independent  bool // begins with a key frame
	frames       int
	first, least int64 // PTS of the first frame and the smallest
}

func newChecker(t testing.TB) *checker { return &checker{t: t, lines: make(map[uint32]*checked)} }

func (c *checker) packets(ps []sluice.Packet) {
	c.t.Helper()
	for i, p := range ps {
		if err := c.packet(p); err != nil {
			require.NoError(c.t, err, "packet %d: %+v", i, brief(p))
		}
	}
}

func brief(p sluice.Packet) string {
	return fmt.Sprintf("track %d era %d segment %d dts %d pts %d dur %d key %v data %d",
		p.Track.ID, p.Track.Era, p.Segment, p.DTS, p.PTS, p.Dur, p.Key, len(p.Data))
}

func (c *checker) packet(p sluice.Packet) error {
	l := c.lines[p.Track.ID]
	if l == nil {
		l = &checked{}
		c.lines[p.Track.ID] = l
	}
	if p.Track.Era < c.era {
		return fmt.Errorf("era %d after %d", p.Track.Era, c.era)
	}
	c.era = p.Track.Era
	if p.Track != l.track {
		if err := l.announced(p); err != nil {
			return err
		}
	}
	if err := l.opens(p); err != nil {
		return err
	}
	l.packets = append(l.packets, p)
	if p.Data == nil {
		if p.DTS < l.dts {
			return fmt.Errorf("mark before the frame at %d", l.dts)
		}
		l.quiet = max(l.quiet, p.DTS)
		return nil
	}
	return l.frame(p)
}

func (l *checked) announced(p sluice.Packet) error {
	old := l.track
	l.track = p.Track
	if p.Data != nil {
		return fmt.Errorf("a new track begins without its announcement")
	}
	if old == nil {
		return nil
	}
	if p.Track.Era <= old.Era {
		return fmt.Errorf("a new track in the same era")
	}
	scale := func(v int64) int64 { return sluice.Rescale(v, int64(old.Timescale), int64(p.Track.Timescale)) }
	l.dts, l.quiet, l.end = scale(l.dts), scale(l.quiet), scale(l.end)
	l.media = false
	if p.PTS < l.end-1 {
		return fmt.Errorf("era begins %d ticks before the end of the last", l.end-p.PTS)
	}
	return nil
}

func (l *checked) opens(p sluice.Packet) error {
	n := len(l.segments)
	if n > 0 && p.Segment == l.segments[n-1].number {
		if l.segments[n-1].era != p.Track.Era {
			return fmt.Errorf("era changes within segment %d", p.Segment)
		}
		return nil
	}
	s := segment{number: p.Segment, era: p.Track.Era, start: p.PTS, first: -1, least: math.MaxInt64}
	l.segments = append(l.segments, s)
	if n == 0 {
		return nil
	}
	last := l.segments[n-1]
	limit := 2 * l.ticks(p.Track.SegmentDur)
	switch {
	case p.Segment != last.number+1:
		return fmt.Errorf("segment %d after %d", p.Segment, last.number)
	case last.era != s.era:
	case s.start <= last.start:
		return fmt.Errorf("segment of %d ticks", s.start-last.start)
	case s.start-last.start > limit:
		return fmt.Errorf("segment %d of %v", last.number, p.Track.Duration(s.start-last.start))
	case last.frames > 0 && p.Track.Kind == sluice.Audio && s.start < l.end-l.track.FrameDur/2-1:
		return fmt.Errorf("segment begins %d ticks before the end of the last", l.end-s.start)
	case p.Track.Kind == sluice.Audio && l.cell(s.start) <= l.cell(last.start) && last.frames > 0 && s.start != l.end:
		return fmt.Errorf("two segments in one cell")
	}
	return nil
}

func (l *checked) ticks(d time.Duration) int64 { return ticks(d, int64(l.track.Timescale)) }

func (l *checked) cell(pts int64) int64 { return pts / l.ticks(l.track.SegmentDur) }

func (l *checked) frame(p sluice.Packet) error {
	s := &l.segments[len(l.segments)-1]
	switch {
	case l.media && p.DTS <= l.dts:
		return fmt.Errorf("DTS %d after %d", p.DTS, l.dts)
	case p.DTS < l.quiet:
		return fmt.Errorf("frame before watermark %d", l.quiet)
	case p.Dur <= 0 || p.Dur > l.ticks(p.Track.SegmentDur):
		return fmt.Errorf("duration %d", p.Dur)
	case max(p.PTS-p.DTS, p.DTS-p.PTS) > l.ticks(maxComposition)+int64(p.Track.Timescale):
		return fmt.Errorf("PTS %d ticks from DTS", p.PTS-p.DTS)
	case s.frames == 0 && p.Track.Kind == sluice.Video && len(l.segments) > 1 && l.segments[len(l.segments)-2].era != s.era && !p.Key:
		return fmt.Errorf("era begins without a key frame")
	}
	if s.frames == 0 {
		s.independent, s.first = p.Key, p.PTS
	}
	s.frames++
	s.least = min(s.least, p.PTS)
	l.dts, l.media = p.DTS, true
	l.end = max(l.end, p.PTS+p.Dur)
	return nil
}

// sane holds what is true of sources that make sense: nothing is shown before
// the segment that it is in, but for a step of the cadence after drift.
func (c *checker) sane() {
	c.t.Helper()
	for id, l := range c.lines {
		for i, s := range l.segments {
			if s.frames > 0 {
				require.GreaterOrEqual(c.t, s.least+int64(l.track.Timescale)/2000, s.start, "track %d, segment %d (%d of %d) shows what belongs into the one before", id, s.number, i, len(l.segments))
			}
		}
	}
}

// media returns the frames of a track.
func (l *checked) frames() []sluice.Packet {
	var out []sluice.Packet
	for _, p := range l.packets {
		if p.Data != nil {
			out = append(out, p)
		}
	}
	return out
}

// parts returns the lengths of a track's parts, as shares of its target, but
// for the last of each segment.
func (l *checked) parts() []float64 {
	var out []float64
	var start, end int64
	var n int
	var number uint64
	target := l.track.PartTarget
	for _, p := range l.frames() {
		switch {
		case p.Segment != number:
			start, n, number = p.DTS, 0, p.Segment
		case n > 0 && p.DTS+p.Dur-start > target:
			out = append(out, float64(end-start)/float64(target))
			start, n = p.DTS, 0
		}
		n++
		if end = p.DTS + p.Dur; end+p.Dur-start > target {
			out = append(out, float64(end-start)/float64(target))
			n = 0
			start = end
		}
		if n == 0 {
			start = p.DTS + p.Dur
		}
	}
	return out
}

// run is a timeline at work on simulated connections.
type run struct {
	*checker
	tl     *timeline
	in     *input
	source []simFrame
	now    time.Time
	since  time.Time
	look   time.Time // for silence, next
	// declared says that the SPS of the last connection has its frame rate.
	declared bool
}

func newRun(t testing.TB, segment time.Duration, at Position) *run {
	return &run{checker: newChecker(t), tl: newTimeline(segment, at)}
}

// collect checks what came out.
func (r *run) collect() []sluice.Packet {
	r.t.Helper()
	out := append([]sluice.Packet(nil), r.tl.out...)
	r.tl.out = r.tl.out[:0]
	r.packets(out)
	return out
}

// connect plays a connection to its end, looking for silence each second.
func (r *run) connect(s simulation, h hints) {
	r.t.Helper()
	r.source = s.frames(r.t)
	r.declared = s.picture != nil && s.picture.declared
	before := r.accounted()
	r.in = newInput(s.scale, s.wrap, func() hints { return h })
	for i := range r.source {
		f := &r.source[i]
		r.wait(f.arrival)
		require.NoError(r.t, r.tl.push(r.in, f.packet(), f.arrival))
		out := r.collect()
		if !s.unruly && f.track.Kind == sluice.Audio && !r.in.starting && !carries(out, f) {
			require.Fail(r.t, "audio waits", "%v", brief(f.packet()))
		}
	}
	r.tl.flush(r.in)
	r.collect()
	r.in, r.since = nil, r.now
	require.Equal(r.t, len(r.source), r.accounted()-before, "every frame comes out or is counted: %+v", r.tl.repairs)
}

// accounted is the number of frames that came out or are counted as dropped.
func (r *run) accounted() int {
	n := int(r.tl.repairs.DoubledAudio + r.tl.repairs.LateDropped + r.tl.repairs.WithoutKey)
	for _, l := range r.lines {
		n += len(l.frames())
	}
	return n
}

// carries reports whether the packet made of a frame is the last that came out
// of its track.
func carries(out []sluice.Packet, f *simFrame) bool {
	if len(out) == 0 {
		return false
	}
	p := out[len(out)-1]
	return p.Data != nil && p.Track.ID == f.track.ID && binary.BigEndian.Uint32(p.Data) == uint32(f.index)
}

// wait lets time pass.
func (r *run) wait(until time.Time) {
	r.t.Helper()
	if r.look.IsZero() {
		r.look = until
	}
	for ; r.look.Before(until); r.look = r.look.Add(time.Second) {
		if r.in != nil || !r.since.IsZero() {
			r.tl.silence(r.in, r.since, r.look)
			r.collect()
		}
	}
	r.now = until
}

// origin returns the frame that a packet was made of.
func (r *run) origin(p sluice.Packet) simFrame {
	index := int(binary.BigEndian.Uint32(p.Data))
	lo := 0
	for hi := len(r.source); lo < hi; {
		if mid := (lo + hi) / 2; r.source[mid].index < index {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return r.source[lo]
}

// offsets returns how far the tracks are from where the source's exact times
// put them in relation to each other: the greatest shift of audio against
// video next to it.
func (r *run) skew() (most time.Duration) {
	var video, audio time.Duration
	var haveVideo, haveAudio bool
	var all []sluice.Packet
	for _, id := range []uint32{videoID, audioID} {
		if l := r.lines[id]; l != nil {
			all = append(all, l.frames()...)
		}
	}
	sortByTime(all)
	for _, p := range all {
		f := r.origin(p)
		off := p.Track.Time(p.PTS).Sub(epoch) - time.Duration(f.show*1e9)
		if p.Track.ID == videoID {
			video, haveVideo = off, true
		} else {
			audio, haveAudio = off, true
		}
		if haveVideo && haveAudio {
			most = max(most, video-audio, audio-video)
		}
	}
	return most
}

func sortByTime(ps []sluice.Packet) {
	slices.SortStableFunc(ps, func(a, b sluice.Packet) int { return a.Track.Time(a.DTS).Compare(b.Track.Time(b.DTS)) })
}
