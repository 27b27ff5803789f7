package web

import (
	"embed"
	"io/fs"
	"net/http"
	"regexp"
	"strings"
)

//go:embed static
var static embed.FS

// policy lets the pages load nothing from elsewhere. Inline styles are those
// of the player controls' shadow roots; blob: is Media Source Extensions.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; worker-src 'self' blob:; " +
	"font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"

const (
	forever    = "public, max-age=31536000, immutable"
	revalidate = "no-cache"
)

var watchPath = regexp.MustCompile(`^/@[a-z0-9][a-z0-9_-]{0,63}$`)

// Handler serves the site: the documents of /, /creator and /@{stream}, /assets/, the
// icon and robots.txt. Every other path is answered with 404 and a page.
func Handler() http.Handler {
	return handler(static)
}

// Built reports whether the site was there when the program was compiled.
func Built() bool {
	_, err := fs.Stat(static, "static/dist/index.html")
	return err == nil
}

func handler(fsys fs.FS) http.Handler {
	s := &site{files: load(fsys, "static/dist")}
	if s.files["/index.html"] == nil {
		s.unbuilt = load(fsys, "static")["/unbuilt.html"]
	}
	return s
}

// site answers from a table that never changes.
type site struct {
	files   map[string]*file
	unbuilt *file // set when there is nothing else
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	if s.unbuilt != nil {
		h.Set("Cache-Control", "no-store")
		s.unbuilt.serve(w, r, http.StatusServiceUnavailable)
		return
	}
	f, status := s.find(r.URL.Path)
	if f == nil {
		http.NotFound(w, r)
		return
	}
	h.Set("Cache-Control", revalidate)
	if strings.HasPrefix(r.URL.Path, "/assets/") && status == http.StatusOK {
		h.Set("Cache-Control", forever)
	}
	if f.html {
		h.Set("Content-Security-Policy", policy)
	}
	f.serve(w, r, status)
}

// find returns the file of a path and the status it goes out with.
func (s *site) find(path string) (*file, int) {
	switch {
	case path == "/":
		return s.files["/index.html"], http.StatusOK
	case path == "/creator":
		return s.files["/creator.html"], http.StatusOK
	case watchPath.MatchString(path):
		return s.files["/watch.html"], http.StatusOK
	case path == "/favicon.ico":
		return s.files["/favicon.svg"], http.StatusOK
	}
	if f := s.files[path]; f != nil && !f.html {
		return f, http.StatusOK
	}
	return s.files["/404.html"], http.StatusNotFound
}
