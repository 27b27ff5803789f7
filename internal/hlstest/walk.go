package hlstest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Options configures a walk. The zero value is a strict walk of a minute.
type Options struct {
	For        time.Duration // how long to walk; 0 is a minute
	ProbeEvery time.Duration // pause between side requests on a rendition; 0 is 2 s
	// Slack is how late an answer may be that ought to come at once; 0 is 1.5 s,
	// which a busy machine needs.
	Slack time.Duration
	// Found, if not nil, is told of violations as they are found. It is called
	// by one goroutine at a time and must not block.
	Found func(Violation)
	// AnyNames leaves the names of segments alone, for servers other than Sluice.
	AnyNames bool
}

func (o *Options) defaults() {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	set(&o.For, time.Minute)
	set(&o.ProbeEvery, 2*time.Second)
	set(&o.Slack, 1500*time.Millisecond)
}

// walk is what all renditions share.
type walk struct {
	client *http.Client
	opts   Options
	notes  notes
	board  board
	index  *Multivariant
	rends  []*rendition
}

// Walk walks the live presentation whose multivariant playlist is at indexURL.
// It returns an error only if the presentation cannot be walked at all;
// everything else is in the report. It ends early, without error, when the
// stream ends or ctx does.
func Walk(ctx context.Context, client *http.Client, indexURL string, opts Options) (Report, error) {
	opts.defaults()
	w := &walk{client: client, opts: opts, notes: notes{count: map[[2]string]int{}, found: opts.Found}, board: newBoard()}
	if err := w.open(ctx, indexURL); err != nil {
		return Report{URL: indexURL}, err
	}
	began := time.Now()
	inner, cancel := context.WithTimeout(ctx, opts.For)
	defer cancel()
	errs := make([]error, len(w.rends))
	var wg sync.WaitGroup
	for i, r := range w.rends {
		wg.Go(func() { errs[i] = r.run(inner) })
	}
	wg.Wait()
	for _, r := range w.rends {
		r.lastRemoved(ctx)
	}
	w.conclude(ctx, indexURL)
	report := Report{URL: indexURL, Walked: time.Since(began), Violations: w.notes.list, Dropped: w.notes.dropped}
	for _, r := range w.rends {
		report.Renditions = append(report.Renditions, r.stats)
	}
	return report, errors.Join(errs...)
}

// open reads the multivariant playlist and makes the renditions.
func (w *walk) open(ctx context.Context, indexURL string) error {
	base, err := url.Parse(indexURL)
	if err != nil {
		return fmt.Errorf("hlstest: address: %w", err)
	}
	a, err := ask(ctx, w.client, http.MethodGet, indexURL, maxPlaylist)
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK {
		return fmt.Errorf("hlstest: multivariant playlist: %v", a)
	}
	if w.index, err = ParseMultivariant(a.Body); err != nil {
		return err
	}
	for _, fault := range w.index.lint() {
		w.notes.add(Violation{Rule: "multivariant", Rendition: base.Path, Detail: fault, Excerpt: string(a.Body)})
	}
	for _, uri := range w.index.playlists() {
		u, err := base.Parse(uri)
		if err != nil {
			return fmt.Errorf("hlstest: address of a media playlist: %w", err)
		}
		w.rends = append(w.rends, newRendition(w, u))
	}
	probePlaylistHeaders(ctx, w, base.Path, indexURL)
	return nil
}

// rendition returns the one whose playlist is at u; the query does not matter.
func (w *walk) rendition(u *url.URL) *rendition {
	for _, r := range w.rends {
		if r.url.Path == u.Path && r.url.Host == u.Host {
			return r
		}
	}
	return nil
}

// conclude makes the checks that need everything that was seen.
func (w *walk) conclude(ctx context.Context, indexURL string) {
	w.board.judge(w)
	// What a live server says of the bandwidth, it measured meanwhile.
	if a, err := ask(ctx, w.client, http.MethodGet, indexURL, maxPlaylist); err == nil && a.Status == http.StatusOK {
		if now, err := ParseMultivariant(a.Body); err == nil {
			w.index = now
		}
	}
	for _, r := range w.rends {
		w.checkEras(r)
	}
	for _, v := range w.index.Variants {
		w.checkVariant(v)
	}
}

// checkEras looks for discontinuities that another rendition lacks.
func (w *walk) checkEras(r *rendition) {
	for _, other := range w.rends {
		if other == r {
			continue
		}
		for seq, at := range r.eras {
			there, ok := other.eras[seq]
			switch {
			case at.Before(other.from.Add(r.target)) || at.After(other.to.Add(-r.target)):
				// The other may have had it before the walk, or have it still to come.
			case !ok:
				w.notes.add(Violation{Rule: "discontinuity-sequence", Rendition: r.name,
					Detail: fmt.Sprintf("discontinuity sequence %d, begun at %v, is missing in %s", seq, at, other.name)})
			case there.Sub(at).Abs() > r.target:
				w.notes.add(Violation{Rule: "discontinuity-sequence", Rendition: r.name,
					Detail: fmt.Sprintf("discontinuity sequence %d begins at %v, in %s at %v", seq, at, other.name, there)})
			}
		}
	}
}

// rfc6381 names the sample entries that CODECS calls otherwise.
var rfc6381 = map[string]string{".mp3": "mp4a.40.34"}

// isAt reports whether a path ends in a relative address: whole elements of it,
// so that 202/index.m3u8 is not 2/index.m3u8.
func isAt(path, uri string) bool {
	return strings.HasSuffix(path, "/"+strings.TrimPrefix(pathOf(uri), "/"))
}

// checkVariant holds CODECS and BANDWIDTH against the media of a variant.
func (w *walk) checkVariant(v Variant) {
	peak := 0.0
	audio := 0.0
	for _, r := range w.rends {
		group, own := false, isAt(r.url.Path, v.URI)
		for _, m := range w.index.Media {
			group = group || v.Audio != "" && m.Group == v.Audio && m.URI != "" && isAt(r.url.Path, m.URI)
		}
		if !own && !group {
			continue
		}
		if own {
			peak = r.peak
		} else {
			audio = max(audio, r.peak)
		}
		if r.codec != "" && !strings.Contains(strings.ToLower(v.Codecs), cmp.Or(rfc6381[r.codec], strings.ToLower(r.codec))) {
			w.notes.add(Violation{Rule: "codecs", Rendition: r.name,
				Detail: fmt.Sprintf("CODECS %q does not name %q, which the media is", v.Codecs, r.codec)})
		}
	}
	if sum := peak + audio; sum > 1.1*float64(v.Bandwidth) {
		w.notes.add(Violation{Rule: "bandwidth", Rendition: v.URI, Should: true,
			Detail: fmt.Sprintf("BANDWIDTH is %d, the largest segments have %.0f bit/s", v.Bandwidth, sum)})
	}
}

// pathOf is a relative reference without its query and leading dots.
func pathOf(uri string) string {
	path, _, _ := strings.Cut(uri, "?")
	return strings.TrimLeft(path, "./")
}
