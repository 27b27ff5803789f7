package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-live/sluice"
)

// Rendition says which of a stream's tracks go out, one of each kind. The zero
// value is the largest picture and the best sound.
type Rendition struct {
	// Height and Bitrate are the most that the picture may have, in lines and
	// bits a second; 0 does not bound it. Where none is as small, it is the
	// smallest.
	Height, Bitrate int
	// Video and Audio are the IDs of the tracks; 0 leaves it to the above.
	Video, Audio uint32
}

// The IDs of the tracks that a selection yields.
const (
	pickedVideo = 1
	pickedAudio = 2
)

// lost is how long a track may yield nothing, while others do, before another
// takes its place. patience is how long another is waited for where what comes
// cannot be carried; made how long where a transcoder has to start first.
const (
	lost     = 3 * time.Second
	patience = 3 * time.Second
	made     = 12 * time.Second
)

// errCodec says that a stream has nothing that a target takes.
var errCodec = errors.New("the stream cannot be pushed there")

// codecs are what a target takes, the best of each kind first; nil: any.
type codecs struct {
	video, audio []sluice.FourCC
	ordered      bool // pictures have to be shown in the order in which they are decoded
}

func (c codecs) of(k sluice.Kind) []sluice.FourCC {
	if k == sluice.Video {
		return c.video
	}
	return c.audio
}

// selection is a Source of the best running video and audio track of src that
// the target takes. It goes over to another at a key frame of it. What it
// yields is always the same two tracks, with new parameters where there was a
// change.
type selection struct {
	sluice.Source
	rendition Rendition
	codecs    codecs
	patience  time.Duration

	first, newest time.Time // media time
	known         []known
	kinds         [2]picked
	out           []*sluice.Track
}

// known is a track that is there.
type known struct {
	track     *sluice.Track
	heard     time.Time // when its newest packet was, in media time
	shown     int64     // PTS of its newest picture
	reordered bool      // it has B-frames
}

// picked is what a selection knows of a kind.
type picked struct {
	id       uint32        // of the track that is taken; 0: none
	from, to *sluice.Track // how it came, how it goes out
	last     time.Time     // of the newest packet yielded
	due      bool          // there has to be one
	unusable time.Time     // since when nothing comes that can go out
	track    *sluice.Track // what came instead
}

func newSelection(src sluice.Source, r Rendition, c codecs) *selection {
	s := &selection{Source: src, rendition: r, codecs: c, patience: patience}
	for _, t := range src.Tracks() {
		s.known = append(s.known, known{track: t})
	}
	return s
}

// has reports whether there are tracks of a kind.
func (s *selection) has(kind sluice.Kind) bool {
	return slices.ContainsFunc(s.known, func(k known) bool { return k.track.Kind == kind })
}

// Unwrap returns what is selected from.
func (s *selection) Unwrap() sluice.Source { return s.Source }

// Tracks implements sluice.Source.
func (s *selection) Tracks() []*sluice.Track { return s.out }

// ReadPacket implements sluice.Source. It fails with errCodec where the stream
// has a kind of track, but none that can be carried.
func (s *selection) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	for {
		p, err := s.Source.ReadPacket(ctx)
		if err != nil {
			return p, err
		}
		if s.admit(&p) {
			return p, nil
		}
		if err := s.missing(); err != nil {
			return sluice.Packet{}, err
		}
	}
}

// admit reports whether a packet goes out, and puts it on its track's stand-in.
func (s *selection) admit(p *sluice.Packet) bool {
	at := s.note(p)
	k := s.kind(p.Track.Kind)
	if k == nil {
		return false
	}
	if p.Data != nil && p.Key && p.Track.ID != k.id && at.After(k.last) && s.best(p.Track.Kind) == p.Track {
		k.id = p.Track.ID
	}
	carried := s.carries(p.Track)
	if p.Data != nil && k.unusable.IsZero() && (!carried || !s.wanted(p.Track)) {
		k.unusable, k.track = at, p.Track
	}
	if p.Track.ID != k.id || !carried {
		return false
	}
	if p.Data != nil {
		k.last, k.unusable = at, time.Time{}
	}
	if k.from != p.Track {
		s.replace(k, p.Track)
	}
	p.Track = k.to
	return true
}

// note keeps the books of what comes.
func (s *selection) note(p *sluice.Packet) time.Time {
	at := p.Track.Time(p.DTS)
	i := slices.IndexFunc(s.known, func(k known) bool { return k.track.ID == p.Track.ID })
	if i < 0 {
		i = len(s.known)
		s.known = append(s.known, known{})
	}
	k := &s.known[i]
	if p.Data == nil && k.track == p.Track {
		return at // a watermark
	}
	if p.Data != nil && p.Track.Kind == sluice.Video {
		k.reordered = k.reordered || k.track == p.Track && p.PTS < k.shown
		k.shown = p.PTS
	}
	k.track, k.heard = p.Track, at
	if s.first.IsZero() {
		s.first = at
		for i := range s.known { // they count as heard with the first packet
			s.known[i].heard = at
		}
	}
	if at.After(s.newest) {
		s.newest = at
	}
	return at
}

