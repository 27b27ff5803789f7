package hlstest

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// checkPlaylist holds one playlist against the rules that need nothing else.
func (r *rendition) checkPlaylist(v view) {
	r.checkHeader(v)
	r.checkSegments(v)
	r.checkHints(v)
	seen := map[string]bool{}
	for _, s := range v.Segments {
		r.checkParts(v, s)
		for i := range len(s.Parts) + 1 {
			uri := s.URI
			if i < len(s.Parts) {
				uri = s.Parts[i].URI
			}
			if uri != "" && seen[uri] {
				r.note("repeated", v, uri, "%s stands twice in one playlist", uri)
			}
			seen[uri] = true
		}
	}
}

func (r *rendition) checkHeader(v view) {
	least := func(name string, have, want time.Duration, must bool) {
		if have >= want {
			return
		}
		if must {
			r.note("server-control", v, "EXT-X-SERVER-CONTROL", "%s is %v, at least %v is needed", name, have, want)
		} else {
			r.should("server-control", v, "EXT-X-SERVER-CONTROL", "%s is %v, %v is advised", name, have, want)
		}
	}
	if v.Version < 6 || v.Delta && v.Version < 9 {
		r.note("version", v, "EXT-X-VERSION", "EXT-X-VERSION is %d; EXT-X-MAP needs 6, EXT-X-SKIP 9", v.Version)
	}
	if v.EndList {
		return
	}
	if v.PartTarget == 0 {
		r.note("part-inf", v, "EXT-X-PART-INF", "EXT-X-PART-INF is missing")
		return
	}
	if !v.CanBlock {
		r.note("server-control", v, "EXT-X-SERVER-CONTROL", "CAN-BLOCK-RELOAD=YES is missing")
	}
	least("PART-HOLD-BACK", v.PartHoldBack, 2*v.PartTarget, true)
	least("PART-HOLD-BACK", v.PartHoldBack, 3*v.PartTarget, false)
	if v.HoldBack != 0 {
		least("HOLD-BACK", v.HoldBack, 3*v.TargetDuration, true)
	}
	if v.CanSkipUntil != 0 {
		least("CAN-SKIP-UNTIL", v.CanSkipUntil, 6*v.TargetDuration, true)
	}
}

// tolerance is what rounding dates to milliseconds twice may add up to.
const tolerance = 2 * time.Millisecond

func (r *rendition) checkSegments(v view) {
	for i, s := range v.Segments {
		if s.URI != "" && s.Dur.Round(time.Second) > v.TargetDuration {
			r.note("target-duration", v, s.URI, "EXTINF %v of segment %d is over EXT-X-TARGETDURATION %v", s.Dur, s.MSN, v.TargetDuration)
		}
		if s.Init == "" {
			r.note("map", v, s.URI, "no EXT-X-MAP is in force for segment %d", s.MSN)
		}
		if s.Start.IsZero() {
			r.note("date-time", v, s.URI, "no EXT-X-PROGRAM-DATE-TIME gives segment %d a date", s.MSN)
		}
		if s.byteRange {
			r.note("byte-range", v, s.URI, "segment %d is a byte range, which this walk cannot follow", s.MSN)
		}
		r.checkName(v, s.URI, s, -1)
		if i > 0 {
			r.checkDates(v, v.Segments[i-1], s)
		}
	}
}

// checkDates compares a segment's own date with the end of the one before.
func (r *rendition) checkDates(v view, before, s Segment) {
	if s.PDT.IsZero() || before.Start.IsZero() {
		return
	}
	off := s.PDT.Sub(before.Start.Add(before.Dur))
	if off.Abs() <= tolerance || s.Disconts > 0 && off > 0 {
		return
	}
	r.note("date-time", v, s.PDT.Format("15:04:05.000"), "segment %d (sequence %d) begins %v after the end of segment %d by EXTINF",
		s.MSN, s.DiscSeq, off, before.MSN)
}

// checkParts holds the lengths of a segment's parts against the part target.
// Only the last of a segment may be short, and only once it is known as that.
func (r *rendition) checkParts(v view, s Segment) {
	for i, p := range s.Parts {
		r.checkName(v, p.URI, s, i)
		last := s.URI != "" && i == len(s.Parts)-1
		if p.Dur > v.PartTarget {
			r.note("part-duration", v, p.URI, "part %d.%d lasts %v, over PART-TARGET %v", s.MSN, i, p.Dur, v.PartTarget)
		}
		next := i+1 < len(s.Parts) && s.Parts[i+1].Gap
		if i < len(s.Parts)-1 && !p.Gap && !next && !last && p.Dur < v.PartTarget*85/100 {
			r.note("part-duration", v, p.URI, "part %d.%d lasts %v, under 85 %% of PART-TARGET %v, and is not its segment's last",
				s.MSN, i, p.Dur, v.PartTarget)
		}
		if s.Gap && !p.Gap {
			r.note("gap", v, p.URI, "part %d.%d of a gap lacks GAP=YES", s.MSN, i)
		}
		if p.byteRange {
			r.note("byte-range", v, p.URI, "part %d.%d is a byte range, which this walk cannot follow", s.MSN, i)
		}
	}
}

