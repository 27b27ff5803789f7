// Package browser lets Go tests watch the example platform with a real
// browser: Debian's Chromium, driven by watch.mjs through playwright-core,
// which is a development dependency of ../web.
//
// Watch opens a page, observes its player for some seconds and returns what it
// saw: frames, delay, stalls, sizes, states, errors. It judges nothing.
//
// Where Chromium, Node.js or the site's node_modules are missing, the test is
// skipped with a word on what to install; with CI=true it fails instead, so
// that a check cannot get lost.
//
// The script serves on the command line too:
//
//	node watch.mjs http://127.0.0.1:8080/@demo --seconds 10 --screenshot out.png
package browser
