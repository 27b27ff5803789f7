package ingest

import (
	"slices"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

// Bounds of what is held at a connection's start, to learn its tracks and frame
// rate, and while one track's clock disagrees with the others'.
const (
	holdFrames  = 6
	holdFor     = time.Second     // for a track that may come
	holdForSaid = 2 * time.Second // for one that the encoder announced
	holdBytes   = 16 << 20
	holdUnits   = 512
	jumpUnits   = 2                // of each track make a jump of the clock; a single one is astray
	farApart    = 10 * time.Second // tracks that begin so far apart do not share a zero
)

// hints is what an encoder says of its stream before it sends it.
type hints struct {
	known, video, audio bool
	frameRate           float64
}

// input is one connection of a broadcast.
type input struct {
	protocol    string // as in Request
	clock       clock
	hints       func() hints
	tracks      []*feed
	starting    bool
	held        []unit // while starting
	heldBytes   int    // of held, and of all that is pending
	lastArrival time.Time
	anchored    time.Time // arrival of the packet that set the clock
}

// feed is one track of a connection, as it comes in.
type feed struct {
	raw, native *sluice.Track
	cadence     cadence
	needKey     bool  // nothing goes out before a key frame
	offset      int64 // added to the source's positions, where this track's zero is not the others'

	seen        bool  // since the anchor
	last        int64 // position of the last unit
	lastArrival time.Time
	pending     []unit // whose positions leapt, until the other tracks tell why
	pendingFrom int64  // position of another track when the first was held
}

// unit is a packet on its way through the timeline.
type unit struct {
	sluice.Packet
	f           *feed
	src         int64 // unwrapped DTS of the source
	composition int64
	arrival     time.Time
}

// position is where the unit stands on the connection's clock.
func (u *unit) position() int64 { return u.src + u.f.offset }

func newInput(scale, wrap int64, h func() hints) *input {
	return &input{
		clock:    clock{scale: scale, wrap: wrap},
		hints:    h,
		starting: true,
	}
}

// again returns the same connection's input, as if nothing had come on it.
func (in *input) again() *input {
	fresh := newInput(in.clock.scale, in.clock.wrap, in.hints)
	fresh.protocol = in.protocol
	return fresh
}

// feed returns the feed of a track, nil if it has none yet.
func (in *input) feed(id uint32) *feed {
	for _, f := range in.tracks {
		if f.native.ID == id {
			return f
		}
	}
	return nil
}

// ready reports whether enough is held to know tracks and frame rate.
func (in *input) ready(now time.Time) bool {
	h := in.hints()
	var video, audio int
	for _, u := range in.held {
		if u.f.native.Kind == sluice.Video {
			video++
		} else {
			audio++
		}
	}
	wait := holdFor
	if h.known {
		wait = holdForSaid
	}
	first, last := in.held[0], in.held[len(in.held)-1]
	if now.Sub(first.arrival) >= wait || in.clock.duration(last.src-first.src) >= wait || in.full(len(in.held)) {
		return true
	}
	wantVideo, wantAudio := !h.known || h.video, !h.known || h.audio
	return (!wantVideo || video >= holdFrames) && (!wantAudio || audio > 0)
}

func (in *input) full(units int) bool { return units >= holdUnits || in.heldBytes > holdBytes }

// learn finds the frame rate of the video held.
func (in *input) learn(held []unit) {
	for _, f := range in.tracks {
		if f.native.Kind != sluice.Video {
			continue
		}
		var raw []int64
		for _, u := range held {
			if u.f == f {
				raw = append(raw, sluice.Rescale(u.src, in.clock.scale, int64(f.native.Timescale)))
			}
		}
		var declared []float64
		if num, den := codec.FrameRate(f.native); num > 0 && den > 0 {
			declared = append(declared, float64(num)/float64(den))
		}
		declared = append(declared, in.hints().frameRate)
		num, den := chooseRate(raw, f.native.Timescale, declared...)
		f.cadence = newCadence(num, den, f.native.Timescale)
	}
}

func (f *feed) saw(u unit) { f.seen, f.last, f.lastArrival = true, u.position(), u.arrival }

// expected returns where f's next unit lies if time went on as arrival says.
func (f *feed) expected(c *clock, arrival time.Time) int64 {
	return f.last + sluice.Rescale(int64(max(arrival.Sub(f.lastArrival), 0)), int64(time.Second), c.scale)
}

// leaps reports whether a unit lies where neither the track's last one nor the
// time since its arrival explains it.
func (f *feed) leaps(c *clock, u unit) bool {
	return f.seen && (c.duration(u.position()-f.last) < -jumpBeyond ||
		c.duration(u.position()-f.expected(c, u.arrival)) > jumpBeyond)
}

// join gives a track that begins far from where another one stands the zero of
// that one: some encoders count each track on its own.
func (in *input) join(u unit) {
	o := in.newest(u.f)
	if u.f.seen || o == nil {
		return
	}
	expected := o.expected(&in.clock, u.arrival)
	if off := in.clock.duration(u.position() - expected); max(off, -off) > farApart {
		u.f.offset += expected - u.position()
	}
}

// checkJump stamps a unit, or holds it while it may be the first of a jump of
// the source's clock: only a step of all tracks that run together is one.
func (t *timeline) checkJump(in *input, u unit) {
	f := u.f
	in.join(u)
	if !f.leaps(&in.clock, u) {
		for _, p := range in.take(f) { // back where it was: those were astray
			t.repairs.BackwardDTS++
			t.stamp(in, p.moved(f.expected(&in.clock, p.arrival)))
		}
		t.stamp(in, u)
		t.settleAlone(in, u)
		return
	}
	if o := in.newest(f); len(f.pending) == 0 && o != nil {
		f.pendingFrom = o.last
	}
	f.pending = append(f.pending, u)
	in.heldBytes += len(u.Data)
	if in.allLeapt(u.arrival) || in.full(len(f.pending)) {
		t.reanchor(in, in.takePending())
	}
}

// moved returns the unit at another position.
func (u unit) moved(position int64) unit {
	u.src = position - u.f.offset
	return u
}

// newest returns the track other than f that is furthest, nil if there is none.
func (in *input) newest(f *feed) *feed {
	var newest *feed
	for _, o := range in.tracks {
		if o != f && o.seen && (newest == nil || o.last > newest.last) {
			newest = o
		}
	}
	return newest
}

// allLeapt reports whether every track that runs has units pending.
func (in *input) allLeapt(now time.Time) bool {
	for _, f := range in.tracks {
		if f.seen && len(f.pending) < jumpUnits && now.Sub(f.lastArrival) < trackSilence {
			return false
		}
	}
	return true
}

// take returns the units of a track that were held.
func (in *input) take(f *feed) []unit {
	units := f.pending
	f.pending = nil
	for _, u := range units {
		in.heldBytes -= len(u.Data)
	}
	return units
}

// takePending returns all units held, in order of arrival.
func (in *input) takePending() []unit {
	var all []unit
	for _, f := range in.tracks {
		all = append(all, in.take(f)...)
	}
	slices.SortStableFunc(all, func(a, b unit) int { return a.arrival.Compare(b.arrival) })
	return all
}

// settleAlone ends the wait for tracks that leapt while u's went on for a
// second: their own time stamps are wrong, and are shifted back to where
// arrival says they belong.
func (t *timeline) settleAlone(in *input, u unit) {
	for _, f := range in.tracks {
		if len(f.pending) == 0 || f == u.f || in.clock.duration(u.position()-f.pendingFrom) < time.Second {
			continue
		}
		t.repairs.TrackJumps++
		first := f.pending[0]
		f.offset += f.expected(&in.clock, first.arrival) - first.position()
		for _, p := range in.take(f) {
			t.checkJump(in, p)
		}
	}
}
