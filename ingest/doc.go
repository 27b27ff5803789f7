// Package ingest takes broadcasts in: it listens for encoders, checks their
// keys, and turns what they send into a Source on one clean timeline.
//
// A [Server] listens. For each broadcast it calls its Broadcast function once,
// with a [Broadcast] to read from, however often the encoder drops and comes
// back within the grace time. The packets of a Broadcast are stamped with UTC
// times, with the segments they belong to, and with eras; package sluice says
// what these mean. Nobody downstream decides them again.
//
// # The timeline
//
// A connection's clock is anchored at the arrival of its first packet, and
// keeps the source's own cadence from there. It is anchored anew, in a new era,
// only when the source's clock jumps on all its tracks or another connection
// comes. Drift is followed by at most 100 ppm. Wraps of 24, 32 and 33 bits,
// backward time stamps, missing and doubled audio are mended and counted, see
// [Repairs]. Time stamps in milliseconds are put back on the cadence they were
// rounded from.
//
// # Encoders that come, go and stall
//
// A broadcast has one active connection and up to two that wait: a newcomer
// under [Takeover] for its first key frame, spares under [Standby] for the
// active one to bring nothing. They are read meanwhile, and their newest group
// of pictures is kept, so that the hole is as small as can be. Each change is a
// new era.
//
// While nobody's media comes, a [Slate] is shown: a clip as it is, fed into the
// timeline at the pace of time and in eras of its own. It begins where the
// encoder's media ended, so viewers miss nothing. Players need to be able to
// take another size and another frame rate, as they need for another encoder; a
// transcode.Ladder that is Steady hides even that.
//
// The grace time counts from when the last connection went, also while the slate
// plays; Broadcast.End ends it at once.
//
// # Multistreaming
//
// [Push] makes a [Target] of a URL: a Sink that sends its stream to another
// server over RTMP(S), SRT, WHIP or m4s, and tries again for ever. [Targets] is a
// set of them, changed while the stream runs. A target that is slow, silent or
// gone harms neither the stream nor another target: it has a ring to read from,
// is moved to the newest key frame when it lags, and is counted. While the
// encoder is away its connection stays; after a change of encoder it goes on
// with new parameters, and time stamps that count from the broadcast's start.
//
// What RTMP targets send alike is cut into chunks once per Targets. A Target
// that is a Sink of its own in a Pipeline works as well, and costs half as much
// again: for many, use Targets.
//
// # Caveats
//
// A stream's segment numbers go on where its last broadcast ended. That needs
// a durable [Positions], such as [Dir]; without one they begin anew with each
// process, at a number made of the time of day.
//
// The first packets of a connection are held until its tracks and its frame
// rate are known: six frames as a rule, two seconds at most.
//
// What an encoder sends between the slate's beginning and its own next key frame
// is lost: it is to send one each two seconds. A broadcast whose reader stops
// reading makes no decisions meanwhile; its publishers wait too.
//
// A broadcast that follows another of its name begins when the Broadcast
// function has returned for that one, or after 15 s.
//
// A target's URL makes this machine connect there, and so may its server by
// redirecting: let only those name targets who may reach what it reaches.
//
// WebRTC carries no B-frames. A WHIP target takes a rendition without; of a
// stream that has none it is refused.
package ingest
