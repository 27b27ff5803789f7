package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

// The types that the site consists of. They are not asked of the system, whose
// tables differ.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8",
	".json": "application/json",
}

// encodings are the forms made at build time, best first: the name in HTTP and
// the ending of the file.
var encodings = []struct{ name, ext string }{{"br", ".br"}, {"gzip", ".gz"}}

// file is one built file in all its forms.
type file struct {
	contentType string
	html        bool
	plain       form
	packed      []form // in the order of encodings
}

// form is one encoding of a file.
type form struct {
	encoding string
	etag     string
	data     []byte
}

// load reads the files below dir, keyed by their path as in a URL. A directory
// that is not there is an empty site.
func load(fsys fs.FS, dir string) map[string]*file {
	files := make(map[string]*file)
	// A failure to read an embedded file cannot happen; of a directory that is
	// absent, nothing is the right thing to serve.
	_ = fs.WalkDir(fsys, dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || packedForm(name) {
			return err
		}
		f, err := read(fsys, name)
		if err == nil {
			files[strings.TrimPrefix(name, dir)] = f
		}
		return err
	})
	return files
}

func packedForm(name string) bool {
	return strings.HasSuffix(name, ".br") || strings.HasSuffix(name, ".gz")
}

func read(fsys fs.FS, name string) (*file, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	ext := path.Ext(name)
	f := &file{contentType: types[ext], html: ext == ".html", plain: newForm("", data)}
	if f.contentType == "" {
		f.contentType = mime.TypeByExtension(ext)
	}
	for _, e := range encodings {
		if packed, err := fs.ReadFile(fsys, name+e.ext); err == nil {
			f.packed = append(f.packed, newForm(e.name, packed))
		}
	}
	return f, nil
}

func newForm(encoding string, data []byte) form {
	sum := sha256.Sum256(data)
	return form{encoding: encoding, etag: `"` + hex.EncodeToString(sum[:12]) + `"`, data: data}
}

// choose returns the smallest form that the client takes.
func (f *file) choose(accept string) form {
	for _, p := range f.packed {
		if accepts(accept, p.encoding) {
			return p
		}
	}
	return f.plain
}

// accepts reports whether an Accept-Encoding header names an encoding without
// refusing it by q=0.
func accepts(header, encoding string) bool {
	for item := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(item), ";")
		if !strings.EqualFold(strings.TrimSpace(name), encoding) {
			continue
		}
		q := strings.TrimPrefix(strings.ReplaceAll(params, " ", ""), "q=")
		return q == "" || strings.Trim(q, "0.") != ""
	}
	return false
}

func (f *file) serve(w http.ResponseWriter, r *http.Request, status int) {
	form := f.choose(r.Header.Get("Accept-Encoding"))
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	if len(f.packed) > 0 {
		h.Set("Vary", "Accept-Encoding")
	}
	if form.encoding != "" {
		h.Set("Content-Encoding", form.encoding)
	}
	if status != http.StatusOK {
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			_, _ = w.Write(form.data) // the client is gone: nobody is left to tell
		}
		return
	}
	h.Set("ETag", form.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(form.data))
}
