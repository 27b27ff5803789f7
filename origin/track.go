package origin

import (
	"sync/atomic"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/cmaf"
)

const (
	// maxGaps is how many missing segments in a row are listed as gaps. A track
	// that jumps further begins its playlist anew.
	maxGaps = 32
	// maxEraStep likewise, for eras.
	maxEraStep = 64
	// maxListed bounds a playlist whose gaps have no length.
	maxListed = 4096
	// defaultTarget stands in for tracks that say nothing of segments.
	defaultTarget = 4 * time.Second
)

// retired is a segment that left the playlist and is still served.
type retired struct {
	*segment
	until time.Time
}

// track is one rendition of a broadcast. Its writer is the goroutine of
// Consume; everybody else reads the newest snapshot.
type track struct {
	id     string // in URLs
	kind   sluice.Kind
	b      *broadcast
	window time.Duration
	now    atomic.Pointer[snapshot]
	inits  atomic.Pointer[[]initSegment] // copied on write

	// The writer's own.
	segs    []*segment // in the playlist, complete
	open    *segment
	retired []retired
	desc    *sluice.Track // the newest
	init    string        // its init segment
	target  int64         // TARGETDURATION in seconds: constant
	part    int64         // PART-TARGET in microseconds: never shrinks
	longest time.Duration // that a playlist lasted
	cuts    cuts
	rate    bitrate
	begins  []bool // whether the first two segments began with key frames
	dirty   bool
	ended   bool
}

var _ cmaf.Handler = (*track)(nil)

// OpenSegment implements cmaf.Handler.
func (t *track) OpenSegment(s sluice.Segment) {
	t.dirty = true
	if t.open != nil {
		if t.open.Number == s.Number && t.open.name == segmentName(s.Track, s.Number) {
			return // the same one, made again after an interruption
		}
		t.abandon(s.Start)
	}
	if err := t.describe(s.Track); err != nil {
		t.b.refuse(s.Track, err)
		return
	}
	prev := t.last()
	if prev != nil && s.Number <= prev.Number && prev.Track.Era == s.Track.Era && prev.Track.Maker == s.Track.Maker {
		return // likewise, and complete
	}
	if prev != nil && !follows(prev, s) {
		t.reset()
		prev = nil
	}
	for prev != nil && prev.Number+1 < s.Number {
		prev = t.fillGap(prev, s)
	}
	t.open = t.newSegment(s, prev)
}

func (t *track) last() *segment {
	if len(t.segs) == 0 {
		return nil
	}
	return t.segs[len(t.segs)-1]
}

// follows reports whether s can be listed in one playlist with prev before it.
func follows(prev *segment, s sluice.Segment) bool {
	return s.Number > prev.Number && s.Number-prev.Number <= maxGaps &&
		s.Track.Era >= prev.Track.Era && s.Track.Era-prev.Track.Era <= maxEraStep
}

func (t *track) newSegment(s sluice.Segment, prev *segment) *segment {
	seg := &segment{Segment: s, name: segmentName(s.Track, s.Number), init: t.init}
	seg.describe(prev)
	return seg
}

// fillGap lists a missing segment as a gap behind prev: an equal share of the
// time there is to s, as far as the target duration allows.
func (t *track) fillGap(prev *segment, s sluice.Segment) *segment {
	desc := prev.Track
	start := prev.Start + prev.Dur
	share := int64(0)
	if desc.Timescale == s.Track.Timescale && s.Start > start {
		share = (s.Start - start) / int64(s.Number-prev.Number-1)
	}
	gap := sluice.Segment{Track: desc, Number: prev.Number + 1, Start: start, Gap: true}
	gap.Dur = min(max(share, 1), t.target*int64(desc.Timescale))
	seg := t.newSegment(gap, prev)
	seg.init = prev.init
	t.push(seg)
	return seg
}

// abandon lists an open segment that will never be complete as a gap.
func (t *track) abandon(next int64) {
	seg := *t.open
	t.open = nil
	if seg.body != nil {
		seg.body.remove()
	}
	seg.Gap, seg.Size, seg.parts, seg.body = true, 0, nil, nil
	seg.Dur = min(max(next-seg.Start, 1), t.target*int64(seg.Track.Timescale))
	t.push(&seg)
}

