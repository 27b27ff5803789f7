// Package origin serves live streams to players: low-latency HLS
// (draft-pantos-hls-rfc8216bis) that plain HLS players can watch under the same
// URL, and live packets for players of other protocols.
//
//	site := &origin.Server{}
//	defer site.Close()
//	go http.ListenAndServe(":8080", site) // /live/{stream}/index.m3u8
//	err := site.Stream("demo").Consume(ctx, src)
//
// # Basics
//
// A sink packages the stamped packets of a [sluice.Source] track by track and
// publishes what each packet completes before it reads the next one: a part can
// be fetched as soon as the packet of its last frame was read. Playlists are
// rendered when somebody first asks for a state, once for everybody, plain and
// compressed. Updates wake all who wait by closing one channel.
//
// Media lies in the heap only until it is written to the spool, a directory with
// one file for each segment of the live window. It is served from there by
// sendfile. Where the disk is full or too slow, up to 16 MB a stream are served
// from the heap instead, and the oldest is forgotten.
//
// What a packet does not say is not made up: numbers, eras and cuts come from
// the packets, so that all origins of a stream serve the same bytes under the
// same names.
//
// # Hints
//
// A preload hint names the part that comes next, foretold from where segments
// may be cut and from the cadence of key frames. Only where a segment ends on a
// key frame that nothing announced, right behind a full part, or on a new era,
// does a hint not come true: whoever waits for the part is answered 404 at once.
//
// # Caveats
//
// A blocking request is held for up to three target durations: an
// http.Server.WriteTimeout must be longer (24 s and more). Middleware that hides
// the io.ReaderFrom of the http.ResponseWriter costs sendfile.
//
// Segments are served for some time after they left the playlist, so the spool
// holds somewhat more than twice the window.
package origin
