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
// ID if it has one, and the functions that make a track of its configuration
// and back. Nothing else switches on a codec.
//
// # Caveats
//
// One message stream a connection; one video and one audio track. RTMPE is
// refused, RTMPS is a tls.Conn given to [Accept]. To have the vectored writes a
// player's connection must be the bare *net.TCPConn.
package rtmp
