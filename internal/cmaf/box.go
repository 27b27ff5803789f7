package cmaf

import "encoding/binary"

// boxes appends ISO boxes to a buffer. It serves init segments; parts are
// written by hand (fragment.go).
type boxes struct{ b []byte }

func (b *boxes) u16(v uint16) *boxes { b.b = binary.BigEndian.AppendUint16(b.b, v); return b }
func (b *boxes) u32(v uint32) *boxes { b.b = binary.BigEndian.AppendUint32(b.b, v); return b }
func (b *boxes) str(s string) *boxes { b.b = append(b.b, s...); return b }
func (b *boxes) raw(p []byte)        { b.b = append(b.b, p...) }
func (b *boxes) zero(n int) *boxes   { b.b = append(b.b, make([]byte, n)...); return b }

// matrix appends the identity transformation.
func (b *boxes) matrix() *boxes {
	for _, v := range [9]uint32{0: 1 << 16, 4: 1 << 16, 8: 1 << 30} {
		b.u32(v)
	}
	return b
}

// box appends a box whose body fn appends.
func (b *boxes) box(name string, fn func()) {
	at := len(b.b)
	b.u32(0).str(name)
	fn()
	binary.BigEndian.PutUint32(b.b[at:], uint32(len(b.b)-at))
}

// full appends a FullBox of version 0.
func (b *boxes) full(name string, flags uint32, fn func()) {
	b.box(name, func() {
		b.u32(flags)
		fn()
	})
}
