package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func built() fstest.MapFS {
	text := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	return fstest.MapFS{
		"static/unbuilt.html":            text("run make setup"),
		"static/dist/index.html":         text("the channels"),
		"static/dist/watch.html":         text("the player"),
		"static/dist/creator.html":       text("the studio"),
		"static/dist/404.html":           text("nothing here"),
		"static/dist/favicon.svg":        text("<svg/>"),
		"static/dist/robots.txt":         text("User-agent: *"),
		"static/dist/assets/a-1f.js":     text("plain"),
		"static/dist/assets/a-1f.js.br":  text("brotli"),
		"static/dist/assets/a-1f.js.gz":  text("gzip"),
		"static/dist/assets/style-2.css": text("css"),
	}
}

func get(h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPaths(t *testing.T) {
	h := handler(built())
	for _, c := range []struct {
		path, body, contentType string
		status                  int
	}{
		{"/", "the channels", "text/html; charset=utf-8", 200},
		{"/@demo", "the player", "text/html; charset=utf-8", 200},
		{"/@a_b-9", "the player", "text/html; charset=utf-8", 200},
		{"/creator", "the studio", "text/html; charset=utf-8", 200},
		{"/creator.html", "nothing here", "text/html; charset=utf-8", 404},
		{"/@Demo", "nothing here", "text/html; charset=utf-8", 404},
		{"/@-demo", "nothing here", "text/html; charset=utf-8", 404},
		{"/@demo/x", "nothing here", "text/html; charset=utf-8", 404},
		{"/watch.html", "nothing here", "text/html; charset=utf-8", 404},
		{"/assets/gone.js", "nothing here", "text/html; charset=utf-8", 404},
		{"/assets/../unbuilt.html", "nothing here", "text/html; charset=utf-8", 404},
		{"/favicon.svg", "<svg/>", "image/svg+xml", 200},
		{"/favicon.ico", "<svg/>", "image/svg+xml", 200},
		{"/robots.txt", "User-agent: *", "text/plain; charset=utf-8", 200},
		{"/assets/style-2.css", "css", "text/css; charset=utf-8", 200},
	} {
		t.Run(c.path, func(t *testing.T) {
			w := get(h, c.path)
			assert.Equal(t, c.status, w.Code)
			assert.Equal(t, c.body, w.Body.String())
			assert.Equal(t, c.contentType, w.Header().Get("Content-Type"))
		})
	}
}

func TestCaching(t *testing.T) {
	h := handler(built())
	asset := get(h, "/assets/a-1f.js")
	assert.Equal(t, forever, asset.Header().Get("Cache-Control"))
	assert.Equal(t, revalidate, get(h, "/assets/gone.js").Header().Get("Cache-Control"))

	page := get(h, "/@demo")
	assert.Equal(t, revalidate, page.Header().Get("Cache-Control"))
	etag := page.Header().Get("ETag")
	require.NotEmpty(t, etag)
	again := get(h, "/@demo", "If-None-Match", etag)
	assert.Equal(t, http.StatusNotModified, again.Code)
	assert.Empty(t, again.Body.String())
	assert.Equal(t, http.StatusOK, get(h, "/", "If-None-Match", etag).Code)
}

func TestEncodings(t *testing.T) {
	h := handler(built())
	tags := map[string]bool{}
	for accept, want := range map[string]string{
		"":                        "plain",
		"gzip, deflate, br, zstd": "brotli",
		"gzip;q=1.0":              "gzip",
		"br;q=0, gzip":            "gzip",
		"br; q=0.000":             "plain",
		"BR":                      "brotli",
		"deflate":                 "plain",
	} {
		w := get(h, "/assets/a-1f.js", "Accept-Encoding", accept)
		assert.Equal(t, want, w.Body.String(), "Accept-Encoding: %q", accept)
		assert.Equal(t, "Accept-Encoding", w.Header().Get("Vary"))
		assert.Equal(t, "text/javascript; charset=utf-8", w.Header().Get("Content-Type"))
		tags[w.Header().Get("ETag")] = true
	}
	assert.Len(t, tags, 3, "each form has its own ETag")
}

func TestOnlyDocumentsCarryThePolicy(t *testing.T) {
	h := handler(built())
	assert.Contains(t, get(h, "/").Header().Get("Content-Security-Policy"), "default-src 'none'")
	assert.Contains(t, get(h, "/nowhere").Header().Get("Content-Security-Policy"), "default-src 'none'")
	assert.Empty(t, get(h, "/assets/a-1f.js").Header().Get("Content-Security-Policy"))
}

func TestMethods(t *testing.T) {
	h := handler(built())
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
	assert.Equal(t, "GET, HEAD", w.Header().Get("Allow"))

	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodHead, "/nowhere", nil))
	assert.Equal(t, http.StatusNotFound, w.Code)
	assert.Empty(t, w.Body.String())
}

func TestAnUnbuiltSiteSaysWhatToDo(t *testing.T) {
	h := handler(fstest.MapFS{"static/unbuilt.html": &fstest.MapFile{Data: []byte("run make setup")}})
	for _, path := range []string{"/", "/@demo", "/assets/a.js"} {
		w := get(h, path)
		assert.Equal(t, http.StatusServiceUnavailable, w.Code)
		assert.Equal(t, "run make setup", w.Body.String())
		assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	}
}

// The real thing, in whichever state it was compiled.
func TestHandler(t *testing.T) {
	w := get(Handler(), "/")
	if !Built() {
		assert.Equal(t, http.StatusServiceUnavailable, w.Code)
		assert.Contains(t, w.Body.String(), "make setup")
		return
	}
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Contains(t, w.Body.String(), "/assets/")
}

func ExampleHandler() {
	server := httptest.NewServer(Handler())
	defer server.Close()
	response, err := http.Get(server.URL + "/robots.txt")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	fmt.Println(response.StatusCode == http.StatusOK == Built())
	// Output: true
}
