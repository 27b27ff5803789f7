package mpegts

import (
	"bytes"
	"encoding/binary"
)

var be = binary.BigEndian

const (
	tablePAT   = 0
	tablePMT   = 2
	maxSection = 1024 // PAT and PMT; 13818-1, 2.4.4
)

// sections puts the sections of one PID together.
type sections struct {
	buf  []byte
	cc   byte
	open bool // in step: a section's start has been seen
}

// feed takes a packet's payload and calls each for every section in it that is
// whole, with its CRC checked; bad counts those that fail.
func (s *sections) feed(p tsPacket, bad func(), each func(section []byte)) {
	if s.open && p.cc == s.cc && !p.discont {
		return // sent twice
	}
	if s.open && p.cc != (s.cc+1)&15 {
		s.open, s.buf = false, s.buf[:0]
	}
	s.cc = p.cc
	b := p.payload
	if p.start {
		if len(b) == 0 || int(b[0]) >= len(b) {
			return
		}
		n := int(b[0])
		if s.open {
			s.buf = append(s.buf, b[1:1+n]...)
			s.take(bad, each)
		}
		s.buf, b, s.open = s.buf[:0], b[1+n:], true
	}
	if s.open {
		s.buf = append(s.buf, b...)
		s.take(bad, each)
	}
}

func (s *sections) take(bad func(), each func(section []byte)) {
	b := s.buf
	for len(b) >= 3 && b[0] != 0xff { // stuffing follows
		n := 3 + int(be.Uint16(b[1:])&0xfff)
		if n > maxSection {
			bad()
			b = nil
			break
		}
		if n > len(b) {
			break
		}
		switch {
		case n < 12 || b[1]&0x80 == 0: // tables without a CRC are none of ours
		case crc32(b[:n]) != 0:
			bad()
		case b[5]&1 != 0: // current
			each(b[:n])
		}
		b = b[n:]
	}
	if len(b) > 0 && b[0] == 0xff {
		b = nil
	}
	s.buf = append(s.buf[:0], b...)
}

// crcTable is of the polynomial 0x04c11db7, most significant bit first.
var crcTable = func() (t [256]uint32) {
	for i := range t {
		c := uint32(i) << 24
		for range 8 {
			if c&(1<<31) != 0 {
				c = c<<1 ^ 0x04c11db7
			} else {
				c <<= 1
			}
		}
		t[i] = c
	}
	return t
}()

// crc32 returns the CRC of 13818-1, annex A; that of a whole section is 0.
func crc32(b []byte) uint32 {
	c := uint32(0xffffffff)
	for _, x := range b {
		c = c<<8 ^ crcTable[byte(c>>24)^x]
	}
	return c
}

// program is one line of a PAT.
type program struct {
	number, pid uint16
}

// parsePAT returns the programs of a section, without the network's.
func parsePAT(section []byte) []program {
	var all []program
	for b := section[8 : len(section)-4]; len(b) >= 4; b = b[4:] {
		p := program{be.Uint16(b), be.Uint16(b[2:]) & 0x1fff}
		if p.number != 0 {
			all = append(all, p)
		}
	}
	return all
}

// elementary is one stream of a PMT.
type elementary struct {
	kind        byte // stream_type
	pid         uint16
	descriptors []byte
}

// parsePMT returns the streams that a section lists; ok is false if its lengths
// do not fit.
func parsePMT(section []byte) (all []elementary, ok bool) {
	b := section[8 : len(section)-4]
	if len(b) < 4 {
		return nil, false
	}
	info := int(be.Uint16(b[2:]) & 0xfff)
	if info > len(b)-4 {
		return nil, false
	}
	for b = b[4+info:]; len(b) >= 5; {
		n := int(be.Uint16(b[3:]) & 0xfff)
		if n > len(b)-5 {
			return nil, false
		}
		all = append(all, elementary{b[0], be.Uint16(b[1:]) & 0x1fff, bytes.Clone(b[5 : 5+n])})
		b = b[5+n:]
	}
	return all, len(b) == 0
}

// descriptor returns the content of the first descriptor with a tag.
func (e elementary) descriptor(tag byte) ([]byte, bool) {
	for b := e.descriptors; len(b) >= 2; {
		n := int(b[1])
		if n > len(b)-2 {
			break
		}
		if b[0] == tag {
			return b[2 : 2+n], true
		}
		b = b[2+n:]
	}
	return nil, false
}

// registered reports whether the stream's registration descriptor says id.
func (e elementary) registered(id string) bool {
	d, _ := e.descriptor(tagRegistration)
	return len(d) >= 4 && string(d[:4]) == id
}

// Descriptor tags of 13818-1 and ETSI EN 300 468.
const (
	tagRegistration = 0x05
	tagAC3          = 0x6a
	tagExtension    = 0x7f
	tagOpus         = 0x80 // within an extension descriptor
)
