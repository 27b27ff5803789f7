package mpegts

import (
	"bytes"

	"github.com/sluice-live/sluice"
)

// sound finds the frames of a stream in its PES packets, and times them.
type sound struct {
	framer
	carry   []byte // a frame's beginning
	config  uint64 // of the track
	timed   bool
	base    int64 // the last time stamp
	samples int64 // since
}

// reset forgets what belongs to a PES packet that is not there.
func (s *sound) reset() { s.carry, s.timed = nil, false }

// sounds gives out the frames of a PES packet. Its time stamp is that of the
// first frame that begins in it.
func (d *demux) sounds(s *stream, h pesHeader, payload []byte) {
	so := s.sound
	old := len(so.carry)
	b := payload
	if old > 0 {
		b = append(so.carry, payload...)
	}
	at, astray := 0, false
	for at < len(b) {
		f, err := so.next(b[at:])
		if err != nil || astray && f.size > 0 && !so.begins(b[at+f.size:]) {
			at += max(f.size, 1)
			if !astray {
				d.unusable(s, err)
			}
			astray = true
			continue
		}
		if f.size == 0 {
			break
		}
		astray = false
		if h.timed && at >= old {
			so.timed, so.base, so.samples = true, h.pts, 0
			h.timed = false
		}
		d.frame(s, f)
		at += f.size
	}
	rest := b[at:]
	if len(rest) > maxFrame {
		d.unusable(s, errLong)
		rest = nil
	}
	so.carry = bytes.Clone(rest)
}

// begins reports whether a frame may begin with b.
func (s *sound) begins(b []byte) bool {
	_, err := s.next(b)
	return err == nil
}

// frame gives out what one header holds.
func (d *demux) frame(s *stream, f frame) {
	so := s.sound
	for _, u := range f.units {
		if !so.timed {
			d.unusable(s, errUntimed)
			return
		}
		at := so.base + sluice.Rescale(so.samples, f.rate, clockRate)
		so.samples += f.samples
		if s.track == nil || so.config != f.config {
			t, err := f.track()
			if err != nil {
				d.unusable(s, err)
				return
			}
			so.config = f.config
			d.r.announce(s, t, at&clockMask, at&clockMask)
		}
		if len(u) == 0 {
			continue
		}
		end := so.base + sluice.Rescale(so.samples, f.rate, clockRate)
		d.r.emit(sluice.Packet{
			Track: s.track, DTS: at & clockMask, PTS: at & clockMask, Dur: end - at,
			Key: true, Discont: s.gap, Data: bytes.Clone(u),
		})
		s.gap = false
	}
}
