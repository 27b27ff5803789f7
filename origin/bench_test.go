package origin

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sinkWriter is a ResponseWriter that throws away.
type sinkWriter struct{ h http.Header }

func (w *sinkWriter) Header() http.Header         { return w.h }
func (w *sinkWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *sinkWriter) WriteHeader(int)             {}

// BenchmarkPlaylist is the hit path without net/http.
func BenchmarkPlaylist(b *testing.B) {
	srv, _, _, _ := demo(b, 70*time.Second)
	for name, accept := range map[string]string{"plain": "", "gzip": "gzip"} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/live/demo/1/index.m3u8?_HLS_msn=441830764&_HLS_part=0", nil)
			r.Header.Set("Accept-Encoding", accept)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				w := &sinkWriter{h: http.Header{}}
				for pb.Next() {
					clear(w.h)
					srv.ServeHTTP(w, r)
				}
			})
		})
	}
}

// BenchmarkRender is what an update costs once somebody watches.
func BenchmarkRender(b *testing.B) {
	srv, _, _, _ := demo(b, 70*time.Second)
	s := srv.find("demo").track("1").now.Load()
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			s.render(0)
		}
	})
	text := s.render(0)
	b.Run("gzip", func(b *testing.B) {
		for b.Loop() {
			compress(text)
		}
	})
	b.Run("token", func(b *testing.B) {
		for b.Loop() {
			withToken(text, "0123456789abcdef")
		}
	})
}

// BenchmarkIngest is what a second of a stream that nobody watches costs.
func BenchmarkIngest(b *testing.B) {
	srv := &Server{Spool: b.TempDir()}
	v, a := newFeed(videoTrack(b, 7), epoch, 60), newFeed(audioTrack(b, 7), epoch, 1)
	v.size = 10_000 // 2.4 Mbit/s
	in := start(b, srv, "demo", v.track, a.track)
	in.send(v.announce(), a.announce())
	second := interleave(time.Second, v, a)
	b.ReportAllocs()
	for b.Loop() {
		in.send(second...)
		b.StopTimer()
		second = interleave(time.Second, v, a)
		b.StartTimer()
	}
	require.NoError(b, srv.Close())
}

// BenchmarkMedia serves over a network connection, as it is in production.
func BenchmarkMedia(b *testing.B) {
	srv := &Server{Spool: b.TempDir()}
	v := newFeed(videoTrack(b, 7), epoch, 60)
	v.size = 10_000
	in := start(b, srv, "demo", v.track)
	in.send(interleave(20*time.Second, v)...)
	in.settle()
	written(b, srv.find("demo").spool)
	web := httptest.NewServer(srv)
	defer func() { require.NoError(b, srv.Close()) }()
	defer web.Close()
	base := "/live/demo/1/"
	playlist := get(srv, base+"index.m3u8").Body.String()
	for name, uri := range map[string]string{
		"segment": uris(segmentLine, playlist)[0], "part": uris(partURI, playlist)[0], "playlist": "index.m3u8",
	} {
		b.Run(name, func(b *testing.B) {
			client := web.Client()
			client.Transport.(*http.Transport).DisableCompression = true
			b.ReportAllocs()
			for b.Loop() {
				res, err := client.Get(web.URL + base + uri)
				require.NoError(b, err)
				n, err := io.Copy(io.Discard, res.Body)
				require.NoError(b, err)
				res.Body.Close()
				b.SetBytes(n)
			}
		})
	}
}
