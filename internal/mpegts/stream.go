package mpegts

import (
	"bytes"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

// trustStuffing is how many PES packets in a row must have ended with a stuffed
// transport packet before that is taken for their end.
const trustStuffing = 16

// keepBuffer is the largest buffer kept from one PES packet for the next.
const keepBuffer = 1 << 20

// stream is one elementary stream.
type stream struct {
	es    elementary
	codec *codecEntry
	id    uint32
	track *sluice.Track
	next  *sluice.Track // of a unit that could not be given out
	gap   bool          // something is missing before the next packet
	told  bool          // that units are not usable
	link  link

	buf  []byte // the PES packet so far, header included
	open bool   // it has begun
	want int    // its size; 0 where that is not said
	habit

	video *codec.InBand
	sound *sound
}

// link follows a stream's continuity counter.
type link struct {
	seen  bool
	cc    byte
	jumps bool // a discontinuity was announced
	last  [packetSize]byte
	size  int // of the payload in last
}

// habit is what has been learned of where a stream's packets are stuffed.
type habit struct {
	stuffed bool // the last packet was
	count   int  // times that a start followed
	broken  bool // something else did
	early   bool // the last PES packet was ended by stuffing
}

func newStream(e elementary, c *codecEntry) *stream {
	s := &stream{es: e, codec: c}
	if c.video != nil {
		s.video = c.video()
	} else {
		s.sound = &sound{framer: c.sound(e)}
	}
	return s
}

// media takes a packet of a stream.
func (d *demux) media(s *stream, p tsPacket) {
	if len(p.payload) == 0 {
		s.link.jumps = s.link.jumps || p.discont
		return
	}
	if p.scrambled {
		if d.scrambled++; d.scrambled > scrambledRun {
			d.r.fail(scrambled(s.es.pid))
		}
		return
	}
	d.scrambled = 0
	if !d.follows(s, p) {
		return
	}
	s.learn(p)
	switch {
	case p.start:
		d.end(s)
		s.open, s.want = true, 0
	case s.early: // it was not the end
		s.early = false
		d.counters.damaged.Add(1)
		s.gap = true
		return
	case !s.open:
		return
	}
	s.early = false
	s.buf = append(s.buf, p.payload...)
	d.held += len(p.payload)
	if s.want == 0 && len(s.buf) >= 6 {
		if n := int(be.Uint16(s.buf[4:])); n > 0 {
			s.want = 6 + n
		}
	}
	switch {
	case len(s.buf) > s.most(d.r.cfg.MaxUnit) || d.held > 2*d.r.cfg.MaxUnit:
		d.r.complain("PES packet dropped: too large", "pid", s.es.pid, "most", s.most(d.r.cfg.MaxUnit))
		d.drop(s)
	case s.want > 0 && len(s.buf) >= s.want:
		d.finish(s)
	case s.want == 0 && p.stuffed && !s.broken && s.count >= trustStuffing:
		d.finish(s)
		s.early = true
	}
}

// maxSound is the largest PES packet of sound that says no length, as it should:
// seconds of it.
const maxSound = 256 << 10

// most is the largest PES packet that is taken.
func (s *stream) most(unit int) int {
	if s.sound != nil {
		return min(unit, maxSound)
	}
	return unit
}

// follows checks the continuity counter. It returns false for a packet that is
// there already, and ends what a gap has damaged.
func (d *demux) follows(s *stream, p tsPacket) bool {
	l := &s.link
	jumps := p.discont || l.jumps
	if l.seen {
		missing := (p.cc - l.cc - 1) & 15
		switch {
		case missing == 15 && bytes.Equal(p.payload, l.last[:l.size]):
			d.counters.duplicates.Add(1)
			return false
		case missing != 0 && jumps && p.start:
			d.end(s)
			s.gap = true
		case missing != 0:
			if !jumps {
				d.counters.lost.Add(uint64(missing))
			}
			d.drop(s)
		}
	}
	l.seen, l.jumps, l.cc = true, false, p.cc
	l.size = copy(l.last[:], p.payload)
	return true
}

// learn finds out whether stuffing ends PES packets.
func (s *stream) learn(p tsPacket) {
	if s.stuffed {
		if p.start {
			s.count++
		} else {
			s.broken = true
		}
	}
	s.stuffed = p.stuffed
}

// end finishes the PES packet that has no length, and drops one that has: it
// is not complete.
func (d *demux) end(s *stream) {
	switch {
	case s.open && s.want == 0:
		d.finish(s)
	case s.open:
		d.drop(s)
	}
}

// drop gives up the PES packet that has begun, if any, and says that something
// is missing.
func (d *demux) drop(s *stream) {
	if s.open {
		d.counters.damaged.Add(1)
	}
	s.gap = true
	s.habit.stuffed, s.habit.early = false, false
	if s.sound != nil {
		s.sound.reset()
	}
	d.reset(s)
}

func (d *demux) reset(s *stream) {
	d.held -= len(s.buf)
	s.buf, s.open = s.buf[:0], false
	if cap(s.buf) > keepBuffer {
		s.buf = nil
	}
}

// finish takes the PES packet as complete.
func (d *demux) finish(s *stream) {
	h, payload, ok := parsePES(s.buf, s.want)
	switch {
	case !ok:
		d.drop(s)
		return
	case h.scrambled:
		if d.scrambled += scrambledRun / 4; d.scrambled > scrambledRun {
			d.r.fail(scrambled(s.es.pid))
		}
	case s.video != nil:
		d.picture(s, h, payload)
	default:
		d.sounds(s, h, payload)
	}
	d.reset(s)
}

// picture gives out an access unit.
func (d *demux) picture(s *stream, h pesHeader, payload []byte) {
	sample, err := s.video.Sample(payload)
	if sample.Track != nil {
		s.next = sample.Track
	}
	if err == nil && sample.Data != nil && !h.timed {
		err = errUntimed
	}
	if err != nil {
		d.unusable(s, err)
		return
	}
	if sample.Data == nil {
		return
	}
	if s.next != nil {
		d.r.announce(s, s.next, h.dts, h.pts)
		s.next = nil
	}
	d.r.emit(sluice.Packet{
		Track: s.track, DTS: h.dts, PTS: h.pts, Dur: s.track.FrameDur,
		Key: sample.Key, Discont: s.gap, Data: sample.Data,
	})
	s.gap = false
}

// unusable counts a unit that is left out.
func (d *demux) unusable(s *stream, err error) {
	if d.counters.unusable.Add(1); s.track != nil {
		s.gap = true
	}
	if !s.told {
		s.told = true
		d.r.complain("unit dropped; more of this stream are only counted", "pid", s.es.pid, "codec", s.codec.name, "error", err)
	}
}
