// Package access says who asks for what, in terms that every protocol shares.
// The servers of ingest and origin hand a Request to their callbacks; both
// export it under their own name.
package access

import (
	"errors"
	"net/url"
)

// Errors that a callback answers a Request with. The text of an error that
// wraps one of them is told to the peer.
var (
	// ErrDenied refuses: the key or token is not known or not good for this.
	ErrDenied = errors.New("access denied")
	// ErrBusy refuses a publisher: the stream has one already.
	ErrBusy = errors.New("stream is already being published")
	// ErrNotFound refuses a player: there is no such stream now.
	ErrNotFound = errors.New("stream not found")
)

// Request is one wish to publish or to play.
type Request struct {
	Protocol string     // "rtmp", "rtmps", "srt", "webrtc", "hls", …
	Remote   string     // address of the peer, host:port
	Name     string     // the key when publishing, the stream's name when playing
	Token    string     // play key, from ?token=
	Query    url.Values // what else the URL carried; never nil
	Agent    string     // what the peer says it is: flashVer, User-Agent
}
