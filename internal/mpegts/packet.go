package mpegts

const (
	packetSize = 188
	syncByte   = 0x47
	nullPID    = 0x1fff
)

// tsPacket is one transport packet (ISO/IEC 13818-1, 2.4.3.2), taken apart.
type tsPacket struct {
	pid       uint16
	cc        byte
	start     bool // a PES packet or section begins in it
	damaged   bool // transport_error_indicator
	scrambled bool
	discont   bool // discontinuity_indicator
	stuffed   bool // the adaptation field is longer than it needs to be
	payload   []byte
}

// parsePacket reads 188 bytes; ok is false if they contradict themselves.
func parsePacket(b []byte) (p tsPacket, ok bool) {
	p = tsPacket{
		pid:       uint16(b[1]&0x1f)<<8 | uint16(b[2]),
		cc:        b[3] & 15,
		start:     b[1]&0x40 != 0,
		damaged:   b[1]&0x80 != 0,
		scrambled: b[3]&0xc0 != 0,
	}
	at := 4
	if b[3]&0x20 != 0 {
		n := int(b[4])
		if n > packetSize-5 {
			return p, false
		}
		field := b[5 : 5+n]
		p.discont = n > 0 && field[0]&0x80 != 0
		p.stuffed = stuffing(field)
		at += 1 + n
	}
	if b[3]&0x10 != 0 {
		p.payload = b[at:packetSize]
	}
	return p, true
}

// stuffing reports whether an adaptation field holds more than its flags ask
// for. One that says nothing at all is there to fill.
func stuffing(field []byte) bool {
	if len(field) == 0 || field[0] == 0 {
		return true
	}
	flags, n := field[0], 1
	n += 6 * int(flags>>4&1) // PCR
	n += 6 * int(flags>>3&1) // original PCR
	n += int(flags >> 2 & 1) // splice countdown
	for _, bit := range [...]byte{2, 1} {
		if flags&bit != 0 && n < len(field) { // private data, extension
			n += 1 + int(field[n])
		}
	}
	return n < len(field)
}

// clockMask bounds the 33-bit clock of 90 kHz.
const clockMask = 1<<33 - 1

// stamp reads a time stamp of a PES header, which takes five bytes.
func stamp(b []byte) int64 {
	return int64(b[0]>>1&7)<<30 | int64(b[1])<<22 | int64(b[2]>>1)<<15 | int64(b[3])<<7 | int64(b[4]>>1)
}

func appendStamp(b []byte, prefix byte, t int64) []byte {
	return append(b, prefix<<4|byte(t>>29)&0x0e|1, byte(t>>22), byte(t>>14)|1, byte(t>>7), byte(t<<1)|1)
}
