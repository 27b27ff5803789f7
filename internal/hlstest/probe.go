package hlstest

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// probe makes side requests, one kind after the other, until ctx is done.
func (r *rendition) probe(ctx context.Context) {
	probes := []func(context.Context){
		r.probeDelta, r.probePlain, r.probeWhole, r.probeHeaders, r.probePast, r.probeMedia, r.probeBad,
	}
	tick := time.NewTicker(r.w.opts.ProbeEvery)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		r.checkRemoved(ctx, 4, 3*r.w.opts.ProbeEvery)
		probes[i%len(probes)](ctx)
		r.count(func(s *Stats) { s.Probes++ })
	}
}

// probeDelta requests the next playlist whole and as a delta update, and
// compares the whole one with what merging the update makes.
func (r *rendition) probeDelta(ctx context.Context) {
	const tries = 5
	for try := range tries {
		base := r.current()
		if base.CanSkipUntil == 0 || base.EndList {
			return
		}
		query := directives(base.next())
		var whole, delta view
		var err1, err2 error
		var wg sync.WaitGroup
		wg.Go(func() { whole, err1 = r.load(ctx, query) })
		wg.Go(func() { delta, err2 = r.load(ctx, query+"&_HLS_skip=YES") })
		wg.Wait()
		if ctx.Err() != nil {
			return
		}
		if err1 != nil || err2 != nil {
			r.note("reload", base, "", "with %s: %v; with _HLS_skip=YES: %v", query, err1, err2)
			return
		}
		if r.checkDelta(base, whole, delta) {
			return
		}
		// The two answers may be of different moments, but not time and again.
		if try == tries-1 {
			r.note("delta", delta, "EXT-X-SKIP", "the update never ends where the whole playlist does, %+v", whole.next())
		}
	}
}

// checkDelta reports whether the two playlists were of one moment.
func (r *rendition) checkDelta(base, whole, delta view) bool {
	if whole.Delta {
		r.note("skip-unasked", whole, "EXT-X-SKIP", "a delta update without _HLS_skip")
		return true
	}
	if !delta.Delta {
		// The first segment is wholly past the boundary.
		if len(whole.Segments) > 1 && length(whole.Segments[1:]) > whole.CanSkipUntil+whole.TargetDuration {
			r.note("delta", delta, "EXT-X-SKIP", "%v in the playlist, skip boundary %v, but _HLS_skip=YES skipped nothing",
				length(whole.Segments), whole.CanSkipUntil)
		}
		return true
	}
	if delta.Skipped == 0 {
		r.note("delta", delta, "EXT-X-SKIP", "SKIPPED-SEGMENTS=0")
	}
	if delta.Version < 9 {
		r.note("version", delta, "EXT-X-VERSION", "EXT-X-SKIP needs EXT-X-VERSION 9")
	}
	if rest := length(delta.Segments); rest < delta.CanSkipUntil {
		r.note("delta", delta, "EXT-X-SKIP", "segments within the skip boundary are skipped: %v are left of %v", rest, delta.CanSkipUntil)
	}
	merged, err := merge(base.Playlist, delta.Playlist)
	if err != nil {
		r.note("delta", delta, "EXT-X-SKIP", "%v", err)
		return true
	}
	if merged.next() != whole.next() || merged.MediaSequence != whole.MediaSequence {
		return false
	}
	if d := difference(merged, whole.Playlist, delta.Skipped); d != "" {
		r.note("delta", delta, "EXT-X-SKIP", "the update merged is not the whole playlist: %s", d)
	}
	r.count(func(s *Stats) { s.Deltas++ })
	return true
}

// probePlain is a player that knows no directives: it has its playlist at once.
func (r *rendition) probePlain(ctx context.Context) {
	r.atOnce(ctx, "", "plain")
}

// probePast asks for what is long there.
func (r *rendition) probePast(ctx context.Context) {
	base := r.current()
	if n := len(base.complete()); n > 0 {
		r.atOnce(ctx, fmt.Sprintf("_HLS_msn=%d", base.Segments[n-1].MSN), "past")
		r.atOnce(ctx, fmt.Sprintf("_HLS_msn=%d&_HLS_part=0", base.Segments[0].MSN), "past")
	}
}

