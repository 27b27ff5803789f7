package origin

import (
	"strconv"
	"time"

	"github.com/sluice-live/sluice"
)

// snapshot is the state of a track between two updates: immutable, and
// rendered when somebody first asks. Its readers take no lock.
type snapshot struct {
	desc        *sluice.Track // nil before the first update
	mime        string        // RFC 6381
	peak, mean  int64         // bits a second
	segs        []*segment    // complete and listed
	open        *segment      // nil between segments
	retired     []retired
	reports     string // EXT-X-RENDITION-REPORT lines
	hint        string // name of the part that comes next; empty if nobody knows
	next        string // name of the segment that comes next
	target      int64  // seconds
	part        int64  // microseconds
	skipUntil   int64  // seconds; 0: no delta updates
	ended       bool
	independent bool          // all listed segments begin with key frames
	begins      []bool        // whether the first two segments ever did
	generation  string        // of ETags
	cache       []string      // Cache-Control of answers to blocking reloads
	stale       chan struct{} // closed when there is a newer one

	full, delta rendering
}

// publish makes what has happened visible and wakes those who wait for it.
func (t *track) publish() {
	if !t.dirty {
		return
	}
	t.dirty = false
	s := &snapshot{
		desc: t.desc, mime: t.mime(), peak: t.rate.peak, mean: t.rate.mean, segs: t.segs, open: t.open, retired: t.retired,
		reports: t.b.reports(t), target: t.target, part: t.part,
		ended: t.ended, independent: t.independent(), begins: t.begins, stale: make(chan struct{}),
		generation: t.b.nextGeneration(),
	}
	if t.window > time.Duration(6*t.target)*time.Second {
		s.skipUntil = 6 * t.target
	}
	if !t.ended {
		s.hint, s.next = t.hint(), t.next()
	}
	s.cache = []string{"public, max-age=" + strconv.FormatInt(6*s.target, 10)}
	old := t.now.Swap(s)
	close(old.stale)
	if old.mime != s.mime || old.ready() != s.ready() || len(old.begins) != len(s.begins) || len(old.segs) == 0 || old.ended != s.ended {
		t.b.stale = true
	}
}

func (t *track) independent() bool {
	for _, s := range t.segs {
		if !s.Gap && !s.Independent {
			return false
		}
	}
	return t.open == nil || len(t.open.parts) == 0 || t.open.parts[0].independent
}

// hint names the part that comes next.
func (t *track) hint() string {
	if t.open == nil {
		if next := t.next(); next != "" {
			return partFile(next, 0)
		}
		return ""
	}
	n := len(t.open.parts)
	if n > 0 && t.cuts.next(t.open.Start, t.open.parts[0].independent) {
		return partFile(t.next(), 0)
	}
	return partFile(t.open.name, n)
}

// next names the segment that comes next, if the era goes on.
func (t *track) next() string {
	if t.open != nil {
		return segmentName(t.open.Track, t.open.Number+1)
	}
	if last := t.last(); last != nil {
		return segmentName(t.desc, last.Number+1)
	}
	return ""
}

// ready reports whether players can begin: none takes a playlist that lists
// parts but no whole segment, not even those that know parts.
func (s *snapshot) ready() bool { return len(s.segs) > 0 || s.ended && s.newest() != nil }

// newest returns the segment that the newest media belongs to.
func (s *snapshot) newest() *segment {
	if s.open != nil && len(s.open.parts) > 0 {
		return s.open
	}
	if n := len(s.segs); n > 0 {
		return s.segs[n-1]
	}
	return nil
}

// lastClosed returns the number of the last complete segment.
func (s *snapshot) lastClosed() (uint64, bool) {
	if n := len(s.segs); n > 0 {
		return s.segs[n-1].Number, true
	}
	if s.open != nil && s.open.Number > 0 {
		return s.open.Number - 1, true
	}
	return 0, false
}

// has reports whether the playlist holds what a blocking reload waits for:
// segment msn or a later one, or its part if that is not negative.
func (s *snapshot) has(msn uint64, part int) bool {
	if n := len(s.segs); n > 0 {
		last := s.segs[n-1]
		if last.Number > msn || last.Number == msn && (part < len(last.parts) || last.Gap) {
			return true // part is -1 for the whole segment
		}
		if last.Number == msn {
			// Beyond the segment's end means the next one's first part.
			msn, part = msn+1, 0
		}
	}
	if s.open == nil || part < 0 {
		return false
	}
	if s.open.Number > msn {
		return len(s.open.parts) > 0
	}
	return s.open.Number == msn && part < len(s.open.parts)
}

// absurd reports whether a reload asks for something so far ahead that the
// client must be wrong.
func (s *snapshot) absurd(msn uint64, part int) bool {
	last, ok := s.lastClosed()
	if !ok {
		return false
	}
	if msn > last+2 {
		return true
	}
	if part < 0 || msn < last {
		return false
	}
	known := 0
	if s.open != nil && s.open.Number == msn {
		known = len(s.open.parts)
	} else if n := len(s.segs); n > 0 && msn == last {
		known = len(s.segs[n-1].parts)
	}
	limit := 3 // the draft's Advance Part Limit
	if s.part > 0 && s.part < 1_000_000 {
		limit = int((3_000_000 + s.part - 1) / s.part)
	}
	return part >= known+limit
}

// all returns every segment that can be served, by number.
func (t *track) all() []*segment { return collect(t.retired, t.segs, t.open) }

func (s *snapshot) all() []*segment { return collect(s.retired, s.segs, s.open) }

func collect(old []retired, listed []*segment, open *segment) []*segment {
	all := make([]*segment, 0, len(old)+len(listed)+1)
	for _, r := range old {
		all = append(all, r.segment)
	}
	all = append(all, listed...)
	if open != nil {
		all = append(all, open)
	}
	return all
}

// find returns the segment called name.
func (s *snapshot) find(name string) *segment {
	if s.open != nil && s.open.name == name {
		return s.open
	}
	for i := len(s.segs) - 1; i >= 0; i-- {
		if s.segs[i].name == name {
			return s.segs[i]
		}
	}
	for _, r := range s.retired {
		if r.name == name {
			return r.segment
		}
	}
	return nil
}

// awaits reports whether part index of the segment called name may yet come.
func (s *snapshot) awaits(name string, index int) bool {
	if s.ended {
		return false
	}
	if s.open != nil && s.open.name == name {
		return index == len(s.open.parts)
	}
	return s.next == name && index == 0
}
