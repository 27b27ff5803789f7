package transcode

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"time"

	"github.com/asticode/go-astiav"

	"github.com/sluice-live/sluice"
)

// Ladder is a Transform that makes renditions of a stream's first video track
// and first audio track, for every viewer what line and screen can take. All
// other tracks pass untouched. The zero value works.
//
// The result's tracks are those renditions, with IDs of their own that depend
// on the source's ID and the place in the list alone. They copy the source's
// eras and segment numbers, and open each segment with an IDR picture of the
// PTS at which the source's segment starts; the source's other key frames are
// key frames in every rendition too.
type Ladder struct {
	// Name is the stream's, for the log and for metrics.
	Name string
	// Renditions of the picture; nil is HD. An empty list (AudioOnly) is a
	// stream without picture, or with PassAlways one whose sound alone is made.
	Renditions []Rendition
	// Audio renditions; nil is AAC and Opus with 128 kbit/s each. Sound that
	// comes in one of these codecs is passed untouched as that rendition. An
	// empty list passes the source's sound, whatever it is.
	Audio []AudioRendition
	// Source says whether the source's picture goes along as the top rendition.
	Source Passing
	// Silence adds silent audio to a stream that has none a second after its
	// picture began.
	Silence bool
	// Steady has each rendition keep the size, frame rate and colours of its
	// first picture, whatever the source becomes: smaller pictures are enlarged,
	// those of another shape padded. So decoders see no change when a slate or
	// another encoder stands in. Without it, pictures are never enlarged.
	Steady bool
	// Overlays are burnt in; nil is none. They may change while the ladder runs.
	Overlays *Overlays
	// HW is "auto" to encode with the GPU where build and machine have one for
	// the rendition's codec, falling back to the CPU. Default: the CPU, and what
	// Rendition.Encoder names.
	HW string
	// MaxDelay bounds how long media may wait in the ladder when the machine
	// cannot keep up: frames are dropped before, of the largest rendition first;
	// default 2 s. Negative: nothing is dropped and the source waits, which is
	// right for files and wrong for live streams.
	MaxDelay time.Duration
	// Log gets warnings; default none.
	Log *slog.Logger
	// Monitor lists the running ladder and its figures; default none.
	Monitor *Monitor
}

// Passing says when the source's picture is passed on untouched.
type Passing uint8

// The ways to treat the source's picture.
const (
	// PassAuto passes H.264 that every browser plays (8 bit, 4:2:0) where
	// nothing is to be burnt in. Renditions of its size are then left out.
	PassAuto   Passing = iota
	PassAlways         // whatever it is
	PassNever          // encodes every rendition
)

const defaultMaxDelay = 2 * time.Second

// Transform starts the ladder on a source; it runs until the source's end, its
// own Close, or the end of ctx. Configuration that cannot work is an error at
// once. A stream of which nothing can be decoded ends with an error, unless its
// source is passed on; a damaged one goes on.
func (l Ladder) Transform(ctx context.Context, src sluice.Source) (sluice.Source, error) {
	l = l.withDefaults()
	if err := l.check(); err != nil {
		return nil, fmt.Errorf("transcode: ladder: %w", err)
	}
	quietFFmpeg()
	o := newOutput(l, src)
	o.start(ctx)
	return o, nil
}

func (l Ladder) withDefaults() Ladder {
	if l.Renditions == nil {
		l.Renditions = HD
	}
	if l.Audio == nil {
		l.Audio = []AudioRendition{{Codec: sluice.MP4A}, {Codec: sluice.Opus}}
	}
	if l.MaxDelay == 0 {
		l.MaxDelay = defaultMaxDelay
	}
	if l.Log == nil {
		l.Log = slog.New(slog.DiscardHandler)
	}
	if l.Name != "" {
		l.Log = l.Log.With("stream", l.Name)
	}
	if l.Overlays == nil {
		l.Overlays = new(Overlays)
	}
	return l
}

const maxRenditions = 90 // leaves room in the numbering of tracks

func (l Ladder) check() error {
	if l.HW != "" && l.HW != "auto" {
		return fmt.Errorf(`HW is %q; it can be "auto" or empty`, l.HW)
	}
	if len(l.Renditions) > maxRenditions || len(l.Audio) > 9 {
		return fmt.Errorf("%d renditions and %d of audio; up to %d and 9 are possible", len(l.Renditions), len(l.Audio), maxRenditions)
	}
	for i, r := range l.Renditions {
		if err := r.check(); err != nil {
			return fmt.Errorf("rendition %d: %w", i+1, err)
		}
	}
	for i, a := range l.Audio {
		if err := a.check(); err != nil {
			return fmt.Errorf("audio rendition %d: %w", i+1, err)
		}
	}
	return nil
}

// newMaker returns a Maker that no other start has had.
func newMaker() uint32 {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return max(1, binary.BigEndian.Uint32(b[:]))
}

// quietFFmpeg silences FFmpeg's own log, which goes to the standard error and
// names no stream. What matters comes as errors.
func quietFFmpeg() { astiav.SetLogLevel(astiav.LogLevelQuiet) }

var _ sluice.Transform = Ladder{}
