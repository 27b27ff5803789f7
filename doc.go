// Package sluice is the vocabulary of a live streaming platform: packets of
// media on one UTC clock, where they come from and where they go.
//
// Whatever comes in (an encoder over RTMP, a file, another server) is a Source
// of packets; everything else reads a Source. A Sink consumes one, a Transform
// wraps one in another, a Recorder keeps one and plays it again. A Stream fans
// the packets of one writer out to any number of readers, and a Pipeline joins
// the lot:
//
//	site := new(origin.Server) // an http.Handler: LL-HLS under /live/
//	srv := &ingest.Server{
//		RTMP: ":1935",
//		Broadcast: func(ctx context.Context, b *ingest.Broadcast) error { // once a broadcast
//			return sluice.Pipeline{
//				Source: b,
//				Sinks:  []sluice.Sink{site.Stream(b.Name)},
//			}.Run(ctx)
//		},
//	}
//	go func() { log.Fatal(http.ListenAndServe(":8080", site)) }()
//	log.Fatal(srv.Run(context.Background()))
//
// publishes what comes to rtmp://host/live/NAME as
// http://host:8080/live/NAME/index.m3u8. Callbacks become a Source with Pipe,
// functions a Sink or a Transform with SinkFunc and TransformFunc.
//
// # Segments
//
// Where media is cut is decided once, at the head of a stream, stamped on its
// packets and carried with them: Packet.Segment, Track.Era and Track.Maker.
// Packaging is a function of stamped packets alone, so every server that
// carries a stream makes the same segments under the same names. Segments is
// what such a server is asked for them.
//
// # Who may keep what
//
// A Packet is passed by value and its header is the receiver's. Its Data is
// everyone's: keep it as long as you like, never modify it. Tracks are
// immutable.
//
// # Caveats
//
// A Source has one reader, a Stream one writer. A reader with the Block policy
// holds up the writer, and with it everybody. A source whose first segment is
// to be packaged from its beginning says so with an announcement: a packet of
// that segment without Data, before the first with.
package sluice
