package main

import (
	"errors"
	"fmt"
	"net/url"
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
	case c.M4S == "" && (c.Transcoder != "" || c.Origin != "" && !r.origin):
		return fmt.Errorf("the other server takes streams with its token only: set --m4s-token, the same as there")
	}
	return errors.Join(checkServer("--origin", c.Origin), checkServer("--transcoder", c.Transcoder))
}

// checkServer says what is wrong with a flag that names another server.
func checkServer(flag, server string) error {
	if server == "" {
		return nil
	}
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%s is no URL of a server: write it as http://HOST:8080", flag)
	}
	return nil
}
