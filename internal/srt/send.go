package srt

// Time in this file is in µs on the connection's clock.

// departure is a packet that was sent and is not acknowledged.
type departure struct {
	buf  *buffer // with its head
	at   int64   // when it was written
	last int64   // when it was last sent
}

// outbox keeps what was sent until the peer has it, or its time is over.
type outbox struct {
	ring[departure]        // first is the oldest that is kept
	next            uint32 // of the next packet
	message         uint32
	window          int // how many the peer has room for
	rate            meter
	tokens          float64
	filled          int64 // when tokens were last added
	progress        int64 // when the peer last acknowledged something
}

func newOutbox(seq uint32, window int) outbox {
	return outbox{ring: ring[departure]{first: seq}, next: seq, window: window, tokens: paceBurst}
}

// Pace of sending: at least 32 Mbit/s and three times the stream's own rate, so
// that a key frame, or the group of pictures that a player begins with, does
// not overrun the buffers on its way. What is repeated has precedence.
const (
	leastPace  = 0.003 // packets in a µs
	paceBurst  = 32
	repeatDebt = 32
)

// pace reports whether a packet may go now.
func (o *outbox) pace(now int64) bool {
	o.refill(now)
	return o.tokens >= 1
}

func (o *outbox) mayRepeat(now int64) bool {
	o.refill(now)
	return o.tokens > -repeatDebt
}

func (o *outbox) refill(now int64) {
	rate := max(leastPace, 3*o.rate.perSecond/livePacket/1e6)
	o.tokens = min(o.tokens+float64(now-o.filled)*rate, paceBurst)
	o.filled = now
}

func (o *outbox) waiting() int { return distance(o.next, o.first) }

// room reports whether the peer can take another packet.
func (o *outbox) room() bool { return o.waiting() < min(o.window, maxWindow) }

// add keeps a packet that is being sent.
func (o *outbox) add(buf *buffer, now int64) {
	o.reserve(o.waiting()+1, o.waiting())
	if o.waiting() == 0 {
		o.progress = now
	}
	*o.at(o.next) = departure{buf: buf, at: now, last: now}
	o.next = advance(o.next, 1)
	o.tokens--
}

// acknowledge lets go of what is before seq.
func (o *outbox) acknowledge(seq uint32, now int64) {
	if distance(seq, o.next) > 0 {
		return // nobody can have what was not sent
	}
	for distance(seq, o.first) > 0 {
		o.drop()
		o.progress = now
	}
}

func (o *outbox) drop() {
	s := o.at(o.first)
	s.buf.free()
	*s = departure{}
	o.first = advance(o.first, 1)
}

// expire lets go of what was written before the given time, and returns how
// much it was.
func (o *outbox) expire(before int64) (n int) {
	for o.waiting() > 0 && o.at(o.first).at < before {
		o.drop()
		n++
	}
	return n
}

func (o *outbox) clear() {
	for o.waiting() > 0 {
		o.drop()
	}
}
