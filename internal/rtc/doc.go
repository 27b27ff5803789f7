// Package rtc takes media in, and sends it, over WebRTC with the signalling of
// WHIP (RFC 9725), on pion.
//
// A [Server] has one UDP and one TCP port for all its sessions. It answers an
// SDP offer, parsed and checked by [ParseOffer], with a [Session], which is a
// sluice.Source of whole access units: H.264, VP8, VP9, AV1 and Opus. [WHIP]
// is the HTTP side. [Dial] is the other end: it sends tracks to a WHIP
// endpoint.
//
// # Packets to access units
//
// RTP packets go through a reorder buffer that asks for what is missing
// (NACK) for as long as Config.Patience. A frame of which a packet stays
// missing is dropped, and so is everything up to the next key frame, which is
// asked for (PLI, or FIR where the peer knows only that). Nothing waits where
// nothing is missing.
//
// # Clock
//
// All tracks of a session count 90 kHz on one scale that begins at 0 with its
// first packet; there is no wrap. A track is placed by the arrival of its first
// packet. Sender reports then say where it belongs: the first report of a
// session leaves its track where it is, and the others are put beside it. A
// correction of up to 100 ms is slewed by 5 ms a second, a larger one is made at
// once, and one beyond 5 s is not believed. DTS never goes back. PTS is DTS:
// WebRTC has no B-frames. Browsers send pictures at irregular times, so each
// is held until the next one has come, and carries its exact duration.
//
// # Tracks
//
// The picture is track 1, the sound track 2. Further pictures are 11, 12 …,
// further sounds 21, 22 …. The layers of simulcast are pictures of their own:
// the largest is track 1, the others follow by size, as they are within two
// seconds of the first frame; media up to then is dropped. Layers are encoded
// apart: their key frames do not fall together, and nothing here says so.
//
// # To add a codec
//
// Write its unpacker in a file of its own and enter it in the table in
// codecs.go. Nothing else tells codecs apart.
//
// # Caveats
//
// VP9 and AV1 with spatial layers are passed on as one frame that holds them
// all; not every decoder shows the largest. H.264 comes in packetization modes
// 0 and 1. A change of parameter sets is taken from the access unit that has
// an SPS, which must hold all the sets then in use.
package rtc
