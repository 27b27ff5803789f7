package origin

import (
	"net/url"
	"strings"
)

// query is what a URL asks for beside its path.
type query struct {
	blocks bool
	msn    uint64
	part   int // -1: the whole segment
	skip   bool
	token  string // escaped again, ready to be put into a URL
}

// maxToken bounds a play key; signed ones have some hundred characters.
const maxToken = 2048

// parseQuery reads the delivery directives and the play key.
func parseQuery(raw string) (q query, ok bool) {
	q.part = -1
	if raw == "" {
		return q, true
	}
	hasPart := false
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		key, value, _ := strings.Cut(pair, "=")
		switch key {
		case "_HLS_msn":
			n, ok := parseNumber(value)
			if !ok {
				return query{}, false
			}
			q.msn, q.blocks = n, true
		case "_HLS_part":
			n, ok := parseNumber(value)
			if !ok || n > 1<<30 {
				return query{}, false
			}
			q.part, hasPart = int(n), true
		case "_HLS_skip":
			q.skip = value == "YES" || value == "v2"
		case "token":
			token, err := url.QueryUnescape(value)
			if err != nil || len(token) > maxToken {
				return query{}, false
			}
			q.token = url.QueryEscape(token)
		}
	}
	return q, q.blocks || !hasPart
}

// parseNumber reads a decimal number as playlists write it.
func parseNumber(s string) (n uint64, ok bool) {
	if s == "" || len(s) > 19 { // 19 digits fit
		return 0, false
	}
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + uint64(d)
	}
	return n, true
}
