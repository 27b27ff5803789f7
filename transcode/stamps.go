package transcode

import "github.com/sluice-live/sluice"

// opening is the start of a segment that the source's packets were stamped with.
type opening struct {
	pts     int64
	segment uint64
}

// stamps carries the source's cuts over to frames that come out of a decoder
// later, and in another order, than their packets went in.
type stamps struct {
	ahead []opening // not reached by the decoder's output, in order
	last  uint64    // newest number seen
}

const maxAhead = 1024

// note takes a packet's stamp. The first of an unannounced track is from the
// middle of its segment; it opens it for the renditions all the same, since
// they begin there.
func (s *stamps) note(p sluice.Packet) {
	if p.Segment <= s.last {
		return
	}
	s.last = p.Segment
	if len(s.ahead) < maxAhead {
		s.ahead = append(s.ahead, opening{p.PTS, p.Segment})
	}
}

// until returns the openings at or before a time, and forgets them.
func (s *stamps) until(pts int64) []opening {
	n := 0
	for n < len(s.ahead) && s.ahead[n].pts <= pts {
		n++
	}
	due := s.ahead[:n:n]
	s.ahead = s.ahead[n:]
	return due
}

// rest returns all openings, and forgets them.
func (s *stamps) rest() []opening {
	due := s.ahead
	s.ahead = nil
	return due
}
