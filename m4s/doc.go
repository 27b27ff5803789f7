// Package m4s carries packets between servers and processes: a valid CMAF
// stream with one chunk per packet, over HTTP, a pipe or a socket.
package m4s
