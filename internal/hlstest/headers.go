package hlstest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// complain reports a violation about a response.
type complain func(rule, format string, args ...any)

// say makes one for an answer's address.
func (w *walk) say(rendition string, about string) complain {
	return func(rule, format string, args ...any) {
		w.notes.add(Violation{Rule: rule, Rendition: rendition, Detail: about + ": " + fmt.Sprintf(format, args...)})
	}
}

var playlistTypes = []string{"application/vnd.apple.mpegurl", "audio/mpegurl"}

var mediaTypes = []string{"video/mp4", "audio/mp4", "video/iso.segment"}

// checkCommon holds what every answer to a page's player must carry.
func checkCommon(say complain, a answer, types []string) {
	kind, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	if !slices.Contains(types, strings.ToLower(kind)) {
		say("content-type", "Content-Type is %q, want one of %v", kind, types)
	}
	if allow := a.Header.Get("Access-Control-Allow-Origin"); allow != "*" && allow != origin {
		say("cors", "Access-Control-Allow-Origin is %q", allow)
	}
	if a.Header.Get("Etag") == "" {
		say("etag", "no ETag")
	}
	if a.Header.Get("Cache-Control") == "" {
		say("cache-control", "no Cache-Control")
	}
}

// maxAge reads Cache-Control; ok is false when nothing may be kept unasked.
func maxAge(h http.Header) (seconds int, ok bool) {
	for d := range strings.SplitSeq(h.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(strings.ToLower(d)), "=")
		switch name {
		case "no-store", "no-cache":
			return 0, false
		case "max-age":
			n, err := strconv.Atoi(value)
			return n, err == nil
		}
	}
	return 0, false
}

// checkMediaHeaders holds an answer with media, which never changes, against
// what caches and players need.
func checkMediaHeaders(r *rendition, v view, uri string, a answer) {
	say := r.w.say(r.name, uri)
	checkCommon(say, a, mediaTypes)
	if age, ok := maxAge(a.Header); !ok || float64(age) < v.TargetDuration.Seconds() {
		say("cache-control", "Cache-Control is %q; media never changes and is to be cached", a.Header.Get("Cache-Control"))
	}
}

// probePlaylistHeaders requests a playlist in the ways caches and players do.
func probePlaylistHeaders(ctx context.Context, w *walk, name, url string) {
	say := w.say(name, url)
	get := func(method string, header ...string) (answer, bool) {
		a, err := ask(ctx, w.client, method, url, maxPlaylist, header...)
		if err != nil && ctx.Err() == nil {
			say("playlist", "%v", err)
		}
		return a, err == nil
	}
	plain, ok1 := get(http.MethodGet)
	packed, ok2 := get(http.MethodGet, "Accept-Encoding", "gzip")
	head, ok3 := get(http.MethodHead)
	if !ok1 || !ok2 || !ok3 {
		return
	}
	checkCommon(say, plain, playlistTypes)
	if plain.Gzip || !packed.Gzip {
		say("gzip", "gzip although not accepted: %v; gzip when accepted: %v", plain.Gzip, packed.Gzip)
	}
	if !strings.Contains(strings.ToLower(strings.Join(packed.Header.Values("Vary"), ",")), "accept-encoding") {
		say("gzip", "Vary is %q, lacks Accept-Encoding", packed.Header.Values("Vary"))
	}
	if head.Status != http.StatusOK || len(head.Body) > 0 || head.Header.Get("Content-Type") != plain.Header.Get("Content-Type") {
		say("head", "HEAD: status %d, %d bytes, Content-Type %q", head.Status, len(head.Body), head.Header.Get("Content-Type"))
	}
	if tag := packed.Header.Get("Etag"); tag != "" {
		again, ok := get(http.MethodGet, "Accept-Encoding", "gzip", "If-None-Match", tag)
		same := again.Header.Get("Etag") == tag
		if ok && again.Status != http.StatusNotModified && same {
			say("etag", "If-None-Match %s got %d with ETag %s", tag, again.Status, again.Header.Get("Etag"))
		}
		if ok && again.Status == http.StatusNotModified && len(again.Body) > 0 {
			say("etag", "304 with %d bytes", len(again.Body))
		}
	}
}

// probeMediaHeaders requests a file of media in the ways caches and players do.
func probeMediaHeaders(ctx context.Context, r *rendition, uri string) {
	say := r.w.say(r.name, uri)
	get := func(method string, header ...string) (answer, bool) {
		a, err := ask(ctx, r.w.client, method, r.resolve(uri), maxMedia, header...)
		if err != nil && ctx.Err() == nil {
			say("media", "%v", err)
		}
		return a, err == nil
	}
	whole, ok1 := get(http.MethodGet)
	head, ok2 := get(http.MethodHead)
	if !ok1 || !ok2 || whole.Status != http.StatusOK || len(whole.Body) < 40 {
		return
	}
	size := len(whole.Body)
	if head.Status != http.StatusOK || len(head.Body) > 0 || head.Header.Get("Content-Length") != strconv.Itoa(size) ||
		head.Header.Get("Content-Type") != whole.Header.Get("Content-Type") {
		say("head", "HEAD: status %d, %d bytes, Content-Length %s of %d, Content-Type %q",
			head.Status, len(head.Body), head.Header.Get("Content-Length"), size, head.Header.Get("Content-Type"))
	}
	again, ok := get(http.MethodGet, "If-None-Match", whole.Header.Get("Etag"))
	if ok && (again.Status != http.StatusNotModified || len(again.Body) > 0) {
		say("etag", "If-None-Match %s got %d", whole.Header.Get("Etag"), again.Status)
	}
	for _, c := range []struct {
		header     string
		start, end int
	}{{"bytes=8-31", 8, 32}, {"bytes=-16", size - 16, size}, {fmt.Sprintf("bytes=%d-", size-5), size - 5, size}} {
		part, ok := get(http.MethodGet, "Range", c.header)
		want := fmt.Sprintf("bytes %d-%d/%d", c.start, c.end-1, size)
		if ok && (part.Status != http.StatusPartialContent || part.Header.Get("Content-Range") != want ||
			!bytes.Equal(part.Body, whole.Body[c.start:c.end])) {
			say("range", "%s got %d, Content-Range %q, %d bytes; want %q", c.header, part.Status, part.Header.Get("Content-Range"), len(part.Body), want)
		}
	}
	if past, ok := get(http.MethodGet, "Range", fmt.Sprintf("bytes=%d-", size)); ok && past.Status != http.StatusRequestedRangeNotSatisfiable {
		say("range", "a range behind the end got %d", past.Status)
	}
}
