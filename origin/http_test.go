package origin

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/access"
)

// get asks the server without a network.
func get(srv http.Handler, url string, headers ...string) *httptest.ResponseRecorder {
	return do(srv, http.MethodGet, url, headers...)
}

func do(srv http.Handler, method, url string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	srv.ServeHTTP(w, r)
	return w
}

// demo is a server with some seconds of video and audio under the name demo.
func demo(t testing.TB, d time.Duration) (*Server, *broadcasting, *feed, *feed) {
	srv := &Server{Spool: t.TempDir()}
	v, a := newFeed(videoTrack(t, 7), epoch, 60), newFeed(audioTrack(t, 7), epoch, 1)
	b := start(t, srv, "demo", v.track, a.track)
	b.send(interleave(d, v, a)...)
	b.settle()
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	return srv, b, v, a
}

var (
	segmentLine = regexp.MustCompile(`(?m)^\d+\.\d+-\d+\.m4s$`)
	partURI     = regexp.MustCompile(`#EXT-X-PART:.*URI="([^"]+)"`)
	hintURI     = regexp.MustCompile(`#EXT-X-PRELOAD-HINT:TYPE=PART,URI="([^"]+)"`)
	mapURI      = regexp.MustCompile(`#EXT-X-MAP:URI="([^"]+)"`)
)

func uris(re *regexp.Regexp, playlist string) (all []string) {
	for _, m := range re.FindAllStringSubmatch(playlist, -1) {
		all = append(all, m[len(m)-1])
	}
	return all
}

func TestMultivariant(t *testing.T) {
	srv, _, _, _ := demo(t, 10*time.Second)
	w := get(srv, "/live/demo/index.m3u8")
	require.Equal(t, 200, w.Code)
	rates := regexp.MustCompile(`BANDWIDTH=\d+`)
	assert.Equal(t, `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio0",NAME="Audio",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="2/index.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=N,AVERAGE-BANDWIDTH=N,CODECS="avc1.4d401f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=30.000,AUDIO="audio0"
1/index.m3u8
`, rates.ReplaceAllString(w.Body.String(), "BANDWIDTH=N"))
}

func TestMultivariantOfOneKind(t *testing.T) {
	srv := &Server{Spool: t.TempDir()}
	defer srv.Close()
	v, a := newFeed(videoTrack(t, 1), epoch, 60), newFeed(audioTrack(t, 1), epoch, 1)
	picture, sound := start(t, srv, "picture", v.track), start(t, srv, "sound", a.track)
	picture.send(interleave(5*time.Second, v)...)
	picture.settle()
	sound.send(interleave(5*time.Second, a)...)
	sound.settle()
	assert.NotContains(t, get(srv, "/live/picture/index.m3u8").Body.String(), "AUDIO")
	w := get(srv, "/live/sound/index.m3u8").Body.String()
	assert.Contains(t, w, `CODECS="mp4a.40.2"`+"\n2/index.m3u8\n")
	assert.NotContains(t, w, "RESOLUTION")
}

func TestPartsMakeUpTheSegment(t *testing.T) {
	srv, _, _, _ := demo(t, 20*time.Second)
	for _, track := range []string{"1", "2"} {
		base := "/live/demo/" + track + "/"
		playlist := get(srv, base+"index.m3u8").Body.String()
		parts := map[string][]byte{}
		for _, uri := range uris(partURI, playlist) {
			w := get(srv, base+uri)
			require.Equal(t, 200, w.Code, uri)
			name, _, _ := strings.Cut(uri[strings.Index(uri, "-"):], ".")
			parts[name] = append(parts[name], w.Body.Bytes()...)
		}
		segments := uris(segmentLine, playlist)
		require.NotEmpty(t, segments)
		for _, uri := range segments {
			w := get(srv, base+uri)
			require.Equal(t, 200, w.Code, uri)
			name, _, _ := strings.Cut(uri[strings.Index(uri, "-"):], ".")
			assert.True(t, bytes.Equal(parts[name], w.Body.Bytes()), "parts of %s", uri)
		}
		w := get(srv, base+uris(mapURI, playlist)[0])
		require.Equal(t, 200, w.Code)
		assert.Equal(t, "ftyp", w.Body.String()[4:8])
	}
}

