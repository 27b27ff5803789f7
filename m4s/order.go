package m4s

import (
	"github.com/sluice-live/sluice"
)

// order keeps a Source's promises whatever the other side sends: it drops what
// is out of order on a track, and what came already.
type order struct {
	tracks     map[uint32]*trackOrder
	next       uint64 // number of the packet that is to come
	duplicates uint64
	refused    uint64
}

// maxTracks is how many tracks a stream may have had, each as long as it lasts:
// what reads it remembers all of them.
const maxTracks = 1024

// trackOrder is where one track is.
type trackOrder struct {
	track    *sluice.Track
	dts, end int64 // of the newest packet; end is where the next one is expected
	segment  uint64
	media    bool // dts is of media
	rejoined bool // what comes may have come already
	lost     bool // something was dropped since
}

// rejoin says that what follows is numbered anew and may overlap with what
// came: another start of the sender, or another sender of the same stream.
func (o *order) rejoin() {
	o.next = 0
	for _, t := range o.tracks {
		t.rejoined = true
	}
}

// admit reports whether a packet is passed on, and marks it Discont where
// something is missing before it. next is the number behind it.
func (o *order) admit(p *sluice.Packet, next uint64) bool {
	if next < o.next || next == o.next && p.Data != nil {
		o.duplicates++
		return false
	}
	o.next = next
	t := o.tracks[p.Track.ID]
	if t == nil {
		if len(o.tracks) == maxTracks {
			o.refused++
			return false
		}
		if o.tracks == nil {
			o.tracks = make(map[uint32]*trackOrder)
		}
		t = &trackOrder{track: p.Track, dts: p.DTS, segment: p.Segment}
		o.tracks[p.Track.ID] = t
	}
	if p.Track != t.track && !t.follow(p.Track) || t.rejoined && t.had(p) {
		o.duplicates++
		return false
	}
	if p.DTS < t.dts || p.Segment != 0 && p.Segment < t.segment {
		o.refused++
		t.lost = t.lost || p.Data != nil
		return false
	}
	t.pass(p)
	return true
}

// undo takes back the admission of a packet that could not be passed on, so
// that it may come again. last is the number that was to come before it.
func (o *order) undo(p *sluice.Packet, last uint64) {
	o.next = last
	t := o.tracks[p.Track.ID]
	t.lost = t.lost || p.Discont
}

// follow takes a changed track. It reports false for one of an era that is
// over, which only comes after a rejoin.
func (t *trackOrder) follow(n *sluice.Track) bool {
	if n.Era < t.track.Era {
		return false
	}
	// The clock of another timescale cannot be compared.
	if n.Timescale != t.track.Timescale {
		t.dts, t.end, t.media = 0, 0, false
	}
	t.track = n
	return true
}

// had reports whether a packet came before the link was cut.
func (t *trackOrder) had(p *sluice.Packet) bool {
	return p.DTS < t.dts || t.media && p.DTS == t.dts
}

func (t *trackOrder) pass(p *sluice.Packet) {
	t.dts, t.segment = p.DTS, max(t.segment, p.Segment)
	if p.Data == nil {
		return
	}
	if t.rejoined && t.media && p.DTS > t.end+p.Dur/2 || t.lost {
		p.Discont = true
	}
	t.rejoined, t.lost = false, false
	t.media, t.end = true, p.DTS+p.Dur
}
