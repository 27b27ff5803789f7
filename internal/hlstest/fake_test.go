package hlstest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

// fake is a small LL-HLS server over fakeTracks. It does everything right but
// for the one fault it is given.
type fake struct {
	fault   string
	first   uint64 // cell the stream began in
	eraCell uint64
	gapCell uint64
	window  float64
	target  float64 // part target
	ends    time.Time
	// foretell: hints know where a segment ends.
	foretell bool

	mu     sync.Mutex // guards the tracks' caches and gaps
	tracks map[string]*fakeTrack
	gaps   int // requests for what a gap lacks
}

// newFake makes a stream that is 19 cells old; era and gap come soon, and the
// discontinuity before them leaves the window early in a walk.
func newFake(fault string, perVideoPart int64) *fake {
	now := uint64(time.Now().Unix()) / cellSeconds
	f := &fake{fault: fault, first: now - 19, eraCell: now + 2, gapCell: now + 4, window: 68, target: 0.26}
	f.tracks = map[string]*fakeTrack{
		"1": {f: f, id: 1, video: true, timescale: 90000, frame: 3600, perPart: perVideoPart},
		"2": {f: f, id: 2, timescale: 48000, frame: 1024, perPart: 12},
	}
	if perVideoPart == 10 { // 100 frames a segment: the last part is a full one
		f.target = 0.42
		f.tracks["2"].perPart = 19
	}
	for _, t := range f.tracks {
		t.cache = map[string][]byte{}
	}
	return f
}

func (f *fake) is(fault string) bool { return f.fault == fault }

// RoundTrip serves without a network, so that tests can run on fake time.
func (f *fake) RoundTrip(req *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	f.ServeHTTP(rec, req)
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	resp := rec.Result()
	if req.Method == http.MethodHead && !f.is("head") {
		resp.Body = http.NoBody
	}
	return resp, nil
}

func (f *fake) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !f.is("cors") {
		w.Header().Set("Access-Control-Allow-Origin", "*")
	}
	dir, file := path.Split(req.URL.Path)
	switch {
	case file == "index.m3u8":
		f.text(w, req, f.multivariant())
	case strings.HasSuffix(file, ".m3u8"):
		f.media(w, req, f.tracks[strings.TrimSuffix(file, ".m3u8")])
	default:
		f.file(w, req, f.tracks[path.Base(dir)], file)
	}
}

func (f *fake) multivariant() string {
	codecs, bandwidth, group := "avc1.42c01e,mp4a.40.2", 100000, "a"
	switch f.fault {
	case "codecs":
		codecs = "avc1.640028,mp4a.40.2"
	case "bandwidth":
		bandwidth = 1000
	case "multivariant":
		group = "b"
	}
	return fmt.Sprintf("#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-INDEPENDENT-SEGMENTS\n"+
		"#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"main\",DEFAULT=YES,AUTOSELECT=YES,URI=\"2.m3u8\"\n"+
		"#EXT-X-STREAM-INF:BANDWIDTH=%d,CODECS=\"%s\",RESOLUTION=640x360,AUDIO=\"%s\"\n1.m3u8\n", bandwidth, codecs, group)
}