func (s *selection) replace(k *picked, t *sluice.Track) {
	to := *t
	to.ID = pickedVideo
	if t.Kind == sluice.Audio {
		to.ID = pickedAudio
	}
	k.from, k.to = t, &to
	s.out = replaceTrack(s.out, &to)
}

func (s *selection) kind(k sluice.Kind) *picked {
	switch k {
	case sluice.Video:
		return &s.kinds[0]
	case sluice.Audio:
		return &s.kinds[1]
	}
	return nil
}

func (s *selection) carries(t *sluice.Track) bool {
	list := s.codecs.of(t.Kind)
	return (list == nil || slices.Contains(list, t.Codec)) && (!s.codecs.ordered || !s.reordered(t))
}

func (s *selection) reordered(t *sluice.Track) bool {
	return slices.ContainsFunc(s.known, func(k known) bool { return k.track.ID == t.ID && k.reordered })
}

// best returns the track of a kind that should be taken, nil if there is none.
func (s *selection) best(kind sluice.Kind) *sluice.Track {
	var best *sluice.Track
	for _, k := range s.known {
		t := k.track
		if t.Kind == kind && s.newest.Sub(k.heard) <= lost && s.carries(t) && s.wanted(t) && (best == nil || s.better(t, best)) {
			best = t
		}
	}
	return best
}

// wanted reports whether a track is not ruled out by its ID.
func (s *selection) wanted(t *sluice.Track) bool {
	id := s.rendition.Video
	if t.Kind == sluice.Audio {
		id = s.rendition.Audio
	}
	return id == 0 || id == t.ID
}

func (s *selection) better(a, b *sluice.Track) bool {
	if a.Kind == sluice.Audio {
		codecs := s.codecs.audio
		return cmp.Or(
			cmp.Compare(slices.Index(codecs, a.Codec), slices.Index(codecs, b.Codec)),
			cmp.Compare(b.Bandwidth, a.Bandwidth),
			cmp.Compare(a.ID, b.ID),
		) < 0
	}
	fits := s.rendition.fits(a)
	if fits != s.rendition.fits(b) {
		return fits
	}
	larger := cmp.Or(cmp.Compare(a.Width*a.Height, b.Width*b.Height), cmp.Compare(a.Bandwidth, b.Bandwidth))
	if !fits {
		larger = -larger
	}
	return cmp.Or(larger, cmp.Compare(b.ID, a.ID)) > 0
}

func (r Rendition) fits(t *sluice.Track) bool {
	return (r.Height == 0 || t.Height <= r.Height) && (r.Bitrate == 0 || t.Bandwidth <= r.Bitrate)
}

// missing returns an error where there are packets of a kind, but for some time
// none that can go out.
func (s *selection) missing() error {
	for i, kind := range [...]sluice.Kind{sluice.Video, sluice.Audio} {
		k := &s.kinds[i]
		switch {
		case k.due && k.from == nil && s.newest.Sub(s.first) > s.patience:
			return fmt.Errorf("%w: the transcoder makes no %s for it", errCodec, kind)
		case k.unusable.IsZero() || s.newest.Sub(k.unusable) <= s.patience:
		case !s.wanted(k.track):
			return fmt.Errorf("%w: it has no %s track of the ID asked for", errCodec, kind)
		case s.codecs.ordered && s.reordered(k.track):
			return fmt.Errorf("%w: its pictures have B-frames, which WebRTC does not carry: switch them off in the encoder, or transcode", errCodec)
		default:
			return fmt.Errorf("%w: its %s is %s, and this target takes %s",
				errCodec, kind, k.track.Codec, codecNames(s.codecs.of(kind)))
		}
	}
	return nil
}

func codecNames(codecs []sluice.FourCC) string {
	names := make([]string, len(codecs))
	for i, c := range codecs {
		names[i] = c.String()
	}
	return strings.Join(names, ", ")
}

// settle reads until it is known what goes out: a track of each kind that there
// is. Where the other kind is not announced it may still come for a second.
func (s *selection) settle(ctx context.Context) error {
	for {
		_, err := s.ReadPacket(ctx)
		if err != nil && len(s.out) > 0 && ctx.Err() == nil && !errors.Is(err, errCodec) {
			return nil // the stream ends; what there is may go out
		}
		if err == nil {
			err = s.missing()
		}
		if err != nil {
			return err
		}
		both := len(s.out) == 2 && !s.codecs.ordered // a second shows whether there are B-frames
		if !s.awaits() && (both || s.newest.Sub(s.first) > time.Second) {
			return nil
		}
	}
}

// awaits reports whether a kind is known, or due, of which nothing goes out yet.
func (s *selection) awaits() bool {
	lacks := func(k *picked) bool { return k.from == nil || !s.carries(k.from) }
	for i := range s.kinds {
		if k := &s.kinds[i]; k.due && lacks(k) {
			return true
		}
	}
	return slices.ContainsFunc(s.known, func(o known) bool {
		k := s.kind(o.track.Kind)
		return k != nil && lacks(k) && s.newest.Sub(o.heard) <= lost
	})
}
