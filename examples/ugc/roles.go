package main

import (
	"fmt"
	"strings"
)

// roles are the parts of the platform that a process plays.
type roles struct{ ingest, transcode, origin bool }

// parseRoles reads --roles. All is everything; the ladder is made only where
// --ladder asks for it, or where transcode is named.
func parseRoles(list string, ladder bool) (r roles, err error) {
	for name := range strings.SplitSeq(list, ",") {
		switch strings.TrimSpace(name) {
		case "", "all":
			r.ingest, r.origin = true, true
		case "ingest":
			r.ingest = true
		case "transcode":
			r.transcode = true
		case "origin":
			r.origin = true
		default:
			return roles{}, fmt.Errorf("there is no role %q: --roles is all, or a list of ingest, transcode, origin", name)
		}
	}
	r.transcode = r.transcode || ladder
	return r, nil
}

// check says what a configuration lacks.
func (r roles) check(c config) error {
	switch {
	case r.ingest && !r.origin && c.Origin == "":
		return fmt.Errorf("nobody would get the broadcasts: give the origin server with --origin http://HOST:8080")
	case r.transcode && c.Transcoder != "":
		return fmt.Errorf("--transcoder names the server that transcodes, and this one is to do it itself")
	case !r.ingest && c.M4S == "":
		return fmt.Errorf("without the ingest role streams come over m4s: set --m4s-token")
	}
	return nil
}
