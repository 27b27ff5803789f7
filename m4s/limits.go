package m4s

import (
	"errors"

	"github.com/sluice-live/sluice/internal/access"
	"github.com/sluice-live/sluice/internal/cmaf"
)

// Errors to match with errors.Is.
var (
	// ErrFormat is wrapped by a Decoder's errors about bytes that are not an
	// m4s stream, or break its Limits.
	ErrFormat = errors.New("not a valid m4s stream")
	// ErrTrack and ErrPacket are wrapped by an Encoder's errors about what
	// cannot be sent. The Encoder goes on with the next packet.
	ErrTrack  = cmaf.ErrTrack
	ErrPacket = cmaf.ErrPacket
	// ErrRemote is wrapped by the error that a stream ends with because it
	// failed at the sender, whose reason is in the text.
	ErrRemote = errors.New("stream failed at the other side")
	// ErrDenied, ErrNotFound and ErrBusy are what a server refuses with; hooks
	// of a Handler return them, clients get them.
	ErrDenied   = access.ErrDenied
	ErrNotFound = access.ErrNotFound
	ErrBusy     = access.ErrBusy

	// errRetry says that the stream goes on, but not on this connection.
	errRetry = errors.New("server asks to connect again")
)

// Limits bound what a stream may hold. Zero fields have their defaults.
// Nothing is allocated for a length beyond them, and for a large one only as
// its bytes arrive.
type Limits struct {
	AccessUnit  int // bytes of a packet; default 16 MiB (an 8K intra frame has about 10)
	Tracks      int // default 64
	SampleEntry int // bytes; default 64 KiB (an entry with every parameter set has a few)
}

func (l Limits) withDefaults() Limits {
	setDefault(&l.AccessUnit, 16<<20)
	setDefault(&l.Tracks, 64)
	setDefault(&l.SampleEntry, 64<<10)
	return l
}

const (
	maxMoof      = 4096          // ours has less than 200 bytes
	maxTimescale = 1_000_000_000 // ticks a second
	maxSeconds   = 1 << 32       // of a time stamp: the year 2106
)

// moov returns the largest size of a moov.
func (l Limits) moov() int { return l.Tracks*(l.SampleEntry+4*maxName+1024) + 1024 }

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}