// text answers with a playlist.
func (f *fake) text(w http.ResponseWriter, req *http.Request, body string) {
	h := w.Header()
	h.Set("Content-Type", "application/vnd.apple.mpegurl")
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	sum := fnv.New64()
	_, _ = sum.Write([]byte(body))
	h.Set("Etag", fmt.Sprintf(`"%x"`, sum.Sum64()))
	f.spoil(h)
	if tag := h.Get("Etag"); tag != "" && req.Header.Get("If-None-Match") == tag && !f.is("etag-ignored") {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	data := []byte(body)
	if req.Header.Get("Accept-Encoding") == "gzip" && !f.is("gzip") {
		h.Set("Content-Encoding", "gzip")
		var b bytes.Buffer
		zw, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		must(err)
		_, _ = zw.Write(data)
		_ = zw.Close()
		data = b.Bytes()
	}
	if _, err := w.Write(data); err != nil {
		panic(err)
	}
}

func (f *fake) spoil(h http.Header) {
	switch f.fault {
	case "content-type":
		h.Set("Content-Type", "text/plain")
	case "etag":
		h.Del("Etag")
	case "cache-control":
		h.Del("Cache-Control")
	case "cache-playlist":
		h.Set("Cache-Control", "max-age=60")
	}
}

// media answers with a media playlist, blocking as asked.
func (f *fake) media(w http.ResponseWriter, req *http.Request, t *fakeTrack) {
	q := req.URL.Query()
	msn, err1 := strconv.ParseUint(q.Get("_HLS_msn"), 10, 64)
	part, err2 := strconv.ParseUint(q.Get("_HLS_part"), 10, 64)
	bad := q.Has("_HLS_msn") && err1 != nil || q.Has("_HLS_part") && (err2 != nil || !q.Has("_HLS_msn"))
	newest := uint64(time.Now().Unix()) / cellSeconds
	if (bad || q.Has("_HLS_msn") && msn > newest+2 || part > 1000) && !f.is("bad-request") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	delay := time.Duration(0)
	switch {
	case f.is("plain-blocks") && !q.Has("_HLS_msn"):
		delay = 5 * time.Second
	case f.is("blocking-long"):
		delay = 30 * time.Second
	}
	until(req, time.Now().Add(delay))
	if q.Has("_HLS_msn") && !f.is("blocking") && (!f.is("blocking-whole") || q.Has("_HLS_part")) {
		if !q.Has("_HLS_part") {
			until(req, f.last(t.closed(t.cut(msn))))
		} else {
			until(req, f.last(t.ready(msn, part)))
		}
	}
	at := time.Now()
	if f.is("stale") && !q.Has("_HLS_msn") {
		at = at.Add(-3 * time.Second)
	}
	skip := q.Get("_HLS_skip") == "YES" && !f.is("delta-ignored") || f.is("skip-unasked")
	f.text(w, req, f.render(t, at, skip))
}

// until waits for a time, on the test's fake clock.
func until(req *http.Request, at time.Time) {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-req.Context().Done():
	}
}

// last is at, or when the stream ends if that is before.
func (f *fake) last(at time.Time) time.Time {
	if !f.ends.IsZero() && at.After(f.ends) {
		return f.ends
	}
	return at
}

// file answers with media: what is there, and what is hinted once it is.
func (f *fake) file(w http.ResponseWriter, req *http.Request, t *fakeTrack, file string) {
	h := w.Header()
	h.Set("Content-Type", "video/mp4")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Etag", `"`+file+`"`)
	f.spoil(h)
	if f.is("range") {
		req.Header.Del("Range")
	}
	if f.is("etag-ignored") {
		req.Header.Del("If-None-Match")
	}
	if strings.HasPrefix(file, "init") {
		body := t.init()
		if f.is("map-broken") {
			body = body[:len(body)/2]
		}
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(body))
		return
	}
	var era, number uint64
	part := -1
	if n, _ := fmt.Sscanf(file, "%d.0-%d.%d.m4s", &era, &number, &part); n < 2 || number < f.first || t == nil {
		if !f.is("not-found") {
			w.WriteHeader(http.StatusNotFound)
		}
		return
	}
	body := f.body(req, t, number, part, era)
	if body == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(body))
}

// body waits for a part that is next and returns its bytes; nil when there is
// none.
func (f *fake) body(req *http.Request, t *fakeTrack, number uint64, part int, era uint64) []byte {
	c := t.cut(number)
	if c.gap {
		f.mu.Lock()
		if time.Now().After(t.closed(c).Add(time.Second)) {
			f.gaps++
		}
		f.mu.Unlock()
	}
	there := t.closed(c)
	if parts := t.parts(c); part >= 0 && part < len(parts) {
		there = t.ready(number, uint64(part))
	}
	early := time.Now().Before(there)
	if early && f.is("hint-404") {
		return nil
	}
	until(req, f.last(there))
	if time.Now().Before(there) {
		return nil
	}
	switch {
	case f.is("hint-hangs") && part >= len(t.parts(c)):
		until(req, time.Now().Add(time.Hour))
		return nil
	case f.is("hint-phantom") && part >= len(t.parts(c)):
		return []byte("phantom")
	case c.gap, c.era != era, part >= len(t.parts(c)):
		return nil
	case f.is("removed") && number < f.list(t, time.Now()).MediaSequence,
		f.is("removed-parts") && part >= 0 && time.Since(t.closed(c)) > 25*time.Second:
		return nil
	}
	f.mu.Lock()
	body := bytes.Clone(t.bytes(c, part))
	f.mu.Unlock()
	if early && f.is("hint-bytes") || part < 0 && f.is("byte-exact") {
		body[len(body)-1]++
	}
	return body
}
