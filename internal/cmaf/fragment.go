package cmaf

import (
	"encoding/binary"
	"fmt"

	"github.com/sluice-live/sluice"
)

// sample is one packet in the open part.
type sample struct {
	data     []byte
	dts, dur int64
	offset   int32 // PTS − DTS
	key      bool
}

// Box sizes and flags of a fragment. default-base-is-moof is what CMAF asks for.
const (
	mfhdSize = 16
	tfhdSize = 24 // default duration and flags
	tfdtSize = 20
	trunSize = 20 // without optional fields

	tfhdFlags = 0x020000 | 0x08 | 0x20

	trunOffset      = 0x001
	trunFirstFlags  = 0x004
	trunDuration    = 0x100
	trunSampleSize  = 0x200
	trunFlags       = 0x400
	trunComposition = 0x800

	flagsSync    = 0x02000000 // depends on no other
	flagsNonSync = 0x01010000 // depends on others, is not a sync sample
)

// layout says which optional fields the samples of a part need.
type layout struct {
	trun    uint32 // flags of trun
	dur     uint32 // default, of every sample unless trun says otherwise
	flags   uint32 // default, of every sample unless trun says otherwise
	perItem int    // bytes of a sample in trun
	data    int    // bytes of all samples
}

func flagsOf(s *sample) uint32 {
	if s.key {
		return flagsSync
	}
	return flagsNonSync
}

// plan chooses the shortest form: what all samples share stands once.
func plan(samples []sample) layout {
	first := &samples[0]
	common := &samples[min(1, len(samples)-1)]
	l := layout{trun: trunOffset | trunSampleSize, dur: uint32(first.dur), flags: flagsOf(common)}
	if first.key != common.key {
		l.trun |= trunFirstFlags
	}
	for i := range samples {
		s := &samples[i]
		l.data += len(s.data)
		if uint32(s.dur) != l.dur {
			l.trun |= trunDuration
		}
		if s.offset != 0 {
			l.trun |= trunComposition
		}
		if i > 0 && s.key != common.key {
			l.trun |= trunFlags
		}
	}
	if l.trun&trunFlags != 0 {
		l.trun &^= trunFirstFlags
	}
	l.perItem = 4
	for _, f := range [...]uint32{trunDuration, trunFlags, trunComposition} {
		if l.trun&f != 0 {
			l.perItem += 4
		}
	}
	return l
}

// fragment returns the moof and mdat of a part in one allocation of exact size.
func fragment(track, sequence uint32, samples []sample) []byte {
	l := plan(samples)
	b := make([]byte, 0, l.moof(len(samples))+8+l.data)
	b = l.header(b, track, sequence, samples, nil)
	for i := range samples {
		b = append(b, samples[i].data...)
	}
	return b
}

// AppendChunk appends the moof of a chunk of one packet, with boxes of the
// caller's own at its end, and the header of its mdat: what the packet's Data
// makes a complete chunk. It allocates nothing but room in b.
func AppendChunk(b []byte, p *sluice.Packet, sequence uint32, own []byte) ([]byte, error) {
	offset := p.PTS - p.DTS
	switch {
	case p.DTS < 0 || p.PTS < 0:
		return b, fmt.Errorf("cmaf: time stamps %d, %d: %w", p.DTS, p.PTS, ErrPacket)
	case offset != int64(int32(offset)):
		return b, fmt.Errorf("cmaf: PTS %d is too far from DTS %d: %w", p.PTS, p.DTS, ErrPacket)
	case p.Dur != int64(uint32(p.Dur)):
		return b, fmt.Errorf("cmaf: duration of %d ticks: %w", p.Dur, ErrPacket)
	case len(p.Data) > maxData:
		return b, fmt.Errorf("cmaf: %d bytes: %w", len(p.Data), ErrPacket)
	}
	one := [1]sample{{data: p.Data, dts: p.DTS, dur: p.Dur, offset: int32(offset), key: p.Key}}
	l := plan(one[:])
	return l.header(b, p.Track.ID, sequence, one[:], own), nil
}

// trunBytes and moof return the sizes of the boxes for so many samples.
func (l *layout) trunBytes(samples int) int {
	if l.trun&trunFirstFlags != 0 {
		return trunSize + 4 + samples*l.perItem
	}
	return trunSize + samples*l.perItem
}

func (l *layout) moof(samples int) int {
	return 8 + mfhdSize + 8 + tfhdSize + tfdtSize + l.trunBytes(samples)
}

// header appends the moof, with own at its end, and the header of the mdat.
func (l *layout) header(b []byte, track, sequence uint32, samples []sample, own []byte) []byte {
	trun := l.trunBytes(len(samples))
	traf := 8 + tfhdSize + tfdtSize + trun
	moof := l.moof(len(samples)) + len(own)
	b = header(b, moof, "moof")
	b = header(b, mfhdSize, "mfhd")
	b = u32(u32(b, 0), sequence)
	b = header(b, traf, "traf")
	b = header(b, tfhdSize, "tfhd")
	b = u32(u32(u32(u32(b, tfhdFlags), track), l.dur), l.flags)
	b = header(b, tfdtSize, "tfdt")
	b = binary.BigEndian.AppendUint64(u32(b, 1<<24), uint64(samples[0].dts))
	b = header(b, trun, "trun")
	b = u32(u32(u32(b, 1<<24|l.trun), uint32(len(samples))), uint32(moof+8))
	if l.trun&trunFirstFlags != 0 {
		b = u32(b, flagsOf(&samples[0]))
	}
	for i := range samples {
		b = l.append(b, &samples[i])
	}
	b = append(b, own...)
	return header(b, 8+l.data, "mdat")
}

func (l *layout) append(b []byte, s *sample) []byte {
	if l.trun&trunDuration != 0 {
		b = u32(b, uint32(s.dur))
	}
	b = u32(b, uint32(len(s.data)))
	if l.trun&trunFlags != 0 {
		b = u32(b, flagsOf(s))
	}
	if l.trun&trunComposition != 0 {
		b = u32(b, uint32(s.offset))
	}
	return b
}

func header(b []byte, size int, name string) []byte {
	return append(u32(b, uint32(size)), name...)
}

func u32(b []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(b, v) }
