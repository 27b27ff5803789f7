package srt

// Time in this file is in µs on the connection's clock.

// arrival is a packet that waits for its time, or the place of one that is
// missing.
type arrival struct {
	buf   *buffer // nil: missing
	due   int64   // of one that is missing, when that was seen
	asked int64   // when it was last asked for
}

// inbox puts the packets that come in in order, and holds each until it is due.
type inbox struct {
	ring[arrival]        // first is the next to be read
	end           uint32 // behind the newest
	whole         uint32 // the first that is missing; end if none is
	skipped       int    // missing packets that first has jumped over
	late          int64  // how late packets come that are only out of order
	patient       int64  // until then, nothing that is missing is given up
	ticked        int64  // when time was last looked at
	spans         []span // scratch
}

func newInbox(seq uint32) inbox {
	return inbox{ring: ring[arrival]{first: seq}, end: seq, whole: seq}
}

// What became of a packet.
type placed uint8

const (
	fresh   placed = iota
	twice          // it is here already
	belated        // its time is over
	beyond         // there is no room so far ahead
)

// put takes a packet. gap is how many are missing right before it, not known
// to be missing until now.
func (b *inbox) put(seq uint32, due int64, payload []byte, now int64, repeated bool) (_ placed, gap int) {
	ahead := distance(seq, b.first)
	if ahead < 0 {
		return belated, 0
	}
	if !b.reserve(ahead+1, distance(b.end, b.first)) {
		if b.first != b.end {
			return beyond, 0
		}
		b.skipped += ahead // after a long outage
		b.first, b.end, b.whole = seq, seq, seq
		b.reserve(1, 0)
	}
	s := b.at(seq)
	if n := distance(seq, b.end); n >= 0 {
		gap = n
		for i := range n {
			*b.at(advance(b.end, i)) = arrival{due: now}
		}
		*s = arrival{}
		b.end = advance(seq, 1)
	}
	if s.buf != nil {
		return twice, 0
	}
	if s.due != 0 && !repeated {
		b.outOfOrder(now-s.due, due-now)
	}
	s.buf, s.due = newBuffer(payload), due
	for b.whole != b.end && b.at(b.whole).buf != nil {
		b.whole = advance(b.whole, 1)
	}
	return fresh, gap
}

// outOfOrder notes that a packet came that much behind later ones, and how much
// time is left to it. Those that are missing are asked for no sooner than that.
func (b *inbox) outOfOrder(by, left int64) { b.late = max(b.late, min(by+1, left/8)) }

// take returns the next packet if it is due at now, and how many before it are
// missing for good.
func (b *inbox) take(now int64) (_ *buffer, missing int) {
	seq := b.first
	for seq != b.end && b.at(seq).buf == nil {
		seq = advance(seq, 1) // end is behind a packet that is here
	}
	if seq == b.end || b.at(seq).due > now || seq != b.first && b.mayCome(now) {
		return nil, 0
	}
	missing = distance(seq, b.first) + b.skipped
	b.skipped = 0
	s := b.at(seq)
	buf := s.buf
	*s = arrival{}
	b.first = advance(seq, 1)
	if distance(b.first, b.whole) > 0 {
		b.whole = b.first
		for b.whole != b.end && b.at(b.whole).buf != nil {
			b.whole = advance(b.whole, 1)
		}
	}
	return buf, missing
}

// mayCome reports whether the process has stood still, so that what is missing
// may be waiting in the socket.
func (b *inbox) mayCome(now int64) bool {
	return now < b.patient || now-b.ticked > stall.Microseconds()
}

// due reports whether there is something to take at now.
func (b *inbox) due(now int64) bool {
	for seq := b.first; seq != b.end; seq = advance(seq, 1) {
		if s := b.at(seq); s.buf != nil {
			return s.due <= now && (seq == b.first || !b.mayCome(now))
		}
	}
	return false
}

// lost returns what is missing and was not asked for in the last interval, and
// notes that it is now.
func (b *inbox) lost(now, interval int64) []span {
	b.spans = b.spans[:0]
	words := 0
	for seq := b.whole; seq != b.end && words < maxLossWords-2; seq = advance(seq, 1) {
		s := b.at(seq)
		if s.buf != nil || s.asked != 0 && now-s.asked < interval || now-s.due < b.late {
			continue
		}
		s.asked = now
		if n := len(b.spans); n > 0 && advance(b.spans[n-1].to, 1) == seq {
			b.spans[n-1].to = seq
			continue
		}
		b.spans = append(b.spans, span{seq, seq})
		words += 2
	}
	return b.spans
}

// held returns how many packets there is room for, and the time between the
// first and the last one held.
func (b *inbox) held() (room int, time int64) {
	room = maxWindow - distance(b.end, b.first)
	if b.first == b.end {
		return room, 0
	}
	last := b.at(advance(b.end, -1))
	for seq := b.first; seq != b.end; seq = advance(seq, 1) {
		if s := b.at(seq); s.buf != nil {
			return room, last.due - s.due
		}
	}
	return room, 0
}

func (b *inbox) clear() {
	for seq := b.first; seq != b.end; seq = advance(seq, 1) {
		if s := b.at(seq); s.buf != nil {
			s.buf.free()
			s.buf = nil
		}
	}
	b.first, b.whole = b.end, b.end
}

// peerClock turns the peer's time stamps into times on our clock.
type peerClock struct {
	base  int64 // our time of the peer's zero
	last  int64 // unwrapped
	drift drift
}

// at returns when the packet left the peer, as far as base says.
func (c *peerClock) at(stamp uint32) int64 {
	c.last += int64(int32(stamp - uint32(c.last)))
	return c.base + c.last
}

const (
	driftWindow = 10_000_000
	driftStep   = 1000 // of a window: 100 ppm
)

// drift follows the peer's clock against ours: by how much the least delay of
// a window has changed since the first one. Delay itself changes it too, which
// does no harm at this pace.
type drift struct {
	began      int64
	least      int64 // of this window
	first      int64 // least of the first window
	correction int64 // to be added to the times of packets
	windows    int
}

func (d *drift) note(now, sent int64) {
	delay := now - sent
	if d.began == 0 || delay < d.least {
		d.least = delay
		if d.began == 0 {
			d.began = now
		}
	}
	if now-d.began < driftWindow {
		return
	}
	if d.windows == 0 {
		d.first = d.least
	}
	d.windows++
	d.correction += min(max(d.least-d.first-d.correction, -driftStep), driftStep)
	d.began = 0
}
