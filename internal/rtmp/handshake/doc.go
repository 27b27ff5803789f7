// Package handshake is the handshake of RTMP, in its simple form and in the
// one with digests that Flash Media Server brought and that ffmpeg and others
// ask for.
//
// [Server] answers each client in the client's form. Everything has a fixed
// size of 1,536 bytes; the caller bounds the time with a deadline.
//
// The handshakes of the RTMP libraries in Go were not taken: go-rtmp knows the
// simple form only and compares echoes that digest peers do not send;
// gortmplib has digests only for encrypted RTMPE, which nobody uses, and
// answers with time stamps of zero.
package handshake
