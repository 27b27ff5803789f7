// Command ugc is the platform in one process: creators go live over RTMP,
// viewers watch in the browser, in HLS players and over RTMP.
//
//	go run ./examples/ugc --open
//
// Each flag is also an environment variable: --http is UGC_HTTP. It stops
// gracefully on SIGTERM and SIGINT: broadcasts are ended properly and players
// get what is left.
package main
