package hlstest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
)

// fetcher gets the media of one rendition, in order, each part and each
// segment once more than a player would: a part as hinted and as listed, a
// segment as parts and whole.
type fetcher struct {
	r     *rendition
	line  timeline
	inits map[string]*initSegment
	hints map[string]*pending
	at    position // the next part to get
	begun bool
	parts [][]byte // of the segment at at
	whole bool     // parts holds all of them so far
}

// run works until steps is closed. ctx ends its requests.
func (f *fetcher) run(ctx context.Context, steps <-chan step) {
	f.inits, f.hints = map[string]*initSegment{}, map[string]*pending{}
	f.line.r = f.r
	for s := range steps {
		if s.hint != nil {
			f.hints[s.hint.uri] = s.hint
			f.settle(ctx, s)
		}
		for i := range s.Segments {
			f.segment(ctx, s.view, &s.Segments[i])
		}
	}
	for _, h := range f.hints {
		h.drop()
	}
	f.r.codec, f.r.peak = f.line.codec, f.line.peak
}

// settle decides whether the hint that was followed came true: it must name
// the next part to come, unless a segment ended where nothing foretold it.
func (f *fetcher) settle(ctx context.Context, s step) {
	f.r.count(func(st *Stats) { st.Hints++ })
	came, ended := s.came(s.want)
	if came == s.hint.uri {
		f.behind(ctx, s)
		return
	}
	delete(f.hints, s.hint.uri)
	if !ended {
		f.r.note("hint", s.view, came, "%s was hinted, %s came", s.hint.uri, came)
		s.hint.drop()
		return
	}
	f.r.count(func(st *Stats) { st.HintsUnused++ })
	wait, cancel := context.WithTimeout(ctx, f.r.w.opts.Slack)
	defer cancel()
	switch answered := s.hint.end(wait); {
	case ctx.Err() != nil:
	case !answered:
		f.r.note("hint", s.view, "", "the request for %s, which will not come any more, was not answered", s.hint.uri)
	case s.hint.a.Status == http.StatusOK:
		f.r.note("hint", s.view, "", "%s was answered with %d bytes, but the playlist passed it over", s.hint.uri, len(s.hint.a.Body))
	}
}

// behind measures how long after the hinted part its playlist came.
func (f *fetcher) behind(ctx context.Context, s step) {
	wait, cancel := context.WithTimeout(ctx, f.r.w.opts.Slack)
	defer cancel()
	if s.hint.end(wait) {
		f.r.count(func(st *Stats) { st.Blocking.add(s.got.Sub(s.hint.a.Got)) })
	}
}

// segment gets what of a segment is new.
func (f *fetcher) segment(ctx context.Context, v view, s *Segment) {
	if f.begun && s.MSN < f.at.MSN || ctx.Err() != nil {
		return
	}
	if !f.begun || s.MSN > f.at.MSN {
		f.at, f.parts, f.whole, f.begun = position{MSN: s.MSN}, nil, true, true
	}
	if s.Gap {
		f.line.gap(v)
		f.r.count(func(st *Stats) { st.Gaps++ })
		f.at = position{MSN: s.MSN + 1}
		f.parts, f.whole = nil, true
		return
	}
	init := f.init(ctx, v, s)
	for i := int(f.at.Part); i < len(s.Parts); i++ {
		f.part(ctx, v, s, i, init)
	}
	f.at.Part = uint64(len(s.Parts))
	if s.URI != "" {
		f.complete(ctx, v, s, init)
		f.at = position{MSN: s.MSN + 1}
		f.parts, f.whole = nil, true
	}
}

// init gets and reads the EXT-X-MAP in force, once.
func (f *fetcher) init(ctx context.Context, v view, s *Segment) *initSegment {
	if known, ok := f.inits[s.Init]; ok || s.Init == "" {
		return known
	}
	body, ok := f.get(ctx, v, s.Init)
	if !ok {
		return nil
	}
	init, err := parseInit(body)
	if err != nil {
		f.r.note("map", v, s.Init, "%s: %v", s.Init, err)
	}
	f.inits[s.Init] = init
	return init
}

// get fetches one file of media.
func (f *fetcher) get(ctx context.Context, v view, uri string) ([]byte, bool) {
	a, err := ask(ctx, f.r.w.client, http.MethodGet, f.r.resolve(uri), maxMedia)
	if ctx.Err() != nil {
		return nil, false
	}
	if err != nil || a.Status != http.StatusOK || len(a.Body) == 0 {
		f.r.note("media", v, uri, "%s is listed: %v, %d bytes, %v", uri, a, len(a.Body), err)
		return nil, false
	}
	checkMediaHeaders(f.r, v, uri, a)
	return a.Body, true
}

func (f *fetcher) part(ctx context.Context, v view, s *Segment, i int, init *initSegment) {
	p := s.Parts[i]
	if p.Gap {
		f.line.gap(v)
		f.whole = false
		return
	}
	body, ok := f.get(ctx, v, p.URI)
	if !ok {
		f.whole = false
		return
	}
	f.r.count(func(st *Stats) { st.Parts++ })
	f.parts = append(f.parts, body)
	if h := f.hints[p.URI]; h != nil {
		f.compareHint(ctx, v, h, body)
	}
	if init == nil {
		return
	}
	frags, err := parseFragments(init, body)
	if err != nil {
		f.r.note("media", v, p.URI, "%s: %v", p.URI, err)
		return
	}
	f.line.part(v, s, i, init, frags)
}

func (f *fetcher) compareHint(ctx context.Context, v view, h *pending, body []byte) {
	delete(f.hints, h.uri)
	wait, cancel := context.WithTimeout(ctx, f.r.w.opts.Slack)
	defer cancel()
	answered := h.end(wait)
	if ctx.Err() != nil {
		return
	}
	if !answered || h.err != nil || h.a.Status != http.StatusOK || !bytes.Equal(h.a.Body, body) {
		f.r.note("hint", v, h.uri, "the hinted request for %s got status %d, %d bytes, %v; the listed part has %d bytes",
			h.uri, h.a.Status, len(h.a.Body), h.err, len(body))
	}
}

// complete gets a whole segment and holds it against its parts.
func (f *fetcher) complete(ctx context.Context, v view, s *Segment, init *initSegment) {
	body, ok := f.get(ctx, v, s.URI)
	if !ok {
		return
	}
	f.r.count(func(st *Stats) { st.Segments++ })
	if sum := joined(f.parts); f.whole && len(s.Parts) > 0 && !bytes.Equal(sum, body) {
		f.r.note("byte-exact", v, s.URI, "segment %d has %d bytes, its %d parts %d: %s", s.MSN, len(body), len(f.parts), len(sum), differ(sum, body))
	}
	if init == nil {
		return
	}
	frags, err := parseFragments(init, body)
	if err != nil {
		f.r.note("media", v, s.URI, "%s: %v", s.URI, err)
		return
	}
	f.line.segment(v, s, init, frags, len(body))
}

func differ(a, b []byte) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("byte %d differs", i)
		}
	}
	return "one is the other's beginning"
}