func TestPlaylistForms(t *testing.T) {
	srv, _, _, _ := demo(t, 20*time.Second)
	const url = "/live/demo/1/index.m3u8"
	plain := get(srv, url)
	assert.Equal(t, "application/vnd.apple.mpegurl", plain.Header().Get("Content-Type"))
	assert.Equal(t, "public, max-age=1", plain.Header().Get("Cache-Control"))
	assert.Equal(t, fmt.Sprint(plain.Body.Len()), plain.Header().Get("Content-Length"))
	zipped := get(srv, url, "Accept-Encoding", "br, gzip;q=0.8")
	require.Equal(t, "gzip", zipped.Header().Get("Content-Encoding"))
	assert.NotEqual(t, plain.Header().Get("Etag"), zipped.Header().Get("Etag"))
	z, err := gzip.NewReader(zipped.Body)
	require.NoError(t, err)
	text, err := io.ReadAll(z)
	require.NoError(t, err)
	assert.Equal(t, plain.Body.String(), string(text))
	assert.Empty(t, get(srv, url, "Accept-Encoding", "gzip;q=0").Header().Get("Content-Encoding"))
	for _, accept := range []string{"", "gzip"} {
		etag := get(srv, url, "Accept-Encoding", accept).Header().Get("Etag")
		same := get(srv, url, "Accept-Encoding", accept, "If-None-Match", etag)
		assert.Equal(t, 304, same.Code)
		assert.Empty(t, same.Body.Bytes())
	}
	head := do(srv, "HEAD", url)
	assert.Empty(t, head.Body.Bytes())
	assert.Equal(t, plain.Header(), head.Header())
}

func TestMethodsAndOrigins(t *testing.T) {
	srv, _, _, _ := demo(t, time.Second)
	w := do(srv, "OPTIONS", "/live/demo/index.m3u8")
	assert.Equal(t, 204, w.Code)
	assert.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"))
	w = do(srv, "POST", "/live/demo/index.m3u8")
	assert.Equal(t, 405, w.Code)
	assert.Equal(t, "GET, HEAD, OPTIONS", w.Header().Get("Allow"))
	for _, path := range []string{
		"/", "/live/", "/live/demo", "/live/demo/", "/live/other/index.m3u8", "/live/demo/3/index.m3u8", "/live/demo/1/",
		"/live/demo/1/7.0-1.m4s", "/live/demo/1/7.0-1.0.m4s", "/live/demo/1/init-0123456789abcdef.mp4", "/live/demo/1/../1/index.m3u8",
	} {
		w := get(srv, path)
		assert.Equal(t, 404, w.Code, path)
		assert.Equal(t, "no-store", w.Header().Get("Cache-Control"), path)
	}
}

func TestRanges(t *testing.T) {
	srv, _, _, _ := demo(t, 12*time.Second)
	url := "/live/demo/1/" + uris(segmentLine, get(srv, "/live/demo/1/index.m3u8").Body.String())[0]
	whole := get(srv, url)
	require.Equal(t, 200, whole.Code)
	assert.Equal(t, "video/mp4", whole.Header().Get("Content-Type"))
	assert.Equal(t, "public, max-age=31536000, immutable", whole.Header().Get("Cache-Control"))
	body := whole.Body.Bytes()
	size := len(body)
	for value, want := range map[string]struct {
		status, from, to int
	}{
		"bytes=0-0":                        {206, 0, 1},
		"bytes=10-99":                      {206, 10, 100},
		"bytes=100-":                       {206, 100, size},
		"bytes=-7":                         {206, size - 7, size},
		"bytes=-999999999":                 {206, 0, size},
		"bytes=5-999999999":                {206, 5, size},
		fmt.Sprintf("bytes=%d-", size):     {416, 0, 0},
		"bytes=-0":                         {416, 0, 0},
		"bytes=9-3":                        {200, 0, size},
		"bytes=0-1,5-6":                    {200, 0, size},
		"lines=1-2":                        {200, 0, size},
		"bytes=99999999999999999999999999": {200, 0, size},
	} {
		w := get(srv, url, "Range", value)
		require.Equal(t, want.status, w.Code, value)
		switch want.status {
		case 416:
			assert.Equal(t, fmt.Sprintf("bytes */%d", size), w.Header().Get("Content-Range"), value)
			continue
		case 206:
			assert.Equal(t, fmt.Sprintf("bytes %d-%d/%d", want.from, want.to-1, size), w.Header().Get("Content-Range"))
		}
		assert.True(t, bytes.Equal(body[want.from:want.to], w.Body.Bytes()), value)
	}
	etag := whole.Header().Get("Etag")
	assert.Equal(t, 304, get(srv, url, "If-None-Match", etag).Code)
	assert.Equal(t, 206, get(srv, url, "Range", "bytes=0-1", "If-Range", etag).Code)
	assert.Equal(t, 200, get(srv, url, "Range", "bytes=0-1", "If-Range", `"other"`).Code)
}

