package hlstest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// backlog bounds the playlists whose media is still to be fetched.
const backlog = 4096

// rendition walks one media playlist. One goroutine follows the playlist, one
// fetches media, one makes side requests.
type rendition struct {
	w    *walk
	url  *url.URL
	name string

	mu      sync.Mutex // guards what follows, up to longest
	stats   Stats
	cur     view
	removed []leaving
	names   map[named]bool // those checked
	longest time.Duration  // of the playlists seen

	// Each is one goroutine's, and read by others when all are joined.
	eras     map[uint64]time.Time // when each discontinuity sequence number began
	from, to time.Time            // what the playlists covered
	target   time.Duration
	codec    string
	peak     float64
}

// view is a whole playlist as it was answered.
type view struct {
	*Playlist
	raw       []byte
	sent, got time.Time
}

// step is a playlist on its way to the goroutine that fetches media.
type step struct {
	view
	want position
	hint *pending // nil: the playlist before gave none
}

func newRendition(w *walk, u *url.URL) *rendition {
	return &rendition{w: w, url: u, name: u.Path, stats: Stats{Rendition: u.Path}, eras: map[uint64]time.Time{}, names: map[named]bool{}}
}

// run walks until ctx is done or the stream ends.
func (r *rendition) run(ctx context.Context) error {
	v, err := r.load(ctx, "")
	if err != nil && ctx.Err() != nil {
		return nil // told to end
	}
	if err != nil {
		return fmt.Errorf("hlstest: first playlist of %s: %w", r.name, err)
	}
	if v.Delta {
		r.note("skip-unasked", v, "", "a delta update without _HLS_skip")
		return nil
	}
	steps := make(chan step, backlog)
	probing, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { (&fetcher{r: r}).run(ctx, steps) })
	r.accept(v)
	steps <- step{view: v}
	wg.Go(func() { r.probe(probing) })
	r.follow(ctx, v, steps)
	close(steps)
	stop()
	wg.Wait()
	return nil
}

// follow reloads the playlist, blocking, for as long as it goes on.
func (r *rendition) follow(ctx context.Context, v view, steps chan<- step) {
	failed := 0
	for !v.EndList && failed < 10 {
		want := v.next()
		hint := r.chase(ctx, v)
		next, err := r.load(ctx, directives(want))
		if ctx.Err() != nil {
			hint.drop()
			return
		}
		if err != nil || next.Delta {
			hint.drop()
			r.note("reload", v, "", "reload for %d.%d: %v (delta %v)", want.MSN, want.Part, err, err == nil)
			failed++
			// Do not storm a server that fails.
			pause(ctx, r.w.opts.Slack)
			continue
		}
		failed = 0
		r.checkReload(ctx, next, want)
		r.checkChange(v, next)
		r.accept(next)
		steps <- step{view: next, want: want, hint: hint}
		v = next
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func directives(p position) string {
	return fmt.Sprintf("_HLS_msn=%d&_HLS_part=%d", p.MSN, p.Part)
}

// address is the playlist's with directives added to its query.
func (r *rendition) address(query string) string {
	u := *r.url
	if u.RawQuery != "" && query != "" {
		query = u.RawQuery + "&" + query
	} else if query == "" {
		query = u.RawQuery
	}
	u.RawQuery = query
	return u.String()
}

// resolve makes a URI of the playlist absolute.
func (r *rendition) resolve(uri string) string {
	u, err := r.url.Parse(uri)
	if err != nil {
		return uri
	}
	return u.String()
}

// load requests the playlist. The wait is bounded a little beyond the three
// target durations after which a server must have given up blocking.
func (r *rendition) load(ctx context.Context, query string) (view, error) {
	wait := time.Minute
	if v := r.current(); v.Playlist != nil {
		wait = 3*v.TargetDuration + 2*r.w.opts.Slack
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	a, err := ask(ctx, r.w.client, http.MethodGet, r.address(query), maxPlaylist, "Accept-Encoding", "gzip")
	if err != nil {
		return view{}, err
	}
	if a.Status != http.StatusOK {
		return view{}, fmt.Errorf("%v: %.200s", a, a.Body)
	}
	p, err := Parse(a.Body)
	if err != nil {
		return view{}, fmt.Errorf("%w\n%s", err, a.Body)
	}
	return view{p, a.Body, a.Sent, a.Got}, nil
}

// accept makes v the newest playlist, after checks that need nothing else.
func (r *rendition) accept(v view) {
	r.target = v.TargetDuration
	r.checkPlaylist(v)
	r.checkReports(v)
	for _, s := range v.Segments {
		if _, ok := r.eras[s.DiscSeq]; !ok {
			r.eras[s.DiscSeq] = s.Start
		}
	}
	if n := len(v.Segments); n > 0 {
		last := v.Segments[n-1]
		if r.from.IsZero() {
			r.from = v.Segments[0].Start
		}
		r.to = v.edge()
		r.w.board.saw(r, v.got, position{last.MSN, uint64(max(len(last.Parts), 1) - 1)})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cur = v
	r.longest = max(r.longest, length(v.Segments))
	r.stats.Reloads++
	r.stats.Window = length(v.complete())
	if edge := v.edge(); !edge.IsZero() {
		r.stats.Latency.add(v.got.Sub(edge))
	}
}

func (r *rendition) current() view {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cur
}

// count changes the statistics.
func (r *rendition) count(change func(s *Stats)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.stats)
}

// note reports a broken rule with the lines around mark.
func (r *rendition) note(rule string, v view, mark, format string, args ...any) {
	r.w.notes.add(Violation{Rule: rule, Rendition: r.name, Detail: fmt.Sprintf(format, args...), Excerpt: excerpt(v.raw, mark, 4)})
}

// should reports what RFC 8216bis only recommends.
func (r *rendition) should(rule string, v view, mark, format string, args ...any) {
	r.w.notes.add(Violation{Rule: rule, Rendition: r.name, Should: true,
		Detail: fmt.Sprintf(format, args...), Excerpt: excerpt(v.raw, mark, 4)})
}
