// Command ugc is the platform, in one process or in several: creators go live
// over RTMP or SRT, viewers watch in the browser, in HLS players and over RTMP
// or SRT, with --ladder each in the rendition that their line can take.
//
//	make run
//
// or go run ./examples/ugc --open, where pkg-config finds FFmpeg 7.1 (make setup
// puts it into ~/.cache/sluice/ffmpeg/lib/pkgconfig), or with CGO_ENABLED=0 and
// no transcoding.
//
// Each flag is also an environment variable: --http is UGC_HTTP. It stops
// gracefully on SIGTERM and SIGINT: broadcasts are ended properly and players
// get what is left.
package main
