package hlstest

import (
	"slices"
	"time"
)

// spoilSegment puts the faults of segments into a playlist.
func (f *fake) spoilSegment(t *fakeTrack, p *Playlist, s *Segment, at time.Time) {
	late := s.MSN > f.first+20
	switch f.fault {
	case "extinf-over":
		if s.URI != "" {
			s.Dur = 9 * time.Second
		}
	case "extinf":
		if late && s.URI != "" {
			s.Dur += 50 * time.Millisecond
		}
	case "extinf-era":
		if s.MSN == f.eraCell-1 && s.URI != "" {
			s.Dur += 480 * time.Millisecond
		}
	case "date-time-drift":
		s.Start = s.Start.Add(time.Duration(s.MSN-f.first) * 3 * time.Millisecond)
	case "date-time-offset":
		s.Start = s.Start.Add(40 * time.Millisecond)
	case "date-time-missing":
		s.Start = time.Time{}
	case "disc-missing":
		s.Disconts = 0
	case "disc-one":
		if t.video {
			s.Disconts = 0
		}
	case "map-missing":
		s.Init = ""
	case "changed":
		if s.URI != "" && at.Sub(s.Start) > 10*time.Second {
			s.Dur += time.Millisecond
		}
	case "name":
		s.URI = "x" + s.URI
	}
	for i := range s.Parts {
		f.spoilPart(s, &s.Parts[i], i, late)
	}
	if f.is("parts-removed") && at.Sub(s.Start) > 12*time.Second || f.is("gap-lie") && s.MSN == f.first+21 {
		s.Parts = nil
	}
}

func (f *fake) spoilPart(s *Segment, part *Part, i int, late bool) {
	switch f.fault {
	case "part-long":
		if i == 2 {
			part.Dur = 270 * time.Millisecond
		}
	case "part-lie":
		part.Dur = max(part.Dur-5*time.Millisecond, 0)
	case "independent":
		part.Independent = true
	case "independent-lacks":
		part.Independent = false
	case "part-gap":
		part.Gap = late
	case "part-changed":
		if s.URI != "" && i == 0 {
			part.Dur -= time.Millisecond
		}
	}
}

// spoilPlaylist adds hints and reports, and the faults of a whole playlist.
func (f *fake) spoilPlaylist(t *fakeTrack, p *Playlist, at time.Time, delta bool) {
	next := p.next()
	if !p.EndList {
		c := t.cut(next.MSN)
		if n := len(p.Segments); n > 0 {
			c.era = p.Segments[n-1].DiscSeq
		}
		part := int(next.Part)
		if f.is("hint-name") {
			part++
		}
		if f.foretell && len(t.parts(c)) == part && part > 0 {
			c, part = t.cut(next.MSN+1), 0
		}
		p.Hints = []Hint{{"PART", t.name(c, part)}}
		p.Reports = f.reports(t, at)
	}
	late := next.MSN > f.first+21
	switch f.fault {
	case "hint-missing":
		p.Hints = nil
	case "hint-twice":
		p.Hints = append(p.Hints, p.Hints...)
	case "report-missing":
		p.Reports = nil
	case "target-changes":
		if late {
			p.TargetDuration += time.Second
		}
	case "header-changes":
		if late {
			p.PartTarget += 10 * time.Millisecond
		}
	case "hold-back":
		p.HoldBack = 10 * time.Second
	case "part-hold-back":
		p.PartHoldBack = 300 * time.Millisecond
	case "part-hold-back-short":
		p.PartHoldBack = 600 * time.Millisecond
	case "no-block":
		p.CanBlock = false
	case "skip-until":
		p.CanSkipUntil = 40 * time.Second
	case "version":
		p.Version = 5
	case "part-inf":
		p.PartTarget = 0
	case "disc-stuck":
		p.DiscontinuitySequence = 3
	case "disc-one":
		if t.video {
			p.DiscontinuitySequence = 3
		}
	case "number":
		if late {
			p.MediaSequence++
		}
	case "sequence-back":
		if at.Unix()%7 == 0 {
			p.MediaSequence -= 2
		}
	case "segment-missing":
		if late {
			p.Segments = slices.Delete(p.Segments, 5, 6)
		}
	case "delta-extinf":
		if delta {
			p.Segments[len(p.Segments)-3].Dur += time.Millisecond
		}
	}
}

func (f *fake) reports(t *fakeTrack, at time.Time) (out []RenditionReport) {
	for id, other := range f.tracks {
		if other == t {
			continue
		}
		if f.is("report-stale") {
			at = at.Add(-4 * time.Second)
		}
		p := f.list(other, at)
		last := p.Segments[len(p.Segments)-1]
		r := RenditionReport{URI: id + ".m3u8", MSN: last.MSN, Part: uint64(max(len(last.Parts), 1) - 1)}
		if f.is("report-ahead") {
			r.MSN++
		}
		out = append(out, r)
	}
	return out
}
