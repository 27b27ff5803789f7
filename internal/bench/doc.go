// Bench measures Sluice beside nginx with its RTMP module, in one run on one
// machine, and prints a Markdown table for docs/BENCHMARKS.md. Run it with
// make bench.
//
// Both servers run as processes of their own on free ports of the loopback
// interface, one at a time, and are fed and drained by this program, whose work
// is in none of the figures: the processor time of a server is read from the
// kernel's accounts of its process. The figures themselves say little about
// other machines; their ratios say more.
//
// # How delay is measured
//
// The publisher writes the time into each frame just before it sends it: into
// an SEI message of a picture, behind the end of a sound frame. A player, or a
// client that fetches a part, finds it there. It is one process and one clock.
// When a frame reaches a player the kernel says, since the player's process may
// have to wait for the server's to sleep.
//
// # Caveats
//
// Most players only discard what they receive, in a process of low priority, so
// that they do not take the processor from the server. Still all share the
// machine: run nothing else beside it.
package main
