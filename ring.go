package sluice

// entry is a packet in a Stream's ring.
type entry struct {
	Packet
	opens bool // it opens a segment
}

// headerSize is about what an entry takes beside its Data. It is counted so
// that watermarks, which have none, are bounded too.
const headerSize = 88

// ring is a queue of entries addressed by sequence number. It grows by
// doubling and is bounded by its owner.
type ring struct {
	buf         []entry // a power of two long
	first, next uint64
	bytes       int
}

func (r *ring) len() int { return int(r.next - r.first) }

func (r *ring) at(seq uint64) *entry { return &r.buf[seq&uint64(len(r.buf)-1)] }

func (r *ring) push(e entry) (seq uint64) {
	if r.len() == len(r.buf) {
		r.grow()
	}
	seq = r.next
	r.next++
	*r.at(seq) = e
	r.bytes += len(e.Data) + headerSize
	return seq
}

func (r *ring) grow() {
	old := *r
	r.buf = make([]entry, max(64, 2*len(old.buf)))
	for seq := r.first; seq < r.next; seq++ {
		*r.at(seq) = *old.at(seq)
	}
}

func (r *ring) pop() {
	e := r.at(r.first)
	r.bytes -= len(e.Data) + headerSize
	*e = entry{} // release Data
	r.first++
}

// signal wakes all who wait on it. Its owner's lock guards it.
type signal struct{ ch chan struct{} } // nil while nobody waits

// wait returns a channel that the next fire closes.
func (s *signal) wait() <-chan struct{} {
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) fire() {
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}
