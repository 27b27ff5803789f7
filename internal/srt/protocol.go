package srt

import (
	"encoding/binary"
	"io"
	"time"
)

const (
	tickEvery = 10 * time.Millisecond
	keepalive = 1_000_000 // µs
	// A tick that comes so late shows that the process stood still: what it
	// seems to miss is waiting in the socket, or may yet be asked for.
	stall = 60 * time.Millisecond
)

// acks are the acknowledgements sent whose answers measure the round trip.
type acks struct {
	sent [256]struct {
		no uint32
		at int64
	}
	no        uint32 // of the last
	seq       uint32 // what it acknowledged
	at        int64
	confirmed bool
}

// rtt is the round-trip time, in µs (draft section 4.10).
type rtt struct {
	mean, dev int64
	known     bool
}

func (r *rtt) sample(v int64) {
	if v < 0 || v > 60_000_000 {
		return
	}
	if !r.known {
		*r = rtt{mean: v, dev: v / 2, known: true}
		return
	}
	diff := v - r.mean
	if diff < 0 {
		diff = -diff
	}
	r.dev += (diff - r.dev) / 4
	r.mean += (v - r.mean) / 8
}

// again is how long to wait before asking again for what is missing.
func (r *rtt) again() int64 { return max((r.mean+4*r.dev)/2, 20_000) }

// handle takes one packet of the peer's.
func (c *Conn) handle(b []byte, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	now := c.at(at)
	c.heard = now
	if !isControl(b) {
		if c.media || c.ep.single {
			c.data(b, now)
		} // else a player's, which nobody asked for, and would be held until due
		return
	}
	info, body := word(b, 1), b[headerSize:]
	switch binary.BigEndian.Uint16(b) &^ 0x8000 {
	case ctrlACK:
		c.acknowledged(info, body, now)
	case ctrlACKACK:
		c.confirmed(info, now)
	case ctrlNAK:
		c.resend(body, now)
	case ctrlShutdown:
		c.end(io.EOF)
	case ctrlUser:
		c.keyMessage(binary.BigEndian.Uint16(b[2:]), body, now)
	}
}

func (c *Conn) data(b []byte, now int64) {
	seq, flags, payload := word(b, 0), word(b, 1), b[headerSize:]
	if flags&messageMask == 0 || len(payload) == 0 || len(payload) > mtu-headerSize {
		return // message number 0: error correction, which we have not agreed on
	}
	c.stats.PacketsReceived++
	c.stats.BytesReceived += uint64(len(payload))
	c.in.rate.bytes += int64(len(payload))
	c.in.media = now
	sent := c.in.clock.at(word(b, 2))
	if flags&flagRetransmit != 0 {
		c.stats.Retransmitted++
	} else {
		c.in.clock.drift.note(now, sent)
	}
	if !c.decrypt(byte(flags>>keyShift)&3, payload, seq) {
		c.stats.Undecrypted++
		payload = nil // there is no use in asking for it again
	}
	due := sent + c.in.delay + c.in.clock.drift.correction
	result, gap := c.in.put(seq, due, payload, now, flags&flagRetransmit != 0)
	switch result {
	case twice:
		c.stats.Duplicates++
	case belated:
		c.stats.Belated++
	case beyond:
		c.stats.Overrun++
	}
	if gap > 0 {
		c.stats.Lost += uint64(gap)
		if c.in.late == 0 {
			c.ask(now)
		}
	}
	if c.in.first == seq && due <= now {
		signal(c.ready)
	}
}

func (c *Conn) decrypt(key byte, payload []byte, seq uint32) bool {
	if c.keys == nil {
		return key == 0
	}
	return key != 0 && c.keys.decrypt(key, payload, seq) == nil
}

// ask asks for what is missing.
func (c *Conn) ask(now int64) {
	spans := c.in.lost(now, c.rtt.again())
	if len(spans) == 0 {
		return
	}
	var store [maxPayload]byte
	c.sendControl(now, ctrlNAK, 0, 0, appendLoss(store[:0], spans))
}

