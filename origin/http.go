package origin

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-live/sluice/internal/access"
)

// Values of headers, shared by all answers: a slice each, ready to be put into
// a header without an allocation.
var (
	typeM3U8     = []string{"application/vnd.apple.mpegurl"}
	typeVideo    = []string{"video/mp4"}
	typeAudio    = []string{"audio/mp4"}
	typeText     = []string{"text/plain; charset=utf-8"}
	noSniff      = []string{"nosniff"}
	encGzip      = []string{"gzip"}
	varyEncoding = []string{"Accept-Encoding"}
	anyOrigin    = []string{"*"}
	exposed      = []string{"Age, Content-Length, Content-Range, Date, ETag"}
	methods      = []string{"GET, HEAD, OPTIONS"}
	allowHeaders = []string{"Range, If-None-Match, If-Range, Authorization"}
	preflightAge = []string{"86400"}
	acceptBytes  = []string{"bytes"}
	cacheShort   = []string{"public, max-age=1"}
	cachePrivate = []string{"private, max-age=1"}
	cacheForever = []string{"public, max-age=31536000, immutable"}
	cachePrivMed = []string{"private, max-age=31536000, immutable"}
	cacheNot     = []string{"no-store"}
	retrySoon    = []string{"1"}
)

const (
	// gatherTime is how long a multivariant playlist waits for a track that
	// was announced but sends nothing, once another one plays.
	gatherTime = 5 * time.Second
	// statusGone is counted where the client left while it waited.
	statusGone = 499
)

// exchange is one request and the answer to it.
type exchange struct {
	w     http.ResponseWriter
	r     *http.Request
	b     *broadcast
	query query
	kind  kind
	sent  int64 // bytes of the body
}

// ServeHTTP serves /live/{stream}/index.m3u8 and what it leads to.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchange{w: w, r: r}
	h := w.Header()
	h["Access-Control-Allow-Origin"] = anyOrigin
	h["Access-Control-Expose-Headers"] = exposed
	status := x.serve(s)
	s.metrics.count(x.kind, status, x.sent)
}

func (x *exchange) serve(s *Server) (status int) {
	switch x.r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		h := x.w.Header()
		h["Access-Control-Allow-Methods"] = methods
		h["Access-Control-Allow-Headers"] = allowHeaders
		h["Access-Control-Max-Age"] = preflightAge
		h["Allow"] = methods
		x.w.WriteHeader(http.StatusNoContent)
		return http.StatusNoContent
	default:
		x.w.Header()["Allow"] = methods
		return x.fail(http.StatusMethodNotAllowed, "only GET, HEAD and OPTIONS")
	}
	rest, ok := strings.CutPrefix(x.r.URL.Path, "/live/")
	name, file, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 {
		return x.fail(http.StatusNotFound, "not found")
	}
	if x.b = s.find(name); x.b == nil {
		return x.fail(http.StatusNotFound, "there is no such stream now")
	}
	if x.query, ok = parseQuery(x.r.URL.RawQuery); !ok {
		return x.fail(http.StatusBadRequest, "bad delivery directive or token")
	}
	if s.Authorize != nil {
		if status := x.authorize(s, name); status != 0 {
			return status
		}
	}
	return x.route(file)
}

func (x *exchange) authorize(s *Server, name string) int {
	req := &Request{
		Protocol: "hls", Remote: x.r.RemoteAddr, Name: name,
		Query: x.r.URL.Query(), Agent: x.r.UserAgent(),
	}
	req.Token = req.Query.Get("token")
	err := s.Authorize(x.r.Context(), req)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, access.ErrNotFound):
		return x.fail(http.StatusNotFound, err.Error())
	case errors.Is(err, access.ErrDenied):
		return x.fail(http.StatusForbidden, err.Error())
	}
	s.log().Warn("origin: cannot decide who may watch", "stream", name, "err", err)
	return x.fail(http.StatusForbidden, access.ErrDenied.Error())
}

// route serves a file of the stream.
func (x *exchange) route(file string) int {
	if file == "index.m3u8" {
		x.kind = kindMultivariant
		return x.multivariant()
	}
	id, leaf, _ := strings.Cut(file, "/")
	t := x.b.track(id)
	if t == nil {
		return x.fail(http.StatusNotFound, "there is no such track")
	}
	if leaf == "index.m3u8" {
		x.kind = kindPlaylist
		return x.playlist(t)
	}
	return x.media(t, file, leaf)
}

func (x *exchange) multivariant() int {
	if _, all := x.b.entry.Load().ready(x.b); !all {
		if status := x.gather(); status != 0 {
			return status
		}
	}
	e := x.b.entry.Load()
	e.fill(e.generation, func() []byte {
		now, _ := e.ready(x.b)
		return renderEntry(now)
	})
	return x.sendPlaylist(&e.rendering, cacheShort)
}