func TestTokenIsCarriedOn(t *testing.T) {
	srv, _, _, _ := demo(t, 12*time.Second)
	var asked []string
	srv.Authorize = func(_ context.Context, r *Request) error {
		asked = append(asked, r.Name+" "+r.Token)
		switch r.Token {
		case "k/1 &\"":
			return nil
		case "gone":
			return fmt.Errorf("nothing here: %w", access.ErrNotFound)
		}
		return fmt.Errorf("who are you: %w", access.ErrDenied)
	}
	const escaped = "?token=k%2F1+%26%22"
	w := get(srv, "/live/demo/index.m3u8"+escaped)
	require.Equal(t, 200, w.Code)
	assert.Equal(t, "private, max-age=1", w.Header().Get("Cache-Control"))
	assert.Contains(t, w.Body.String(), "\n1/index.m3u8"+escaped+"\n")
	assert.Contains(t, w.Body.String(), `URI="2/index.m3u8`+escaped+`"`)
	w = get(srv, "/live/demo/1/index.m3u8"+escaped)
	plain := regexp.MustCompile(regexp.QuoteMeta(escaped)).ReplaceAllString(w.Body.String(), "")
	for line := range strings.Lines(w.Body.String()) {
		if strings.Contains(line, ".m") {
			assert.Contains(t, line, escaped)
		}
	}
	seg := uris(segmentLine, plain)[0]
	assert.Equal(t, 200, get(srv, "/live/demo/1/"+seg+escaped).Code)
	assert.Equal(t, 403, get(srv, "/live/demo/1/"+seg).Code)
	assert.Equal(t, 404, get(srv, "/live/demo/index.m3u8?token=gone").Code)
	assert.Contains(t, get(srv, "/live/demo/index.m3u8?token=x").Body.String(), "who are you")
	assert.Equal(t, []string{"demo k/1 &\"", "demo k/1 &\"", "demo k/1 &\"", "demo ", "demo gone", "demo x"}, asked)
	srv.Authorize = nil
	assert.Equal(t, plain, get(srv, "/live/demo/1/index.m3u8").Body.String())
}

func TestPlayAndLive(t *testing.T) {
	srv, b, v, _ := demo(t, time.Second)
	stream, err := srv.Play(t.Context(), &Request{Name: "demo"})
	require.NoError(t, err)
	assert.Contains(t, stream.Tracks(), v.track)
	_, err = srv.Play(t.Context(), &Request{Name: "other"})
	require.ErrorIs(t, err, access.ErrNotFound)
	live := srv.Live()
	require.Len(t, live, 1)
	assert.Equal(t, "demo", live[0].Name)
	assert.Equal(t, TrackInfo{ID: 1, Kind: v.track.Kind, Codec: "avc1.4d401f", Width: 1280, Height: 720, FrameRate: 30}, live[0].Tracks[0])
	srv.Authorize = func(context.Context, *Request) error { return access.ErrDenied }
	_, err = srv.Play(t.Context(), &Request{Name: "demo"})
	require.ErrorIs(t, err, access.ErrDenied)
	require.NoError(t, b.end(nil))
	assert.Empty(t, srv.Live())
	assert.True(t, stream.Ended())
}

func TestViewersAreEstimated(t *testing.T) {
	var v viewers
	for i := range 3000 {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = fmt.Sprintf("10.0.%d.%d:%d", i/250, i%250, 1024+i)
		v.saw(r, "")
		v.saw(r, "")
	}
	assert.InEpsilon(t, 3000, v.count(), 0.05)
}

func TestCollector(t *testing.T) {
	srv, _, _, _ := demo(t, 5*time.Second)
	get(srv, "/live/demo/1/index.m3u8")
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(srv.Collector()))
	families, err := reg.Gather()
	require.NoError(t, err)
	found := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += "," + l.GetValue()
			}
			found[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	assert.Equal(t, 1.0, found["sluice_origin_requests_total,playlist,200"])
	assert.Equal(t, 1.0, found["sluice_origin_streams"])
	assert.Greater(t, found["sluice_origin_parts_total"], 30.0)
	assert.Greater(t, found["sluice_origin_response_bytes_total,playlist"], 500.0)
}
