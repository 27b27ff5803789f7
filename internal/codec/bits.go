package codec

// bitReader reads bits, most significant first. After the end it returns
// zeros and keeps the error, so that parsers run straight down and look once.
type bitReader struct {
	b   []byte
	pos int // in bits
	err error
}

// bits reads n ≤ 32 bits.
func (r *bitReader) bits(n int) uint32 {
	if n > r.left() {
		r.fail(errShort)
	}
	if r.err != nil {
		return 0
	}
	var v uint64
	for n > 0 {
		left := 8 - r.pos&7
		take := min(left, n)
		chunk := r.b[r.pos>>3] >> (left - take) & (1<<take - 1)
		v = v<<take | uint64(chunk)
		r.pos += take
		n -= take
	}
	return uint32(v)
}

func (r *bitReader) flag() bool { return r.bits(1) == 1 }

func (r *bitReader) skip(n int) {
	if n > r.left() {
		r.fail(errShort)
	}
	if r.err == nil {
		r.pos += n
	}
}

// fail keeps the first error.
func (r *bitReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *bitReader) left() int { return len(r.b)*8 - r.pos }

// ue reads an unsigned Exp-Golomb code.
func (r *bitReader) ue() uint32 {
	zeros := 0
	for r.err == nil && r.bits(1) == 0 {
		zeros++
		if zeros > 31 {
			r.fail(errGolomb)
		}
	}
	if r.err != nil {
		return 0
	}
	return uint32(uint64(1)<<zeros - 1 + uint64(r.bits(zeros)))
}

// se reads a signed Exp-Golomb code.
func (r *bitReader) se() int32 {
	v := r.ue()
	if v&1 == 1 {
		return int32(v/2) + 1
	}
	return -int32(v / 2)
}
