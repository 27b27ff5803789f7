// Package cmaf packages stamped packets as CMAF (ISO/IEC 23000-19): init
// segments, parts (chunks) and segments.
//
// Where segments are cut was decided when the packets were stamped. From there
// on everything here is a pure function: whoever packages the same packets makes
// the same bytes under the same names, from the first segment that they see
// the start of.
//
//	p := &cmaf.Packager{Out: out} // one per track
//	err := p.Write(pkt)           // … calls out as parts and segments get ready
//	err = p.Flush()               // at the end of the stream
//
// A part is one moof and its mdat; a segment is the concatenation of its parts.
// Fragments refer to nothing outside themselves, so a segment plays behind its
// init segment alone.
//
// # Basics
//
// A part is delivered from within Write of its last frame, because a packet's
// duration is known with it. Inside a part a sample lasts until the next one's
// decoding time; the last sample of a part has its packet's own duration.
//
// tfdt is the decoding time in ticks since the Unix epoch: 64 bits, no edit
// list, no offset.
//
// # Reading
//
// [ParseMovie] and [ParseChunk] read back what [Movie] and [AppendChunk] write,
// as package m4s does, and boxes of others where they say the same.
//
// # Caveats
//
// The sample entry is not looked into: any codec whose samples stand alone goes
// through. What a packet says must be sane; see [ErrPacket] for what is
// refused. A Packager is for one goroutine.
package cmaf