// atOnce loads a playlist that need not block and must be as new as the last.
func (r *rendition) atOnce(ctx context.Context, query, what string) {
	base := r.current()
	v, err := r.load(ctx, query)
	switch took := v.got.Sub(v.sent); {
	case ctx.Err() != nil:
	case err != nil:
		r.note("reload", base, "", "with %q: %v", query, err)
	case v.Delta:
		r.note("skip-unasked", v, "EXT-X-SKIP", "a delta update without _HLS_skip")
	case took > r.w.opts.Slack:
		r.note("blocking", v, "", "%s request %q blocked for %v", what, query, took)
	case v.next().before(base.next()):
		r.note("stale", v, "", "%s request %q got an end %+v, %+v was there before", what, query, v.next(), base.next())
	default:
		r.checkPlaylist(v)
	}
}

// probeWhole waits for the open segment to be complete, as players without
// parts reload.
func (r *rendition) probeWhole(ctx context.Context) {
	base := r.current()
	if base.EndList {
		return
	}
	msn := base.next().MSN
	v, err := r.load(ctx, fmt.Sprintf("_HLS_msn=%d", msn))
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		r.note("reload", base, "", "with _HLS_msn=%d: %v", msn, err)
		return
	}
	if s := v.find(msn); !v.EndList && (s == nil && v.next().MSN <= msn || s != nil && s.URI == "") {
		r.note("blocking", v, "", "_HLS_msn=%d was answered after %v without segment %d complete", msn, v.got.Sub(v.sent), msn)
	}
}

func (r *rendition) probeHeaders(ctx context.Context) {
	probePlaylistHeaders(ctx, r.w, r.name, r.address(""))
	base := r.current()
	a, err := ask(ctx, r.w.client, http.MethodGet, r.address(""), maxPlaylist)
	if err != nil || a.Status != http.StatusOK {
		return
	}
	if age, ok := maxAge(a.Header); ok && float64(age) > base.TargetDuration.Seconds()/2 {
		r.w.say(r.name, a.URL)("cache-control", "Cache-Control is %q; half a target duration is the most for a live playlist", a.Header.Get("Cache-Control"))
	}
}

// probeMedia requests a segment, a part and the init segment in odd ways.
func (r *rendition) probeMedia(ctx context.Context) {
	base := r.current()
	segments := base.complete()
	for i := len(segments) - 1; i >= 0; i-- {
		s := segments[i]
		if s.Gap {
			continue
		}
		probeMediaHeaders(ctx, r, s.URI)
		probeMediaHeaders(ctx, r, s.Init)
		if len(s.Parts) > 0 {
			probeMediaHeaders(ctx, r, s.Parts[0].URI)
		}
		return
	}
}

// probeBad makes requests that must be refused, and at once.
func (r *rendition) probeBad(ctx context.Context) {
	base := r.current()
	msn := base.next().MSN
	for _, c := range []struct {
		query string
		must  bool
	}{
		{"_HLS_part=1", true},
		{fmt.Sprintf("_HLS_msn=%d", msn+5), false},
		{fmt.Sprintf("_HLS_msn=%d&_HLS_part=100000", msn), false},
		{"_HLS_msn=x", false},
		{"_HLS_msn=-1", false},
		{fmt.Sprintf("_HLS_msn=%d&_HLS_part=x", msn), false},
	} {
		limit, cancel := context.WithTimeout(ctx, r.w.opts.Slack)
		a, err := ask(limit, r.w.client, http.MethodGet, r.address(c.query), maxPlaylist)
		cancel()
		if ctx.Err() != nil {
			return
		}
		// A segment that ended meanwhile makes the wish a lawful one.
		if lawful := r.current().next().MSN != msn; (err != nil || a.Status != http.StatusBadRequest) && (c.must || !lawful) {
			r.w.notes.add(Violation{Rule: "bad-request", Rendition: r.name, Should: !c.must,
				Detail: fmt.Sprintf("%s: want status 400 at once: %v, %v", c.query, a, err)})
		}
	}
	limit, cancel := context.WithTimeout(ctx, r.w.opts.Slack)
	defer cancel()
	u := r.resolve("1/0.0-1.m4s")
	if a, err := ask(limit, r.w.client, http.MethodGet, u, maxMedia); ctx.Err() == nil && (err != nil || a.Status != http.StatusNotFound) {
		r.w.say(r.name, u)("not-found", "want status 404 at once: %v, %v", a, err)
	}
}