// ClosePart implements cmaf.Handler.
func (t *track) ClosePart(p cmaf.Part) {
	seg := t.open
	if seg == nil || p.Segment != seg.Number || p.Index != len(seg.parts) {
		return // known from before an interruption
	}
	t.dirty = true
	grown := *seg
	if grown.body == nil {
		grown.body = t.b.spool.newBody(t.id + "-" + seg.name)
	}
	grown.Size += int64(len(p.Data))
	grown.parts = append(seg.parts, newPart(seg, p, seg.Size))
	t.open = &grown
	grown.body.append(p.Data)
	if p.Index == 0 && len(t.begins) < 2 {
		t.begins = append(t.begins, p.Independent)
	}
	t.rate.add(p)
	t.b.srv.metrics.parts.Add(1)
}

// CloseSegment implements cmaf.Handler.
func (t *track) CloseSegment(s sluice.Segment) {
	if t.open == nil || t.open.Number != s.Number {
		return
	}
	t.dirty = true
	seg := *t.open
	t.open = nil
	size := seg.Size
	seg.Segment = s
	// What is listed must not be longer than the playlist says.
	seg.Dur = min(s.Dur, t.target*int64(s.Track.Timescale))
	seg.Size, seg.Gap = size, len(seg.parts) == 0
	if seg.body != nil {
		seg.body.seal()
	}
	t.rate.segment(&seg)
	t.b.stale = true
	t.push(&seg)
}

// push lists a complete segment and retires those the window no longer holds.
func (t *track) push(seg *segment) {
	t.dirty = true
	seg.finish()
	t.segs = append(t.segs, seg)
	total := t.listed()
	t.longest = max(t.longest, total+time.Duration(t.target)*time.Second)
	drop := 0
	for drop < len(t.segs)-1 {
		d := t.segs[drop].dur()
		if total-d < t.window && len(t.segs)-drop <= maxListed {
			break
		}
		total -= d
		drop++
	}
	t.retire(drop)
	t.expire(time.Now())
}

func (t *track) listed() (total time.Duration) {
	for _, s := range t.segs {
		total += s.dur()
	}
	return total
}

// retire takes the first n segments off the playlist. They are served for as
// long as a player may hold a playlist with them.
func (t *track) retire(n int) {
	now := time.Now()
	for _, s := range t.segs[:n] {
		if s.body != nil {
			t.retired = append(t.retired, retired{s, now.Add(s.dur() + t.longest)})
		}
	}
	t.segs = append([]*segment(nil), t.segs[n:]...)
}

// expire forgets what need not be served any more.
func (t *track) expire(now time.Time) {
	n := 0
	for n < len(t.retired) && !now.Before(t.retired[n].until) {
		t.retired[n].body.remove()
		n++
	}
	if n > 0 {
		t.retired = append([]retired(nil), t.retired[n:]...)
		t.dropInits()
	}
}

// reset begins the playlist anew.
func (t *track) reset() {
	t.retire(len(t.segs))
}

// shed forgets the oldest segment whose media lies in the heap, and reports
// whether there was one.
func (t *track) shed() bool {
	for _, s := range t.all() {
		if s.body != nil && s.closed && s.body.inHeap() {
			s.body.remove()
			return true
		}
	}
	return false
}

// end closes the playlist.
func (t *track) end() {
	if t.open != nil {
		t.abandon(t.open.Start + int64(t.open.Track.Timescale))
	}
	t.ended, t.dirty = true, true
	t.publish()
}

// describe takes note of a new description of the track. It fails where the
// description cannot be packaged.
func (t *track) describe(desc *sluice.Track) error {
	if t.desc == desc {
		return nil
	}
	init, err := newInit(desc)
	if err != nil {
		return err
	}
	t.desc = desc
	if t.target == 0 {
		t.target = targetDuration(desc)
		t.window = max(t.window, time.Duration(3*t.target)*time.Second)
	}
	// Rounded up, so that no part is longer.
	us := (desc.PartTarget*1_000_000 + int64(desc.Timescale) - 1) / int64(desc.Timescale)
	t.part = max(t.part, us)
	t.init = init.name
	t.addInit(init)
	return nil
}

// targetDuration is 2T in whole seconds.
func targetDuration(t *sluice.Track) int64 {
	d := t.SegmentDur
	if d <= 0 {
		d = defaultTarget
	}
	return int64((2*d + time.Second - 1) / time.Second)
}

func (s *segment) dur() time.Duration { return s.Track.Duration(s.Dur) }
