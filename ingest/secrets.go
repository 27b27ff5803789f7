package ingest

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

const masked = "***"

// mask returns the URL without what is secret in it.
func (t *Target) mask() string {
	u, err := url.Parse(t.URL)
	if err != nil || u.Host == "" {
		return masked
	}
	if u.User != nil {
		u.User = url.User(masked)
	}
	path := strings.Split(strings.TrimSuffix(u.Path, "/"), "/")
	for i := range path {
		if isKey(u, path, i) {
			path[i] = masked
		}
	}
	u.Path, u.RawPath = strings.Join(path, "/"), ""
	q := u.Query()
	for _, values := range q {
		for i := range values {
			values[i] = masked
		}
	}
	u.RawQuery, u.Fragment = q.Encode(), ""
	// Nobody has to read the escapes of what stands for a secret.
	return strings.ReplaceAll(u.String(), url.QueryEscape(masked), masked)
}

// longestWord is the length of the longest element of a path that is a word, as
// "endpoint" and "publish" are, and no key.
const longestWord = 8

// isKey reports whether an element of the path may be a key: the last one, and
// with WHIP others, as in https://host/KEY/webRTC/publish. With m4s it is a name.
func isKey(u *url.URL, path []string, i int) bool {
	switch {
	case path[i] == "" || isM4S(u):
		return false
	case i == len(path)-1:
		return true
	}
	return len(path[i]) > longestWord && u.Scheme != "rtmp" && u.Scheme != "rtmps"
}

// shortSecret is the length of what is too short for a secret; taken out of a
// text it would leave nothing to read.
const shortSecret = 3

// secrets returns what may not be told, the longest first.
func (t *Target) secrets() []string {
	all := []string{t.Token}
	add := func(s string) {
		all = append(all, s)
		// SRT stream ids: publish:KEY, #!::m=publish,r=KEY.
		if i := strings.LastIndexAny(s, ":="); i >= 0 {
			all = append(all, s[i+1:])
		}
	}
	if u, err := url.Parse(t.URL); err == nil {
		for _, text := range []string{u.Path, u.EscapedPath()} {
			path := strings.Split(strings.TrimSuffix(text, "/"), "/")
			for i := range path {
				if isKey(u, path, i) {
					add(path[i])
				}
			}
		}
		for _, values := range u.Query() {
			for _, v := range values {
				add(v)
				add(url.QueryEscape(v))
			}
		}
		if u.User != nil {
			password, _ := u.User.Password()
			all = append(all, u.User.Username(), password)
		}
	}
	all = slices.DeleteFunc(all, func(s string) bool { return len(s) <= shortSecret })
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return all
}

// scrub takes the key out of a text that comes from elsewhere.
func (t *Target) scrub(text string) string {
	for _, s := range t.secrets() {
		text = strings.ReplaceAll(text, s, masked)
	}
	return text
}
