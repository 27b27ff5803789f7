// Package rtmp is RTMP on one port for publishers and players, and as a client.
//
//	c, err := rtmp.Accept(ctx, nc, rtmp.Config{})   // up to "publish" or "play", not yet answered
//	if err := authorize(c.Request()); err != nil {
//		return c.Reject(err)                         // NetStream.Publish.Denied, with the reason
//	}
//	if c.Play() {
//		return fanout.Serve(ctx, c)                  // until the player leaves or the stream ends
//	}
//	pub, err := c.Publish(ctx)                       // NetStream.Publish.Start; a sluice.Source
//
// A [Publisher] yields packets in its encoder's own clock: Timescale 1000, DTS
// the 32-bit RTMP time stamp as it came, 0 to 2^32-1. Unwrapping it and putting
// it on UTC is the business of the timeline in package ingest.
//
// A [Fanout] plays a stream to any number of players, or publishes it to any
// number of servers: a packet's chunks are cut
// once, kept from the newest key frame on, and written by a few goroutines with
// vectored writes. See fanout.go.
//
// # Enhanced RTMP
//
// Versions 1 and 2 (veovera.org), both ways. Coming in: HEVC, AV1, VP9, VP8,
// Opus, AC-3, and H.264, AAC and MP3 in their extended form; tracks of a kind
// beside each other in every layout. Their IDs last: trackId n is 2n+1 for video
// and 2n+2 for sound, so that a stream without several has 1 and 2. The offset
// of a time stamp in nanoseconds, colour information and the layout of channels
// are skipped; a stream configured as in MPEG-2 TS is refused, and so is a codec
// that is not carried, by name.
//
// Going out, a player has one track of each kind: the largest picture of those
// in H.264, which every player takes, or else the largest. A player that lists
// codecs when it connects (fourCcList, videoFourCcInfoMap, audioFourCcInfoMap),
// and not the stream's, is told NetStream.Play.Failed, at the start or when the
// stream changes. One that lists nothing is sent whatever there is (MediaMTX
// leaves such tracks out): FFmpeg, mpv and VLC play HEVC and AV1 without a
// word of it. A [Client] goes by what the server lists in the same way, and sends all
// tracks if Config.Multitrack asks for it and the server's capsEx says that it
// takes them.
//
// # What is ours and what is not
//
// The chunk layer, the connection's state machine, AMF0 and the handshake are
// our own (see the packages below this one). The chunk layer of go-rtmp does not
// read extended time stamps on type 3 chunks, so that a stream dies after 4.66
// hours; its connection has one refusal for everything. gortmplib says
// Publish.Start before a key can be checked, refuses chunk streams above 63 and
// AMF3 commands. Neither cuts a packet once for many players. What remained of
// use in them, AMF0 and the handshake, either allocates by length fields from
// outside or knows half of the handshakes in use. Both serve as independent
// peers in the tests.
//
// # Adding a codec
//
// One entry in the table in codecs.go: its FourCC for Enhanced RTMP, its legacy
// ID if it has one, the functions that make a track of its configuration or of
// its frames and back, and the one that tells its key frames. Nothing else
// switches on a codec.
//
// # Caveats
//
// One message stream a connection. RTMPE is refused, RTMPS is a tls.Conn given
// to [Accept]. To have the vectored writes a player's connection must be the bare
// *net.TCPConn; over TLS each player has a goroutine.
//
// A CRA picture of H.265 is held until the next one tells whether pictures lead
// it, which makes it no key frame: one frame's delay. A stream with none but
// such has one key frame, its first.
package rtmp
