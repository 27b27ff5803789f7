package srt

import "sync"

// buffer holds one packet, with room for its head in front of the payload.
type buffer struct {
	n int // bytes of payload
	b [mtu]byte
}

func (b *buffer) payload() []byte { return b.b[headerSize : headerSize+b.n] }

func (b *buffer) packet() []byte { return b.b[:headerSize+b.n] }

var buffers = sync.Pool{New: func() any { return new(buffer) }}

func newBuffer(payload []byte) *buffer {
	b := buffers.Get().(*buffer)
	b.n = copy(b.b[headerSize:], payload)
	return b
}

func (b *buffer) free() { buffers.Put(b) }

const (
	minWindow = 256
	maxWindow = 32768 // packets: 43 MB; 3.2 s of 100 Mbit/s
)

// ring holds packets by sequence number, from first on.
type ring[T any] struct {
	slots []T // a power of two
	first uint32
}

func (r *ring[T]) at(seq uint32) *T { return &r.slots[seq&uint32(len(r.slots)-1)] }

// reserve makes room for n packets from first on, of which used are in it. It
// reports false if that is more than may ever be.
func (r *ring[T]) reserve(n, used int) bool {
	if n <= len(r.slots) {
		return true
	}
	if n > maxWindow {
		return false
	}
	size := max(2*len(r.slots), minWindow)
	for size < n {
		size *= 2
	}
	old := *r
	r.slots = make([]T, size)
	for i := range min(used, len(old.slots)) {
		seq := advance(old.first, i)
		*r.at(seq) = *old.at(seq)
	}
	return true
}
