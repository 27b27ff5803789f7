// Package mpegts reads and writes MPEG transport streams (ISO/IEC 13818-1), as
// SRT and HTTP carry them.
//
//	r := mpegts.NewReader(conn, mpegts.Config{}) // a sluice.Source
//	w, err := mpegts.NewWriter(conn, tracks, broadcast.Started)
//	err = w.WritePacket(p)
//
// Both know H.264, H.265, AAC (in: ADTS and LATM, out: ADTS), Opus, MPEG audio
// layers II and III, and AC-3. The table in codecs.go is the only place that
// tells them apart.
//
// # Reading
//
// Packets are in the source's clock: 90 kHz, DTS and PTS as they came, 33 bits,
// not unwrapped. Every sound frame has a time of its own, counted in frames
// from the time stamp before it, and its duration in Dur. A new *Track is
// announced by a packet without Data. Video has ID 1, sound 2, further tracks
// go on from 3; a track keeps its ID when the program map changes.
//
// What is damaged is dropped whole, counted in [Stats], and said by Discont on
// the track's next packet: a PES packet of which a TS packet is missing, marked
// as damaged or out of step. Of a table, what fails its CRC is ignored.
//
// # Delay
//
// A PES packet that says its length is out with its last byte. Those of video
// mostly do not (FFmpeg, OBS): nothing but the next one's start proves their
// end, which costs the time of one frame. Multiplexers stuff a packet only at
// the end of a PES packet, however; once that has been seen to hold of a
// stream, stuffing is taken for the end, and the wait is over for all frames
// but those that fill their last packet (1 of 184). A stream that breaks the
// habit loses that frame, and is waited for from then on.
//
// # Why not a library
//
// go-astits and mediacommon around it read the program map once, wait for the
// first frame of tracks before they answer, know neither loss from the
// continuity counters nor duplicates, hold a unit until the next one even where
// its length is known, bound nothing, and allocate six times a TS packet.
//
// # Caveats
//
// Sixteen packets (or a multiple of it) lost in a row from one stream cannot be
// seen from its continuity counter, which has four bits; only PES packets with
// a length show it. A PES packet of video is taken for one access unit (or a pair
// of fields): one that is spread over several is not put together. Of several
// programs the first is read. Not read are streams with packets of 192 or 204
// bytes, E-AC-3, AAC whose channels are described inside its frames, and Opus of
// more than two channels; the language of a track is not told.
package mpegts