var name = regexp.MustCompile(`(?:^|/)(\d+)/(\d+)\.(\d+)-(\d+)(?:\.(\d+))?\.m4s(?:\?.*)?$`)

// checkName holds a URI against {track}/{era}.{maker}-{number}[.{part}].m4s;
// part is -1 for a segment.
func (r *rendition) checkName(v view, uri string, s Segment, part int) {
	if uri == "" || s.Gap || r.w.opts.AnyNames {
		return
	}
	// Each stands in many playlists.
	place := named{uri, s.MSN, s.DiscSeq, part}
	if r.known(place) {
		return
	}
	m := name.FindStringSubmatch(r.resolve(uri))
	if m == nil {
		r.note("name", v, uri, "%s is not {track}/{era}.{maker}-{number}[.{part}].m4s", uri)
		return
	}
	want := ""
	if part >= 0 {
		want = strconv.Itoa(part)
	}
	if m[4] != strconv.FormatUint(s.MSN, 10) || m[5] != want || m[2] != strconv.FormatUint(s.DiscSeq, 10) {
		r.note("name", v, uri, "%s names era %s, number %s, part %q; its place is sequence %d, number %d, part %q",
			uri, m[2], m[4], m[5], s.DiscSeq, s.MSN, want)
		r.forget(place)
	}
}

// known reports whether a name was checked before, and remembers it.
func (r *rendition) known(n named) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.names[n]
	r.names[n] = true
	return known
}

// forget has a name reported wherever it stands.
func (r *rendition) forget(n named) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.names, n)
}

// named is a URI and the place that it was found to name.
type named struct {
	uri      string
	msn, seq uint64
	part     int
}

func (r *rendition) checkHints(v view) {
	parts := 0
	for _, h := range v.Hints {
		switch {
		case h.URI == "" || h.Type != "PART" && h.Type != "MAP":
			r.note("hint", v, "EXT-X-PRELOAD-HINT", "hint of type %q for %q", h.Type, h.URI)
		case h.Type == "PART":
			parts++
			r.checkHintName(v, h.URI)
		}
	}
	if want := 1; parts != want && !v.EndList {
		r.note("hint", v, "EXT-X-PRELOAD-HINT", "%d hints for parts, want one", parts)
	} else if v.EndList && len(v.Hints) > 0 {
		r.note("hint", v, "EXT-X-PRELOAD-HINT", "a hint in a playlist that has ended")
	}
}

// checkHintName wants the name of the next part of the open segment, or of the
// first of the next segment if the open one is foretold to end here. The first
// of a segment may be foretold to begin a new era.
func (r *rendition) checkHintName(v view, uri string) {
	want := v.next()
	place := Segment{MSN: want.MSN, DiscSeq: v.DiscontinuitySequence}
	if n := len(v.Segments); n > 0 {
		place.DiscSeq = v.Segments[n-1].DiscSeq
	}
	m := name.FindStringSubmatch(r.resolve(uri))
	if want.Part > 0 && m != nil && m[5] == "0" && m[4] == strconv.FormatUint(want.MSN+1, 10) {
		want = position{MSN: want.MSN + 1}
		place.MSN = want.MSN
	}
	if m != nil && want.Part == 0 {
		if era, err := strconv.ParseUint(m[2], 10, 64); err == nil && era > place.DiscSeq {
			place.DiscSeq = era
		}
	}
	r.checkName(v, uri, place, int(want.Part))
}

// checkReports wants a plausible report about every other rendition.
func (r *rendition) checkReports(v view) {
	if v.EndList {
		return
	}
	missing := map[*rendition]bool{}
	for _, other := range r.w.rends {
		missing[other] = other != r
	}
	for _, rep := range v.Reports {
		u, err := r.url.Parse(rep.URI)
		if err != nil {
			r.note("rendition-report", v, rep.URI, "URI: %v", err)
			continue
		}
		other := r.w.rendition(u)
		if other == nil || !missing[other] {
			r.note("rendition-report", v, rep.URI, "about %s, which is itself, unknown or reported twice", u.Path)
			continue
		}
		missing[other] = false
		if !rep.HasPart {
			r.note("rendition-report", v, rep.URI, "LAST-PART is missing")
		}
		r.w.board.claim(claim{
			by: r, about: other, sent: v.sent, got: v.got, pos: position{rep.MSN, rep.Part},
			excerpt: fmt.Sprintf("%+v", rep),
		})
	}
	for other, is := range missing {
		if is {
			r.note("rendition-report", v, "EXT-X-RENDITION-REPORT", "none about %s", other.name)
		}
	}
}
