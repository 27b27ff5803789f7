package origin

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/cmaf"
)

// media serves a segment, a part or an init segment of t.
func (x *exchange) media(t *track, path, file string) int {
	name, err := cmaf.ParseName(path)
	switch {
	case err != nil:
		return x.fail(http.StatusNotFound, "not found")
	case name.Init != "":
		x.kind = kindInit
		data, ok := t.findInit(file)
		if !ok {
			return x.fail(http.StatusNotFound, "there is no such init segment")
		}
		return x.sendMedia(t, file, int64(len(data)), func(off, n int64) (int64, error) {
			sent, err := x.w.Write(data[off : off+n])
			return int64(sent), err
		})
	case name.Part >= 0:
		x.kind = kindPart
		return x.part(t, baseName(name), name.Part, file)
	}
	x.kind = kindSegment
	seg := t.now.Load().find(baseName(name))
	if seg == nil || !seg.closed || seg.body == nil {
		return x.fail(http.StatusNotFound, "there is no such segment now")
	}
	return x.sendBody(t, seg, 0, seg.Size, file)
}

// part serves a part, waiting for it if it is the next to come.
func (x *exchange) part(t *track, name string, index int, file string) int {
	s := t.now.Load()
	if s.awaits(name, index) {
		var status int
		if s, status = x.await(t, func(s *snapshot) bool { return !s.awaits(name, index) }); status != 0 {
			return status
		}
	}
	seg := s.find(name)
	if seg == nil || index >= len(seg.parts) {
		return x.fail(http.StatusNotFound, "there is no such part")
	}
	p := seg.parts[index]
	return x.sendBody(t, seg, p.off, p.size, file)
}

// sendBody serves size bytes of a segment from off.
func (x *exchange) sendBody(t *track, seg *segment, off, size int64, file string) int {
	r, err := seg.body.open(off, size)
	if err != nil {
		return x.fail(http.StatusNotFound, "there is no such segment now")
	}
	defer func() { _ = r.Close() }() // it was only read
	return x.sendMedia(t, file, size, func(from, n int64) (int64, error) {
		r.off, r.size = r.off+from, n
		return r.WriteTo(x.w)
	})
}

// sendMedia serves size bytes that never change, or a range of them.
func (x *exchange) sendMedia(t *track, file string, size int64, write func(off, n int64) (int64, error)) int {
	h := x.w.Header()
	etag := `"` + t.id + "/" + file + `"`
	h["Etag"] = []string{etag}
	h["Cache-Control"] = cacheForever
	if x.query.token != "" {
		h["Cache-Control"] = cachePrivMed
	}
	if matches(x.r, etag) {
		x.w.WriteHeader(http.StatusNotModified)
		return http.StatusNotModified
	}
	h["Accept-Ranges"] = acceptBytes
	off, n, status := int64(0), size, http.StatusOK
	if ranges := x.r.Header["Range"]; len(ranges) == 1 && rangeApplies(x.r, etag) {
		switch from, count, ok := parseRange(ranges[0], size); {
		case ok && count == 0:
			h["Content-Range"] = []string{"bytes */" + strconv.FormatInt(size, 10)}
			delete(h, "Etag")
			return x.fail(http.StatusRequestedRangeNotSatisfiable, "no such range")
		case ok:
			off, n, status = from, count, http.StatusPartialContent
			h["Content-Range"] = []string{contentRange(off, n, size)}
		}
	}
	h["Content-Type"] = typeAudio
	if t.kind == sluice.Video {
		h["Content-Type"] = typeVideo
	}
	setLength(h, n)
	x.w.WriteHeader(status)
	if x.r.Method == http.MethodHead {
		return status
	}
	// An error means that the client has left, or finds the body too short.
	x.sent, _ = write(off, n)
	return status
}

func setLength(h http.Header, n int64) { h["Content-Length"] = []string{strconv.FormatInt(n, 10)} }

func contentRange(off, n, size int64) string {
	b := append(make([]byte, 0, 64), "bytes "...)
	b = append(strconv.AppendInt(b, off, 10), '-')
	b = append(strconv.AppendInt(b, off+n-1, 10), '/')
	return string(strconv.AppendInt(b, size, 10))
}

// rangeApplies reports whether a range is of the bytes that the client knows.
func rangeApplies(r *http.Request, etag string) bool {
	v := r.Header.Get("If-Range")
	return v == "" || v == etag
}

// parseRange reads a Range of one part. What is not one is not ok, and ignored
// as RFC 9110 allows; n is 0 for one that lies outside.
func parseRange(s string, size int64) (off, n int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes=")
	first, last, dash := strings.Cut(strings.TrimSpace(s), "-")
	if !ok || !dash {
		return 0, 0, false
	}
	if first == "" {
		suffix, ok := parseNumber(last)
		n = min(int64(min(suffix, 1<<62)), size)
		return size - n, n, ok
	}
	from, ok := parseNumber(first)
	if !ok {
		return 0, 0, false
	}
	to := uint64(size) - 1
	if last != "" {
		if to, ok = parseNumber(last); !ok || to < from {
			return 0, 0, false
		}
		to = min(to, uint64(size)-1)
	}
	if from >= uint64(size) {
		return 0, 0, true
	}
	return int64(from), int64(to - from + 1), true
}
