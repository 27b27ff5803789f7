package origin

import (
	"bytes"
	"compress/gzip"
	"strconv"
	"sync"
)

// rendering is one text in every form that goes out: made when somebody first
// asks for it, shared by all who do.
type rendering struct {
	once   sync.Once
	body   []byte
	etag   []string // header values are kept as slices, ready to be put into a header
	length []string

	gzOnce   sync.Once
	gz       []byte
	gzEtag   []string
	gzLength []string
}

// fill renders, once.
func (r *rendering) fill(etag string, render func() []byte) {
	r.once.Do(func() {
		r.body = render()
		r.etag = []string{`"` + etag + `"`}
		r.length = []string{strconv.Itoa(len(r.body))}
	})
}

// zip compresses, once; after fill.
func (r *rendering) zip() {
	r.gzOnce.Do(func() {
		r.gz = compress(r.body)
		r.gzEtag = []string{r.etag[0][:len(r.etag[0])-1] + `z"`}
		r.gzLength = []string{strconv.Itoa(len(r.gz))}
	})
}

var gzips = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

func compress(b []byte) []byte {
	w := gzips.Get().(*gzip.Writer)
	defer gzips.Put(w)
	out := bytes.NewBuffer(make([]byte, 0, len(b)/4+64))
	w.Reset(out)
	// A Buffer takes everything.
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

// playlist returns the media playlist, whole or as a delta update.
func (s *snapshot) playlist(delta bool) *rendering {
	if delta && s.skipped() > 0 {
		s.delta.fill(s.generation+"d", func() []byte { return s.render(s.skipped()) })
		return &s.delta
	}
	s.full.fill(s.generation, func() []byte { return s.render(0) })
	return &s.full
}

// length is how long the playlist lasts, in microseconds, parts included.
func (s *snapshot) length() (us int64) {
	for _, seg := range s.segs {
		us += segMicros(seg)
	}
	if s.open != nil {
		if n := len(s.open.parts); n > 0 {
			us += max(micros(s.open.Track, s.open.parts[n-1].end-s.open.Start), 0)
		}
	}
	return us
}

func segMicros(s *segment) int64 { return micros(s.Track, s.Start+s.Dur) - micros(s.Track, s.Start) }

// skipped is how many segments a delta update leaves out.
func (s *snapshot) skipped() int {
	if s.skipUntil == 0 {
		return 0
	}
	left := s.length()
	for i, seg := range s.segs {
		left -= segMicros(seg)
		if left < s.skipUntil*1_000_000 {
			return i
		}
	}
	return 0
}

// render writes the playlist without its first skip segments.
func (s *snapshot) render(skip int) []byte {
	b := make([]byte, 0, 1024+160*len(s.segs)+72*8*16)
	b = s.appendHeader(b)
	if skip > 0 {
		b = append(b, "#EXT-X-SKIP:SKIPPED-SEGMENTS="...)
		b = strconv.AppendInt(b, int64(skip), 10)
		b = append(b, '\n')
	}
	left := s.length()
	for i, seg := range s.segs {
		left -= segMicros(seg)
		if i < skip {
			continue
		}
		b = s.appendSegment(b, i, left < 3*s.target*1_000_000)
	}
	if s.open != nil && len(s.open.parts) > 0 {
		b = s.appendSegment(b, len(s.segs), true)
	}
	if s.hint != "" {
		b = append(b, `#EXT-X-PRELOAD-HINT:TYPE=PART,URI="`...)
		b = append(b, s.hint...)
		b = append(b, "\"\n"...)
	}
	if s.ended {
		return append(b, "#EXT-X-ENDLIST\n"...)
	}
	return append(b, s.reports...)
}

func (s *snapshot) appendHeader(b []byte) []byte {
	b = append(b, "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:"...)
	b = strconv.AppendInt(b, s.target, 10)
	if s.independent {
		b = append(b, "\n#EXT-X-INDEPENDENT-SEGMENTS"...)
	}
	b = append(b, "\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK="...)
	b = appendSeconds(b, 3*s.part)
	b = append(b, ",HOLD-BACK="...)
	b = strconv.AppendInt(b, 3*s.target, 10)
	if s.skipUntil > 0 {
		b = append(b, ",CAN-SKIP-UNTIL="...)
		b = strconv.AppendInt(b, s.skipUntil, 10)
	}
	b = append(b, "\n#EXT-X-PART-INF:PART-TARGET="...)
	b = appendSeconds(b, s.part)
	first := s.open
	if len(s.segs) > 0 {
		first = s.segs[0]
	}
	if first != nil {
		b = append(b, "\n#EXT-X-MEDIA-SEQUENCE:"...)
		b = strconv.AppendUint(b, first.Number, 10)
		b = append(b, "\n#EXT-X-DISCONTINUITY-SEQUENCE:"...)
		b = strconv.AppendUint(b, uint64(first.Track.Era), 10)
	}
	return append(b, '\n')
}

// appendSegment writes the i-th segment; the open one follows the last.
func (s *snapshot) appendSegment(b []byte, i int, parts bool) []byte {
	seg := s.open
	if i < len(s.segs) {
		seg = s.segs[i]
	}
	if i > 0 {
		b = append(b, seg.disc...)
	}
	if i == 0 || seg.disc != "" || seg.init != s.segs[i-1].init {
		b = append(b, `#EXT-X-MAP:URI="`...)
		b = append(b, seg.init...)
		b = append(b, "\"\n"...)
	}
	b = append(b, seg.date...)
	if parts {
		for _, p := range seg.parts {
			b = append(b, p.line...)
		}
	}
	return append(b, seg.tail...)
}

// withToken returns a playlist whose URIs carry a play key on.
func withToken(playlist []byte, token string) []byte {
	query := "?token=" + token
	out := make([]byte, 0, len(playlist)+len(playlist)/40*len(query))
	for line := range bytes.Lines(playlist) {
		end := uriEnd(line)
		out = append(out, line[:end]...)
		if end < len(line) {
			out = append(out, query...)
		}
		out = append(out, line[end:]...)
	}
	return out
}

// uriEnd returns where a line's URI ends, or the line's length if it has none.
func uriEnd(line []byte) int {
	if line[0] != '#' {
		return len(bytes.TrimRight(line, "\n"))
	}
	const attr = `URI="`
	at := bytes.Index(line, []byte(attr))
	if at < 0 {
		return len(line)
	}
	at += len(attr)
	if n := bytes.IndexByte(line[at:], '"'); n >= 0 {
		return at + n
	}
	return len(line)
}
