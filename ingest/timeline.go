package ingest

import (
	"bytes"
	"fmt"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

const (
	defaultSegment = 4 * time.Second
	partTarget     = 260 * time.Millisecond // see partTargetOf
	trackSilence   = 2 * time.Second        // of one track while others run, until it is said
	longestHole    = 5 * time.Minute        // a longer one starts a new era instead of a row of gaps
	maxComposition = 5 * time.Second        // PTS − DTS beyond it is nonsense
)

// Repairs counts what a timeline mended.
type Repairs struct {
	Wraps         uint64 `json:"wraps,omitzero"`         // of the source's counter
	Anchors       uint64 `json:"anchors,omitzero"`       // new starts of the timeline after the first
	TrackJumps    uint64 `json:"trackJumps,omitzero"`    // one track's time stamps left the others'
	BackwardDTS   uint64 `json:"backwardDts,omitzero"`   // that went back, or astray for a single frame
	MissingAudio  uint64 `json:"missingAudio,omitzero"`  // holes in a track's samples
	DoubledAudio  uint64 `json:"doubledAudio,omitzero"`  // frames dropped because their time was taken
	LateDropped   uint64 `json:"lateDropped,omitzero"`   // frames dropped because the timeline had passed them
	WithoutKey    uint64 `json:"withoutKey,omitzero"`    // video frames dropped because no key frame had come
	BadComposites uint64 `json:"badComposites,omitzero"` // absurd composition offsets set to zero
}

// timeline stamps the packets of a broadcast's connections, one after another,
// with UTC times, segments and eras. It is the one place where these are
// decided. It does no I/O and reads no clock: time is passed in.
type timeline struct {
	segment time.Duration
	era     uint32
	unused  bool      // no track has been announced in this era
	began   time.Time // start of the era, in UTC
	lines   []*line
	end     time.Time // of everything stamped
	out     []sluice.Packet
	dirty   bool // a segment was opened since position was last taken
	repairs Repairs

	anchor, anchored time.Time // where the last anchor lies in UTC, and its arrival
	media, heard     time.Time // DTS and arrival of the newest frame
}

func newTimeline(segment time.Duration, at Position) *timeline {
	if segment == 0 {
		segment = defaultSegment
	}
	t := &timeline{segment: segment, era: at.Era, end: at.End}
	for id, number := range at.Numbers {
		l := t.line(&sluice.Track{ID: id})
		l.cuts.number, l.cuts.used = number, true
	}
	return t
}

// line returns the line of a track.
func (t *timeline) line(track *sluice.Track) *line {
	for _, l := range t.lines {
		if l.native.ID == track.ID {
			return l
		}
	}
	l := &line{native: track}
	t.lines = append(t.lines, l)
	return l
}

// position returns what must be kept so that numbers and times go on from
// here, now and after a crash.
func (t *timeline) position() Position {
	p := Position{Era: t.era, End: t.end, Numbers: make(map[uint32]uint64)}
	for _, l := range t.lines {
		if l.cuts.used {
			p.Numbers[l.native.ID] = l.cuts.number
		}
	}
	return p
}

// push takes a packet that arrived on a connection.
func (t *timeline) push(in *input, p sluice.Packet, arrival time.Time) error {
	f, err := t.feed(in, p.Track)
	if err != nil || p.Data == nil {
		return err
	}
	u := unit{Packet: p, f: f, composition: in.clock.composition(p, f.native.Timescale), arrival: arrival}
	u.src = in.clock.unwrap(p.DTS, &t.repairs.Wraps)
	in.lastArrival = arrival
	if in.starting {
		in.held = append(in.held, u)
		in.heldBytes += len(p.Data)
		if in.ready(arrival) {
			t.start(in)
		}
		return nil
	}
	t.checkJump(in, u)
	return nil
}

// feed returns the feed of a track. New parameters end what is held and start
// an era.
func (t *timeline) feed(in *input, raw *sluice.Track) (*feed, error) {
	f := in.feed(raw.ID)
	if f != nil && f.raw == raw {
		return f, nil
	}
	native, err := codec.Native(raw)
	if err != nil {
		return nil, fmt.Errorf("ingest: track %d: %w", raw.ID, err)
	}
	if f == nil {
		f = &feed{raw: raw, native: native, needKey: raw.Kind == sluice.Video}
		f.cadence = newCadence(native.FrameDur, 1, native.Timescale)
		f.cadence.fixed = raw.Kind != sluice.Video
		in.tracks = append(in.tracks, f)
		l := t.line(native)
		switch {
		case in.starting: // the anchor will do it
		case l.track != nil && l.track.Era == t.era && !sameParameters(l.native, native):
			t.newEra(in, t.end)
		default:
			l.adopt(f)
		}
		return f, nil
	}
	f.raw = raw
	if sameParameters(f.native, native) {
		return f, nil
	}
	t.flush(in)
	f.native, f.cadence = native, declaredCadence(native, f.cadence)
	if !in.starting {
		t.newEra(in, t.end)
	}
	return f, nil
}

func sameParameters(a, b *sluice.Track) bool {
	return a.Codec == b.Codec && bytes.Equal(a.Config, b.Config)
}

// declaredCadence is the cadence that new parameters declare; else the old
// one, if its ticks are the same.
func declaredCadence(native *sluice.Track, old cadence) cadence {
	num, den := native.FrameDur, int64(1)
	if n, d := codec.FrameRate(native); n > 0 && d > 0 {
		num, den = chooseRate(nil, native.Timescale, float64(n)/float64(d))
	}
	if native.Kind == sluice.Video && (num == 0 || num*old.den == old.num*den) {
		return old
	}
	c := newCadence(num, den, native.Timescale)
	c.fixed = native.Kind != sluice.Video
	return c
}

// start begins a connection's timeline with what was held to learn its tracks.
func (t *timeline) start(in *input) {
	if !in.starting || len(in.held) == 0 {
		return
	}
	in.starting = false
	held := in.held
	in.held, in.heldBytes = nil, 0
	in.learn(held)
	t.setClock(in, held)
}

// flush stops holding packets back.
func (t *timeline) flush(in *input) {
	t.start(in)
	if pending := in.takePending(); len(pending) > 0 {
		t.reanchor(in, pending)
	}
}

func (t *timeline) reanchor(in *input, units []unit) {
	t.repairs.Anchors++
	t.setClock(in, units)
}

// setClock anchors a connection's clock by the first unit of each track, behind
// everything stamped before, starts a new era and stamps the units.
func (t *timeline) setClock(in *input, units []unit) {
	for _, f := range in.tracks {
		f.seen, f.offset, f.cadence.started = false, 0, false
	}
	first := units[0].position()
	for _, u := range units {
		if !u.f.seen {
			in.join(u)
			u.f.saw(u)
			first = min(first, u.position())
		}
	}
	in.anchored = units[0].arrival
	t.anchored, t.anchor = in.anchored, in.anchored
	if !t.anchor.After(t.end) {
		t.anchor = t.end
	}
	in.clock.anchor(first, t.anchor)
	t.newEra(in, t.anchor)
	for _, u := range units {
		t.checkJump(in, u)
	}
}

// newEra makes every track begin anew with its next packet.
func (t *timeline) newEra(in *input, began time.Time) {
	if !t.unused {
		t.era++
	}
	t.unused, t.began = true, began
	for _, f := range in.tracks {
		f.needKey = f.native.Kind == sluice.Video
		t.line(f.native).adopt(f)
	}
}

// stamp gives a unit its times and its segment and puts it out.
func (t *timeline) stamp(in *input, u unit) {
	f, l := u.f, t.line(u.f.native)
	f.saw(u)
	if t.lacksKey(u) {
		return
	}
	in.clock.arrived(u.position(), u.arrival)
	scale := int64(f.native.Timescale)
	raw := in.clock.ticks(u.position(), scale)
	if raw < l.watermark {
		if u.arrival.Sub(in.anchored) < trackSilence {
			t.repairs.LateDropped++ // the other tracks' start decides
			return
		}
		t.reanchor(in, append(in.takePending(), u))
		return
	}
	if l.track != nil && l.track.Era == t.era && raw > max(l.cuts.end, l.watermark)+ticks(longestHole, scale) {
		t.newEra(in, t.end)
		if t.lacksKey(u) {
			return
		}
	}
	if s, ok := t.onCadence(f, l, u, raw); ok {
		f.needKey = false
		t.emit(l, u, s)
	}
}

// lacksKey reports whether a unit cannot be used as no key frame came before it.
func (t *timeline) lacksKey(u unit) bool {
	if !u.f.needKey || u.Key {
		return false
	}
	t.repairs.WithoutKey++
	return true
}

// ticks converts a duration to ticks of a timescale.
func ticks(d time.Duration, scale int64) int64 {
	return sluice.Rescale(int64(d), int64(time.Second), scale)
}
