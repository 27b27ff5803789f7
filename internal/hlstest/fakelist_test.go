package hlstest

import (
	"fmt"
	"strings"
	"time"
)

// list is the playlist at a time, as the fake means it, faults aside.
func (f *fake) list(t *fakeTrack, at time.Time) *Playlist {
	if !f.ends.IsZero() && at.After(f.ends) {
		at = f.ends
	}
	p := &Playlist{Header: Header{
		Version: 9, TargetDuration: 2 * cellSeconds * time.Second, PartTarget: seconds(f.target),
		Control: true, CanBlock: true, CanSkipUntil: 48 * time.Second, HoldBack: 24 * time.Second,
		PartHoldBack: seconds(3 * f.target), Independent: true,
	}, EndList: at.Equal(f.ends)}
	begin := max(f.first, uint64(at.Unix())/cellSeconds-22)
	for cell := begin; ; cell++ {
		c := t.cut(cell)
		s := Segment{MSN: cell, DiscSeq: c.era, Gap: c.gap, Start: t.at(c.from), Init: fmt.Sprintf("%d/init.mp4", t.id)}
		if c.disc {
			s.Disconts = 1
		}
		for i, part := range t.parts(c) {
			if !at.Before(t.appears(c, part)) {
				s.Parts = append(s.Parts, Part{
					URI: t.name(c, i), Dur: seconds(t.seconds(part[1] - part[0])), Independent: t.key(part[0], c),
				})
			}
		}
		if open := at.Before(t.closed(c)); open && len(s.Parts) == 0 {
			break
		} else if !open {
			s.URI, s.Dur = t.name(c, -1), t.at(t.nextFrom(c)).Sub(s.Start)
		}
		p.Segments = append(p.Segments, s)
		if s.URI == "" {
			break
		}
	}
	f.slide(p)
	return p
}

// nextFrom is where the segment after c begins, or c ends where an era does.
func (t *fakeTrack) nextFrom(c cut) int64 {
	if n := t.cut(c.number + 1); !n.disc {
		return n.from
	}
	return c.to
}

// slide removes what is past the window, and old parts.
func (f *fake) slide(p *Playlist) {
	for length(p.complete()[1:]).Seconds() >= f.window {
		p.Segments = p.Segments[1:]
	}
	for i := range p.complete() {
		if length(p.Segments[i+1:]) >= 3*p.TargetDuration {
			p.Segments[i].Parts = nil
		}
	}
	p.MediaSequence = p.Segments[0].MSN
	p.DiscontinuitySequence = p.Segments[0].DiscSeq
	p.Segments[0].Disconts = 0
}

func seconds(s float64) time.Duration { return time.Duration(s*1e6) * time.Microsecond }

// render writes the playlist, with the fault.
func (f *fake) render(t *fakeTrack, at time.Time, skip bool) string {
	p := f.list(t, at)
	for i := range p.Segments {
		f.spoilSegment(t, p, &p.Segments[i], at)
	}
	skipped := 0
	if skip {
		for length(p.Segments[skipped+1:]) >= p.CanSkipUntil {
			skipped++
		}
		if f.is("delta-boundary") {
			skipped += 3
		}
	}
	f.spoilPlaylist(t, p, at, skipped > 0)
	var b strings.Builder
	f.header(&b, p, skipped)
	for i, s := range p.Segments {
		if i >= skipped {
			f.segment(&b, t, s, i == 0)
		}
	}
	for _, h := range p.Hints {
		fmt.Fprintf(&b, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"%s\"\n", h.URI)
	}
	for _, r := range p.Reports {
		fmt.Fprintf(&b, "#EXT-X-RENDITION-REPORT:URI=\"%s\",LAST-MSN=%d,LAST-PART=%d\n", r.URI, r.MSN, r.Part)
	}
	if p.EndList {
		b.WriteString("#EXT-X-ENDLIST\n")
	}
	return b.String()
}

func (f *fake) header(b *strings.Builder, p *Playlist, skipped int) {
	fmt.Fprintf(b, "#EXTM3U\n#EXT-X-VERSION:%d\n#EXT-X-TARGETDURATION:%d\n", p.Version, int(p.TargetDuration.Seconds()))
	if p.Independent {
		b.WriteString("#EXT-X-INDEPENDENT-SEGMENTS\n")
	}
	b.WriteString("#EXT-X-SERVER-CONTROL:")
	if p.CanBlock {
		b.WriteString("CAN-BLOCK-RELOAD=YES,")
	}
	fmt.Fprintf(b, "CAN-SKIP-UNTIL=%g,HOLD-BACK=%g,PART-HOLD-BACK=%g\n", p.CanSkipUntil.Seconds(), p.HoldBack.Seconds(), p.PartHoldBack.Seconds())
	if p.PartTarget > 0 {
		fmt.Fprintf(b, "#EXT-X-PART-INF:PART-TARGET=%g\n", p.PartTarget.Seconds())
	}
	fmt.Fprintf(b, "#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-DISCONTINUITY-SEQUENCE:%d\n", p.MediaSequence, p.DiscontinuitySequence)
	if skipped > 0 {
		if f.is("delta-count") {
			skipped--
		}
		fmt.Fprintf(b, "#EXT-X-SKIP:SKIPPED-SEGMENTS=%d\n", skipped)
	}
}

func (f *fake) segment(b *strings.Builder, t *fakeTrack, s Segment, first bool) {
	for range s.Disconts {
		b.WriteString("#EXT-X-DISCONTINUITY\n")
	}
	if first && s.Init != "" {
		fmt.Fprintf(b, "#EXT-X-MAP:URI=\"%s\"\n", s.Init)
	}
	if !s.Start.IsZero() {
		fmt.Fprintf(b, "#EXT-X-PROGRAM-DATE-TIME:%s\n", s.Start.Format("2006-01-02T15:04:05.000Z"))
	}
	if s.Gap {
		b.WriteString("#EXT-X-GAP\n")
	}
	for i, part := range s.Parts {
		yes := ""
		if part.Independent {
			yes = ",INDEPENDENT=YES"
		}
		if f.is("part-missing") && i == 3 {
			continue
		}
		fmt.Fprintf(b, "#EXT-X-PART:DURATION=%.5f,URI=\"%s\"%s\n", part.Dur.Seconds(), part.URI, yes)
		if f.is("repeated") && i == 3 {
			fmt.Fprintf(b, "#EXT-X-PART:DURATION=%.5f,URI=\"%s\"%s\n", part.Dur.Seconds(), part.URI, yes)
		}
	}
	if s.URI != "" {
		fmt.Fprintf(b, "#EXTINF:%.5f,\n%s\n", s.Dur.Seconds(), s.URI)
	}
}
