// Package srt speaks SRT in live mode: a Listener for publishers and players
// on one UDP port, and Dial for pushing. The protocol is
// draft-sharabayko-srt-01; handshake version 5, of libsrt 1.3 and later, is
// required, because only that carries a stream id.
//
// A Conn is an io.Reader and io.Writer of what the peers gave each other,
// packet by packet: here MPEG-TS. What is lost is asked for again until its
// time has come; what is still missing then is skipped and counted.
//
// # What is gosrt's and what is ours
//
// The coding of handshakes and key material and the cipher are those of
// datarhei/gosrt. Its connections are not used, for reasons found in v0.11.0
// that cannot be mended from outside:
//
//   - a malformed handshake panics; where it answers Dial, in a goroutine of
//     gosrt's own, which ends the process: whoever names a push target could;
//   - an acceptance that is lost is never said again, though the peer asks:
//     at 5 % loss one handshake in 20 fails, and the key stays taken;
//   - each failed Dial, and each closed connection that was dialled, leaves a
//     goroutine behind;
//   - a handshake with an MTU of 0 makes Accept allocate 4 GB;
//   - a goodbye discards what its receiver still holds back, the last of the
//     stream as long as the latency;
//   - the sender's clock is not followed: at 50 ppm a latency of 120 ms is used
//     up in 40 minutes, and nothing lost is recovered any more;
//   - reject codes from 1400 on are sent without the offset of 1000 that libsrt
//     adds to them, which then reports an unknown reason;
//   - each connection has three goroutines and a timer of 10 ms that sends an
//     acknowledgement whether or not anything came; the receive buffer of its
//     socket cannot be set; full queues lose packets.
//
// Here one goroutine reads a socket and another one ticks, whatever the number
// of connections, and a connection in which nothing happens sends one packet a
// second.
//
// # Caveats
//
// Live mode, message mode off or on alike, a packet is a message. No file mode,
// no rendezvous, no packet filter (FEC), no bonding.
//
// The receive buffer of a socket is as large as the system allows, which on
// Linux is net.core.rmem_max: raise it to 4 MiB where hundreds of Mbit/s come
// in.
package srt