// acknowledge says what has come, and keeps saying so until it is confirmed.
func (c *Conn) acknowledge(now int64) {
	a := &c.in.acks
	news := a.seq != c.in.whole
	if !news && (a.confirmed || now-a.at < max(c.rtt.mean+4*c.rtt.dev, 100_000)) {
		return
	}
	a.no = max(a.no+1, 1)
	a.seq, a.at, a.confirmed = c.in.whole, now, false
	s := &a.sent[a.no%uint32(len(a.sent))]
	s.no, s.at = a.no, now
	room, _ := c.in.held()
	bytes := uint32(c.in.rate.perSecond)
	var store [28]byte
	b := store[:0]
	for _, w := range []uint32{
		a.seq, uint32(c.rtt.mean), uint32(c.rtt.dev), uint32(max(room, 2)),
		bytes / livePacket, bytes / livePacket, bytes,
	} {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	c.sendControl(now, ctrlACK, 0, a.no, b)
}

// confirmed takes the answer to an acknowledgement.
func (c *Conn) confirmed(no uint32, now int64) {
	a := &c.in.acks
	s := &a.sent[no%uint32(len(a.sent))]
	if s.no != no || no == 0 {
		return
	}
	s.no = 0
	c.rtt.sample(now - s.at)
	if no == a.no {
		a.confirmed = true
	}
}

// acknowledged takes the peer's acknowledgement.
func (c *Conn) acknowledged(no uint32, body []byte, now int64) {
	if len(body) < 4 {
		return
	}
	c.out.acknowledge(word(body, 0)&seqMask, now)
	signal(c.room)
	if len(body) < headerSize {
		return // a light one
	}
	c.rtt.sample(int64(word(body, 1)))
	c.out.window = max(int(min(word(body, 3), maxWindow)), 2)
	c.sendControl(now, ctrlACKACK, 0, no, nil)
}

// resend sends again what the peer misses, but for what is on its way. A report
// that names everything again and again is read until it has named as much as
// there is.
func (c *Conn) resend(body []byte, now int64) {
	left := c.out.waiting()
	parseLoss(body, func(s span) bool {
		last := min(distance(s.to, c.out.first), c.out.waiting()-1)
		for i := max(distance(s.from, c.out.first), 0); i <= last && left > 0; i++ {
			left--
			c.stats.PeerLost++
			c.repeat(advance(c.out.first, i), now, c.rtt.mean/2)
		}
		return left > 0
	})
}

// repeat sends a packet again unless it was sent within the last few µs given.
func (c *Conn) repeat(seq uint32, now, within int64) {
	d := c.out.at(seq)
	if d.buf == nil || now-d.last < within || !c.out.mayRepeat(now) {
		return
	}
	d.last = now
	c.out.tokens--
	d.buf.b[4] |= flagRetransmit >> 24
	c.send(d.buf.packet(), now)
	c.stats.Repeated++
}

// tick does what time asks for.
func (c *Conn) tick(at time.Time, stalled bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	now := c.at(at)
	c.in.ticked = now
	if stalled {
		c.in.patient = now + 2*c.rtt.mean + 100_000
		c.heard = max(c.heard, now-c.cfg.PeerTimeout.Microseconds()+1_000_000)
	}
	switch {
	case now-c.heard > c.cfg.PeerTimeout.Microseconds():
		c.end(ErrGone)
		return
	case c.media && now-c.in.media > c.cfg.MediaTimeout.Microseconds():
		c.end(ErrIdle)
		return
	}
	c.acknowledge(now)
	if c.in.whole != c.in.end {
		c.ask(now)
	}
	if c.in.due(now) {
		signal(c.ready)
	}
	if !stalled {
		c.expire(now)
	}
	if now-c.spoke > keepalive {
		c.sendControl(now, ctrlKeepalive, 0, 0, []byte{0, 0, 0, 0})
	}
	if c.in.rate.tick(now) {
		c.in.late -= c.in.late / 16
	}
	c.out.rate.tick(now)
}

// expire lets go of what is too late to be of use, and sends again what the
// peer cannot know that it misses, because nothing has come behind it.
func (c *Conn) expire(now int64) {
	if c.out.waiting() == 0 {
		return
	}
	keep := max(c.out.delay+c.out.delay/4, 1_000_000) + 20_000
	if n := c.out.expire(now - keep); n > 0 {
		c.stats.SendDropped += uint64(n)
		signal(c.room)
	}
	silence := c.rtt.mean + 4*c.rtt.dev + 50_000
	if now-c.out.progress < silence {
		return
	}
	for i := range min(c.out.waiting(), 16) {
		c.repeat(advance(c.out.first, i), now, silence)
	}
}

// meter measures a rate.
type meter struct {
	bytes, since int64
	perSecond    float64 // bytes
}

// tick reports whether a second has passed.
func (m *meter) tick(now int64) bool {
	d := now - m.since
	if d < 1_000_000 {
		return false
	}
	m.perSecond = float64(m.bytes) * 1e6 / float64(d)
	m.bytes, m.since = 0, now
	return true
}
