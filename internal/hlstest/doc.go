// Package hlstest walks a live Low-Latency HLS presentation as a strict client
// would and reports whatever a player may stumble over.
//
// Walk follows every media playlist of a multivariant playlist at once, each
// with blocking reloads and a request for every preload hint, fetches every
// part and every segment, and holds what it gets against RFC 8216bis, against
// what the playlists said before, and against the time stamps in the media:
//
//	report, err := hlstest.Walk(ctx, http.DefaultClient, url, hlstest.Options{For: time.Minute})
//	if err != nil { … }          // the presentation could not be walked at all
//	fmt.Println(report)          // violations, then statistics
//
// It has its own playlist parser and shares no code with the origin, so that
// one mistake cannot hide another.
//
// Caveats: it reads one track per fMP4 media playlist; parts by byte range are
// reported, not followed. Latency compares the server's program date-time with
// the local clock. The grace time of removed segments is seen to its end only
// by walks longer than twice the window.
package hlstest
