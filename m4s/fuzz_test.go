package m4s

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

// seeds are short: what the engine finds interesting it makes smaller bit by
// bit.
func seeds(t testing.TB) map[string][]byte {
	a := sluicetest.Audio(1)
	p := frame(a, 0, 5)
	mark := p
	mark.Data, mark.Key = nil, false
	bent := p
	bent.PTS -= 7
	bent.Key, bent.Discont = false, true
	next := *a
	next.Era++
	other := frame(&next, 2, 0)
	one := encode(t, p)
	return map[string][]byte{
		"packet":        one,
		"mark":          encode(t, mark),
		"offset":        encode(t, bent),
		"changed-track": encode(t, p, other),
		"error":         append(bytes.Clone(one[:len(one)-ownHeader-6]), appendEnd(nil, endError, "text")...),
		"foreign":       append([]byte("\x00\x00\x00\x10prftabcdefgh\x00\x00\x00\x0cuuid1234"), one...),
		"beat":          append(appendBeat(nil, 1, 2), appendEnd(nil, endRetry, "")...),
	}
}

// Whatever can be decoded comes out the same when it is encoded again. The
// seeds are in testdata; SLUICE_SEEDS=1 writes them anew.
func FuzzDecode(f *testing.F) {
	if os.Getenv("SLUICE_SEEDS") != "" {
		dir := filepath.Join("testdata", "fuzz", "FuzzDecode")
		require.NoError(f, os.MkdirAll(dir, 0o755))
		for name, wire := range seeds(f) {
			text := fmt.Sprintf("go test fuzz v1\n[]byte(%q)\n", wire)
			require.NoError(f, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
		}
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		first, _ := decode(bytes.NewReader(wire))
		if len(first) == 0 {
			return
		}
		again, err := decode(bytes.NewReader(encode(t, first...)))
		require.NoError(t, err)
		requireSame(t, first, again)
	})
}

// What a server says moves nothing but what it may.
func FuzzControlLine(f *testing.F) {
	for _, s := range []string{"next 3", "next 18446744073709551615", "next x", "key 1", "done", "fail because", "retry", "later 1", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := &Push{}
		r := &pushRun{p: p, window: new(sluice.Stream)}
		for _, pkt := range sluicetest.Packets(1)[:5] {
			require.NoError(t, r.window.Write(t.Context(), pkt))
		}
		r.keep = r.window.Subscribe(sluice.Subscription{Slow: sluice.Block, Resume: true})
		defer func() { r.keep.Close() }()
		done, err := r.line(s)
		require.False(t, done && err != nil)
		require.LessOrEqual(t, r.keep.Next(), uint64(5))
	})
}

// No request makes a Handler panic or answer with 500.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "demo?from=1&to=2", "1", "2")
	f.Add("POST", "demo?key=1", "", "")
	f.Add("HEAD", "demo", "00ff", "9")
	f.Add("PUT", "%2e", "", "")
	s := newSite()
	s.Publish = nil
	s.stream("demo").End(nil)
	f.Fuzz(func(t *testing.T, method, path, stream, next string) {
		r, err := http.NewRequest(method, "http://host/m4s/"+path, strings.NewReader(""))
		if err != nil {
			return
		}
		r.Header = http.Header{HeaderStream: {stream}, HeaderNext: {next}}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		require.NotEqual(t, http.StatusInternalServerError, w.Code)
	})
}
