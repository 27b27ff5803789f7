package srt

import (
	"fmt"
	"net/url"
	"strings"
)

// maxStreamID is SRT's bound, in bytes.
const maxStreamID = 512

// streamID is what a caller asks for.
type streamID struct {
	name  string // key or stream
	play  bool
	query url.Values // never nil
}

// parseStreamID reads a stream id, plain or in the standard form
// (https://github.com/Haivision/srt/blob/master/docs/features/access-control.md).
//
// Plain: KEY and publish:KEY publish; request:STREAM, read:STREAM and
// play:STREAM play. Standard: #!::r=NAME,m=publish or m=request, which is the
// default, and further keys; they and what follows a ? in a name are in query.
// Escapes of URLs, such as %3A, are undone: ffmpeg does not do it.
func parseStreamID(s string) (streamID, error) {
	if len(s) > maxStreamID {
		return streamID{}, fmt.Errorf("srt: stream id of %d bytes: %w", len(s), &RejectError{CodeBadRequest})
	}
	if plain, err := url.PathUnescape(s); err == nil {
		s = plain
	}
	id := streamID{query: url.Values{}}
	if rest, ok := strings.CutPrefix(s, "#!::"); ok {
		if err := id.standard(rest); err != nil {
			return streamID{}, err
		}
	} else {
		id.plain(s)
	}
	if name, query, ok := strings.Cut(id.name, "?"); ok {
		id.name = name
		more, err := url.ParseQuery(query)
		if err != nil {
			return streamID{}, fmt.Errorf("srt: what follows ? in the stream id is no query: %w", &RejectError{CodeBadRequest})
		}
		for k, v := range more {
			id.query[k] = append(id.query[k], v...)
		}
	}
	if id.name == "" {
		return streamID{}, fmt.Errorf("srt: the stream id names no stream: "+
			"set it to publish:KEY or to #!::m=publish,r=KEY: %w", &RejectError{CodeBadRequest})
	}
	return id, nil
}

func (id *streamID) plain(s string) {
	id.name = s
	verb, name, ok := strings.Cut(s, ":")
	if !ok {
		return
	}
	switch verb {
	case "publish":
		id.name = name
	case "request", "read", "play":
		id.name, id.play = name, true
	}
}

func (id *streamID) standard(s string) error {
	mode := "request"
	for pair := range strings.SplitSeq(s, ",") {
		key, value, _ := strings.Cut(pair, "=")
		switch key {
		case "":
		case "r":
			id.name = value
		case "m":
			mode = value
		case "t":
			if value != "stream" {
				return fmt.Errorf("srt: the stream id asks for t=%.16q: %w", value, &RejectError{CodeUnsupported})
			}
		default:
			id.query.Add(key, value)
		}
	}
	switch mode {
	case "publish":
	case "request":
		id.play = true
	default:
		return fmt.Errorf("srt: the stream id asks for m=%.16q; there is publish and request: %w", mode, &RejectError{CodeBadMode})
	}
	return nil
}
