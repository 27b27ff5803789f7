package sluice

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// ErrLagged is returned by a subscription with the Fail policy whose reader
// was overtaken by the ring of its Stream.
var ErrLagged = errors.New("sluice: reader is too slow for the stream")

// Packet is one access unit (video) or one coded frame (audio), passed by
// value. The header is the receiver's own; Data is everyone's: keep it, never
// modify it.
//
// H.264 and H.265 are length-prefixed (ISO/IEC 14496-15 sample form, four-byte
// lengths), AV1 is a temporal unit of OBUs, AAC and MP3 are one raw frame.
type Packet struct {
	Track *Track
	// DTS and PTS count ticks of Track.Timescale since the Unix epoch (UTC).
	DTS, PTS int64
	// Dur is the packet's duration in ticks, known when the packet is.
	Dur int64
	// Segment is the number of the segment the packet belongs to. A larger one
	// than its track's last opens a segment, which starts at the packet's PTS.
	Segment uint64
	// Key says that a decoder may start here.
	Key bool
	// Discont says that something is missing before this packet.
	Discont bool
	// Data is nil for a watermark ("nothing on this track before DTS") and for
	// the announcement of a new Track.
	Data []byte
}

// Source yields the packets of one or more tracks to one reader goroutine.
// DTS are ordered per track. At the end ReadPacket returns a bare io.EOF, and
// goes on returning it.
type Source interface {
	// Tracks returns the tracks known now. What it returns changes only inside
	// ReadPacket. The caller must not modify the slice.
	Tracks() []*Track
	// ReadPacket blocks until there is a packet, the end, or ctx is done (then
	// it returns ctx's error and the Source remains usable).
	ReadPacket(ctx context.Context) (Packet, error)
	// Close releases the Source and what it wraps. It is idempotent and may be
	// called while another goroutine is in ReadPacket, which then returns.
	Close() error
}

// Sink consumes a Source until its end (nil), an error, or the end of ctx
// (ctx's error). It never closes src.
type Sink interface {
	Consume(ctx context.Context, src Source) error
}

// Transform wraps a Source in another, as an io.Reader wraps another.
// Closing the result closes src. When it fails, src remains the caller's.
type Transform interface {
	Transform(ctx context.Context, src Source) (Source, error)
}

// Recorder is a Sink that keeps what it consumed and can play it again. The
// Source returned by Replay ends at to, with the packets of each track from
// the start of the segment that holds from.
type Recorder interface {
	Sink
	Replay(ctx context.Context, from, to time.Time) (Source, error)
}

// Segment describes one segment of one track. Start and Dur are in ticks of
// Track.Timescale, Start since the Unix epoch; a segment lasts until the start
// of the next one of its era.
type Segment struct {
	Track  *Track
	Number uint64
	Start  int64
	Dur    int64
	// Size is the number of bytes of the segment's media, 0 for a gap.
	Size int64
	// Independent says that the segment begins with a key frame.
	Independent bool
	// Gap says that the segment holds no media: an interval for which nothing
	// arrived.
	Gap bool
}

// Segments is what an origin serves from: a live window, an archive, a cache,
// another server. It is safe for concurrent use.
type Segments interface {
	// List yields the segments that overlap [from, to), ordered by number
	// within a track.
	List(ctx context.Context, from, to time.Time) iter.Seq2[Segment, error]
	// Open returns the bytes of a segment, of which it needs the track's ID,
	// Era and Maker, and the Number only. A segment that is not there is
	// fs.ErrNotExist.
	Open(ctx context.Context, s Segment) (io.ReadSeekCloser, error)
}

// KeyRequester is implemented by sources that can ask their encoder for a key
// frame.
type KeyRequester interface {
	// RequestKey reports whether the request went anywhere.
	RequestKey(track uint32) bool
}

// RequestKey asks upstream for a key frame on a track, looking through
// wrappers that have an Unwrap() Source method. It reports whether some source
// took the request.
func RequestKey(src Source, track uint32) bool {
	for src != nil {
		if r, ok := src.(KeyRequester); ok {
			return r.RequestKey(track)
		}
		w, ok := src.(interface{ Unwrap() Source })
		if !ok {
			return false
		}
		src = w.Unwrap()
	}
	return false
}