// gather waits until all tracks have something to play, or one has and the
// others take too long. It returns 0, or the status it answered.
func (x *exchange) gather() int {
	wait := x.b.srv.metrics.block()
	defer wait()
	some, none := time.NewTimer(gatherTime), time.NewTimer(3*2*defaultTarget)
	defer some.Stop()
	defer none.Stop()
	for patient := true; ; {
		e := x.b.entry.Load()
		now, all := e.ready(x.b)
		if all || len(now) > 0 && !patient {
			return 0
		}
		select {
		case <-e.stale:
		case <-some.C:
			patient = false
		case <-none.C:
			return x.unavailable()
		case <-x.r.Context().Done():
			return statusGone
		case <-x.b.gone.Done():
			return x.fail(http.StatusNotFound, "the stream is over")
		}
	}
}

func (x *exchange) playlist(t *track) int {
	x.b.viewers.saw(x.r, x.query.token)
	s, cache, status := t.now.Load(), cacheShort, 0
	if x.query.blocks {
		// A playlist that has ended ignores what it is asked to wait for.
		if !s.ended && s.absurd(x.query.msn, x.query.part) {
			return x.fail(http.StatusBadRequest, "_HLS_msn or _HLS_part is too far ahead")
		}
		if !s.ended && !s.has(x.query.msn, x.query.part) {
			s, status = x.await(t, func(s *snapshot) bool { return s.has(x.query.msn, x.query.part) })
		}
		cache = s.cache
	} else if !s.ready() {
		s, status = x.await(t, (*snapshot).ready)
	}
	if status != 0 {
		return status
	}
	return x.sendPlaylist(s.playlist(x.query.skip), cache)
}

// await waits for a state of t, or the end. It returns status 0, or the one it
// answered.
func (x *exchange) await(t *track, ok func(*snapshot) bool) (*snapshot, int) {
	wait := x.b.srv.metrics.block()
	defer wait()
	s := t.now.Load()
	timer := time.NewTimer(3 * time.Duration(s.target) * time.Second)
	defer timer.Stop()
	for !s.ended && !ok(s) {
		select {
		case <-s.stale:
			s = t.now.Load()
		case <-timer.C:
			return s, x.unavailable()
		case <-x.r.Context().Done():
			return s, statusGone
		case <-x.b.gone.Done():
			return s, x.fail(http.StatusNotFound, "the stream is over")
		}
	}
	return s, 0
}

func (x *exchange) sendPlaylist(p *rendering, cache []string) int {
	h := x.w.Header()
	body, etag, length := p.body, p.etag, p.length
	switch {
	case x.query.token != "":
		body, cache, length = withToken(body, x.query.token), cachePrivate, nil
		if acceptsGzip(x.r) {
			body, etag = compress(body), []string{gzipTag(etag[0])}
			h["Content-Encoding"] = encGzip
		}
	case acceptsGzip(x.r):
		p.zip()
		body, etag, length = p.gz, p.gzEtag, p.gzLength
		h["Content-Encoding"] = encGzip
	}
	h["Vary"] = varyEncoding
	h["Etag"] = etag
	h["Cache-Control"] = cache
	if matches(x.r, etag[0]) {
		delete(h, "Content-Encoding")
		x.w.WriteHeader(http.StatusNotModified)
		return http.StatusNotModified
	}
	h["Content-Type"] = typeM3U8
	if length != nil {
		h["Content-Length"] = length
	} else {
		setLength(h, int64(len(body)))
	}
	if x.r.Method == http.MethodHead {
		return http.StatusOK
	}
	n, _ := x.w.Write(body) // an error means that the player has left
	x.sent = int64(n)
	return http.StatusOK
}

// unavailable answers that what was waited for did not come in time.
func (x *exchange) unavailable() int {
	x.w.Header()["Retry-After"] = retrySoon
	return x.fail(http.StatusServiceUnavailable, "nothing new came in time")
}

// fail answers an error; it is never cached, since what is missing now may come.
func (x *exchange) fail(status int, text string) int {
	h := x.w.Header()
	h["Content-Type"] = typeText
	h["Cache-Control"] = cacheNot
	h["X-Content-Type-Options"] = noSniff
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		n, _ := x.w.Write([]byte(text + "\n"))
		x.sent = int64(n)
	}
	return status
}

// acceptsGzip reports whether the client takes gzip. Nobody weighs it against
// other codings here: there is no other.
func acceptsGzip(r *http.Request) bool {
	for _, v := range r.Header["Accept-Encoding"] {
		if i := strings.Index(v, "gzip"); i >= 0 {
			q := strings.ReplaceAll(strings.TrimPrefix(v[i:], "gzip"), " ", "")
			return !strings.HasPrefix(q, ";q=0") || strings.HasPrefix(q, ";q=0.")
		}
	}
	return false
}

func gzipTag(etag string) string { return etag[:len(etag)-1] + `z"` }

// matches reports whether the client has what it asks for already.
func matches(r *http.Request, etag string) bool {
	for _, v := range r.Header["If-None-Match"] {
		if v == "*" || strings.Contains(v, etag) {
			return true
		}
	}
	return false
}

var _ http.Handler = (*Server)(nil)
