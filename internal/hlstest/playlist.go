package hlstest

import (
	"slices"
	"time"
)

// Playlist is a parsed media playlist.
type Playlist struct {
	Header
	// Segments are in playlist order; the last one is still open when its URI
	// is empty. Skipped older ones are left out.
	Segments []Segment
	Hints    []Hint
	Reports  []RenditionReport
	Skipped  uint64
	Delta    bool // has EXT-X-SKIP
	EndList  bool
}

// Header holds the tags that apply to the whole playlist.
type Header struct {
	Version               int
	TargetDuration        time.Duration
	PartTarget            time.Duration
	Control               bool // has EXT-X-SERVER-CONTROL
	CanBlock              bool
	CanSkipUntil          time.Duration
	HoldBack              time.Duration
	PartHoldBack          time.Duration
	MediaSequence         uint64
	DiscontinuitySequence uint64
	Independent           bool // has EXT-X-INDEPENDENT-SEGMENTS
}

// Segment is one media segment, or the parts of one to come.
type Segment struct {
	MSN      uint64
	URI      string // empty while the segment is open
	Dur      time.Duration
	Gap      bool
	Disconts int       // EXT-X-DISCONTINUITY tags before it
	PDT      time.Time // as said by a tag of its own
	Map      string    // EXT-X-MAP tag of its own
	Parts    []Part

	// What follows from the tags before it, set in whole playlists.
	DiscSeq uint64
	Init    string    // the EXT-X-MAP in force
	Start   time.Time // its own PDT, else counted on from the last one

	byteRange bool
}

// Part is one partial segment.
type Part struct {
	URI         string
	Dur         time.Duration
	Independent bool
	Gap         bool
	byteRange   bool
}

// Hint is an EXT-X-PRELOAD-HINT.
type Hint struct{ Type, URI string }

// RenditionReport is an EXT-X-RENDITION-REPORT.
type RenditionReport struct {
	URI     string
	MSN     uint64
	Part    uint64
	HasPart bool
}

// position is a place at the live edge: the part Part of segment MSN.
type position struct{ MSN, Part uint64 }

func (p position) before(q position) bool {
	return p.MSN < q.MSN || p.MSN == q.MSN && p.Part < q.Part
}

// next is the part that the playlist does not hold yet.
func (p *Playlist) next() position {
	if len(p.Segments) == 0 {
		return position{MSN: p.MediaSequence + p.Skipped}
	}
	last := p.Segments[len(p.Segments)-1]
	if last.URI == "" {
		return position{last.MSN, uint64(len(last.Parts))}
	}
	return position{MSN: last.MSN + 1}
}

// complete returns the segments that are closed.
func (p *Playlist) complete() []Segment {
	if n := len(p.Segments); n > 0 && p.Segments[n-1].URI == "" {
		return p.Segments[:n-1]
	}
	return p.Segments
}

// find returns the segment of a number; nil when the playlist has it not.
func (p *Playlist) find(msn uint64) *Segment {
	i, ok := slices.BinarySearchFunc(p.Segments, msn, func(s Segment, n uint64) int {
		switch {
		case s.MSN < n:
			return -1
		case s.MSN > n:
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return &p.Segments[i]
}

// length is the duration of segments, the parts of an open one included.
func length(segments []Segment) (sum time.Duration) {
	for _, s := range segments {
		sum += s.length()
	}
	return sum
}

func (s *Segment) length() (sum time.Duration) {
	if s.URI != "" {
		return s.Dur
	}
	for _, p := range s.Parts {
		sum += p.Dur
	}
	return sum
}

// edge is the time at which the newest part ends; zero without a date.
func (p *Playlist) edge() time.Time {
	if len(p.Segments) == 0 {
		return time.Time{}
	}
	last := p.Segments[len(p.Segments)-1]
	if last.Start.IsZero() {
		return time.Time{}
	}
	return last.Start.Add(last.length())
}

// resolve fills in what follows from the tags before each segment.
func (p *Playlist) resolve() {
	seq, init, at := p.DiscontinuitySequence, "", time.Time{}
	for i := range p.Segments {
		s := &p.Segments[i]
		seq += uint64(s.Disconts)
		if s.Map != "" {
			init = s.Map
		}
		if !s.PDT.IsZero() {
			at = s.PDT
		}
		s.DiscSeq, s.Init, s.Start = seq, init, at
		if !at.IsZero() {
			at = at.Add(s.length())
		}
	}
}

// came names the first part that is new in a playlist for one that waited for
// want. ended says that the segment ended before it, so that another part than
// the one waited for came, or none.
func (p *Playlist) came(want position) (uri string, ended bool) {
	s := p.find(want.MSN)
	if s != nil && uint64(len(s.Parts)) > want.Part {
		return s.Parts[want.Part].URI, s.Disconts > 0 && want.Part == 0
	}
	if next := p.find(want.MSN + 1); next != nil && len(next.Parts) > 0 {
		return next.Parts[0].URI, true
	}
	return "", true
}
