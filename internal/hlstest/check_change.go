package hlstest

import (
	"context"
	"net/http"
	"reflect"
	"time"
)

// leaving is a segment or part that left the playlist and must stay fetchable.
type leaving struct {
	uri   string
	until time.Time
}

// checkReload holds a blocking reload's answer against what was asked.
func (r *rendition) checkReload(ctx context.Context, next view, want position) {
	if !satisfies(next.Playlist, want) {
		// A server that does not block is not to be stormed.
		defer pause(ctx, max(next.PartTarget, 100*time.Millisecond))
		r.note("blocking", next, "", "the reload for %d.%d was answered after %v with a playlist that ends before %+v",
			want.MSN, want.Part, next.got.Sub(next.sent), next.next())
	}
	if took := next.got.Sub(next.sent); took > 3*next.TargetDuration+r.w.opts.Slack {
		r.note("blocking", next, "", "the reload for %d.%d took %v, over three target durations", want.MSN, want.Part, took)
	}
	if edge := next.next(); edge.MSN == want.MSN && edge.Part > want.Part+1 {
		r.count(func(s *Stats) { s.Late++ })
	}
}

// satisfies says whether a playlist holds the part that was waited for. A part
// beyond a segment's last stands for the next segment's first.
func satisfies(p *Playlist, want position) bool {
	s := p.find(want.MSN)
	switch {
	case p.EndList:
		return true
	case s == nil:
		return want.before(p.next())
	case s.URI != "" && !s.Gap && uint64(len(s.Parts)) <= want.Part:
		return (position{want.MSN + 1, 0}).before(p.next())
	}
	return want.before(p.next())
}

// checkChange compares a playlist with the one before it.
func (r *rendition) checkChange(old, next view) {
	a, b := old.Header, next.Header
	if a.MediaSequence > b.MediaSequence || a.DiscontinuitySequence > b.DiscontinuitySequence {
		r.note("sequence", next, "EXT-X-MEDIA-SEQUENCE", "media or discontinuity sequence went back from %d, %d to %d, %d",
			a.MediaSequence, a.DiscontinuitySequence, b.MediaSequence, b.DiscontinuitySequence)
	}
	if next.next().before(old.next()) && !next.EndList {
		r.note("sequence", next, "EXT-X-MEDIA-SEQUENCE", "the playlist's end went back from %+v to %+v", old.next(), next.next())
	}
	a.MediaSequence, a.DiscontinuitySequence = b.MediaSequence, b.DiscontinuitySequence
	// It is about the segments there are, and they change.
	a.Independent = b.Independent
	if a.TargetDuration != b.TargetDuration {
		r.note("target-duration", next, "EXT-X-TARGETDURATION", "EXT-X-TARGETDURATION changed from %v to %v", a.TargetDuration, b.TargetDuration)
	} else if a != b && !next.EndList {
		r.note("header", next, "", "header changed from %+v to %+v", a, b)
	}
	for i, s := range old.Segments {
		if s.MSN < next.MediaSequence {
			r.left(next, s)
		} else if now := next.find(s.MSN); now == nil {
			r.note("sequence", next, "", "segment %d is gone from the middle of the playlist", s.MSN)
		} else {
			r.checkSame(next, s, *now, length(next.Segments)-(length(old.Segments[:i+1])-r.gone(old, next)))
		}
	}
	left := length(next.complete())
	if old.MediaSequence < next.MediaSequence && !next.EndList && left < 3*next.TargetDuration {
		r.note("window", next, "EXT-X-MEDIA-SEQUENCE", "a segment was removed, only %v are left; three target durations must be", left)
	}
}

// gone is the duration of the segments that left between two playlists.
func (r *rendition) gone(old, next view) (sum time.Duration) {
	for _, s := range old.Segments {
		if s.MSN < next.MediaSequence {
			sum += s.Dur
		}
	}
	return sum
}

// checkSame compares two appearances of one segment. fromEnd is how far its
// end is from the end of the newer playlist.
func (r *rendition) checkSame(v view, was, is Segment, fromEnd time.Duration) {
	whole := was.URI != ""
	switch {
	case whole && (was.URI != is.URI || was.Dur != is.Dur),
		whole && was.Gap != is.Gap, was.Init != is.Init, was.DiscSeq != is.DiscSeq, !was.Start.Equal(is.Start):
		r.note("changed", v, is.URI, "segment %d was %+v and is %+v", was.MSN, was, is)
	}
	parts := is.Parts
	if whole && len(parts) == 0 && len(was.Parts) > 0 {
		if fromEnd < 3*v.TargetDuration {
			r.note("parts-removed", v, is.URI, "the parts of segment %d left the playlist %v from its end, within three target durations",
				is.MSN, fromEnd)
		}
		r.leave(v, was.Parts, 3*v.TargetDuration)
		return
	}
	if len(parts) < len(was.Parts) || whole && len(parts) != len(was.Parts) || !reflect.DeepEqual(parts[:len(was.Parts)], was.Parts) {
		r.note("changed", v, is.URI, "the parts of segment %d were %+v and are %+v", was.MSN, was.Parts, parts)
	}
}

// left remembers a segment that was removed: it stays available for its own
// duration and that of the longest playlist that held it (section 6.2.2).
func (r *rendition) left(v view, s Segment) {
	r.leave(v, s.Parts, 3*v.TargetDuration)
	if s.URI == "" || s.Gap {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removed = append(r.removed, leaving{s.URI, v.got.Add(s.Dur + r.longest)})
}

func (r *rendition) leave(v view, parts []Part, grace time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range parts {
		if !p.Gap {
			r.removed = append(r.removed, leaving{p.URI, v.got.Add(grace)})
		}
	}
}

// checkRemoved requests what left the playlist and must still be there, as
// late as the walk allows: up to most of them, the nearest to their end first.
func (r *rendition) checkRemoved(ctx context.Context, most int, within time.Duration) {
	for _, l := range r.due(most, within) {
		a, err := ask(ctx, r.w.client, http.MethodGet, r.resolve(l.uri), maxMedia)
		if ctx.Err() != nil {
			return
		}
		if (err != nil || a.Status != http.StatusOK || len(a.Body) == 0) && a.Sent.Before(l.until) {
			r.note("removed", r.current(), "", "%s left the playlist and must be served for %v more: %v, %v",
				l.uri, l.until.Sub(a.Sent).Round(time.Millisecond), a, err)
		}
		r.count(func(s *Stats) { s.Removed++ })
	}
}

// due takes from the list what is to be requested now and drops what is past,
// or so nearly past that the server's clock decides.
func (r *rendition) due(most int, within time.Duration) (out []leaving) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	keep := r.removed[:0]
	for _, l := range r.removed {
		switch rest := l.until.Sub(now); {
		case rest <= r.w.opts.Slack/2:
		case rest <= within && len(out) < most:
			out = append(out, l)
		default:
			keep = append(keep, l)
		}
	}
	r.removed = keep
	return out
}

// lastRemoved checks at the end of a walk whatever is still to be served.
func (r *rendition) lastRemoved(ctx context.Context) {
	r.checkRemoved(ctx, 50, time.Hour)
}
