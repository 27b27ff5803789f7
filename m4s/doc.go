// Package m4s carries streams between servers and processes: a valid CMAF
// stream with one chunk per packet, over HTTP, a pipe or a socket. Any fMP4 tool
// reads it (ffprobe http://node/m4s/name), and whatever codec is in it goes
// through. docs/m4s.md specifies it well enough for another implementation.
//
//	mux.Handle("/m4s/{stream}", &m4s.Handler{Play: …, Publish: …, Authorize: tokens.Authorize})
//
// serves GET (pull) and POST (push). On the other side
//
//	src := &m4s.Pull{URL: "https://node/m4s/demo", Client: m4s.Client{Token: token}}  // a Source
//	sink := &m4s.Push{URL: "https://node/m4s/demo", Client: m4s.Client{Token: token}} // a Sink
//
// connect again when the link is cut and go on behind the last packet that has
// arrived, so that a cut of some seconds loses nothing that the sender's window
// still holds: of a Pull, the ring of the server's Stream; of a Push, its own.
// Requests for key frames travel upstream through both.
//
// # Without HTTP
//
// An [Encoder] is a Sink on an io.Writer, and [NewSource] makes a Source of an
// io.ReadCloser: the same bytes on a pipe, as between a server and its worker
// process.
//
// # Basics
//
// Encoding a packet allocates nothing, and its Data goes to the socket as it is.
// A Decoder's packets point into the buffer that was read into. Every reader of
// a stream has a Subscription of its own: the Stream's policies say what happens
// to slow ones, and no reader waits for another.
//
// # Caveats
//
// Over plain HTTP/1.1 a pull takes its connection over from the http.Server,
// whose Shutdown does not wait for it: call [Handler.Shutdown]. Delays are
// measured with the clocks of both machines. A Push whose link is down for longer
// than its window stops reading; what its source does then is up to the
// Subscription. A new start of the sending process begins a new numbering, so
// what came meanwhile is lost and marked Discont.
package m4s
