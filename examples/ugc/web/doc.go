// Package web is the web site of the example platform: the page of live
// channels at /, the watch page at /@{stream}, and their assets.
//
// The sources are plain JavaScript and CSS built by Vite into static/dist,
// which is embedded. That directory is not committed: build.sh (run by `make
// setup`) makes it, and does nothing when it is up to date. A binary compiled
// without it serves a page that says so, with status 503.
//
// Assets have a hash in their name and are cached for ever; documents are
// revalidated by ETag. Both are held in memory, with the brotli and gzip forms
// made at build time.
//
// To change a page: edit src, run build.sh, compile. `npm run dev` serves the
// sources with live reload and passes /api and /live on to a running server.
// `npm test` runs the unit tests of the player's logic.
package web
