package dvr

import (
	"encoding/binary"
	"fmt"

	"github.com/sluice-live/sluice/internal/cmaf"
)

// Part is one part of an archived segment: a moof and its mdat.
type Part struct {
	// Offset and Size say where it lies in the segment, in bytes.
	Offset, Size int64
	Samples      []Sample

	crc uint32 // of its bytes
}

// Sample is one access unit or coded frame of an archived segment.
type Sample struct {
	// Offset and Size say where its data lies in the segment, in bytes.
	Offset, Size int64
	// DTS, PTS and Dur are its packet's, in ticks of the track.
	DTS, PTS, Dur int64
	Key, Discont  bool
}

// maxSamples bounds the samples of a part; the packager's bound is the same.
const maxSamples = 4096

// appendPart appends a part to a table of samples; the times of the first
// sample count from start.
func appendPart(b []byte, start int64, p *Part) []byte {
	b = binary.AppendUvarint(b, uint64(p.Size))
	b = binary.AppendUvarint(b, uint64(p.Samples[0].Offset-p.Offset))
	b = binary.BigEndian.AppendUint32(b, p.crc)
	b = binary.AppendUvarint(b, uint64(len(p.Samples)))
	next, dur := start, int64(0)
	for i := range p.Samples {
		s := &p.Samples[i]
		size := uint64(s.Size) << 2
		if s.Key {
			size |= 1
		}
		if s.Discont {
			size |= 2
		}
		b = binary.AppendUvarint(b, size)
		b = binary.AppendVarint(b, s.DTS-next)
		b = binary.AppendVarint(b, s.Dur-dur)
		b = binary.AppendVarint(b, s.PTS-s.DTS)
		next, dur = s.DTS+s.Dur, s.Dur
	}
	return b
}

// table reads what appendPart wrote. It has a sticky error.
type table struct {
	b   []byte
	bad bool
}

func (t *table) uvarint() uint64 {
	v, n := binary.Uvarint(t.b)
	t.skip(n)
	return v
}

func (t *table) varint() int64 {
	v, n := binary.Varint(t.b)
	t.skip(n)
	return v
}

func (t *table) skip(n int) {
	if n <= 0 || n > len(t.b) {
		t.b, t.bad = nil, true
		return
	}
	t.b = t.b[n:]
}

// parseSamples reads the table of a segment of size bytes of media.
func parseSamples(b []byte, start, size int64) ([]Part, error) {
	t := table{b: b}
	var parts []Part
	off := int64(0)
	for len(t.b) > 0 {
		p := Part{Offset: off, Size: int64(t.uvarint())}
		head := int64(t.uvarint())
		if len(t.b) >= 4 {
			p.crc = binary.BigEndian.Uint32(t.b)
		}
		t.skip(4)
		n := t.uvarint()
		if t.bad || p.Size < 0 || p.Size > size-off || head < 0 || head > p.Size || n == 0 || n > min(maxSamples, uint64(len(t.b))/4) {
			return nil, fmt.Errorf("table of samples, part %d: %w", len(parts), ErrFormat)
		}
		if !t.part(&p, int(n), off+head, start) {
			return nil, fmt.Errorf("table of samples, part %d: %w", len(parts), ErrFormat)
		}
		off += p.Size
		parts = append(parts, p)
	}
	if off != size {
		return nil, fmt.Errorf("table of samples of %d bytes, not %d: %w", off, size, ErrFormat)
	}
	return parts, nil
}

// part reads n samples, whose data begins at off.
func (t *table) part(p *Part, n int, off, next int64) bool {
	p.Samples = make([]Sample, n)
	dur := int64(0)
	for i := range p.Samples {
		size := t.uvarint()
		s := Sample{Offset: off, Size: int64(size >> 2), Key: size&1 != 0, Discont: size&2 != 0}
		dts, d, offset := t.varint(), t.varint(), t.varint()
		if t.bad || s.Size > p.Offset+p.Size-off || !inTime(dts) || !inTime(d) || !inTime(offset) {
			return false
		}
		s.DTS = next + dts
		s.Dur = dur + d
		s.PTS = s.DTS + offset
		if s.DTS < 0 || s.DTS > maxTime || s.PTS < 0 || s.PTS > maxTime || s.Dur < 0 || s.Dur > maxTime/2 {
			return false
		}
		next, dur, off = s.DTS+s.Dur, s.Dur, off+s.Size
		if next > maxTime {
			return false
		}
		p.Samples[i] = s
	}
	return true
}

func inTime(v int64) bool { return v > -maxTime && v < maxTime }

// partsOf reads the parts of a segment from their moofs: the same as from its
// table, but that a sample lasts to the next one, and nothing is Discont.
func partsOf(media []byte) ([]Part, error) {
	var parts []Part
	off := int64(0)
	for len(media) > 0 {
		f, err := cmaf.ParseFragment(media)
		if err != nil {
			return nil, fmt.Errorf("part %d: %w: %w", len(parts), ErrFormat, err)
		}
		parts = append(parts, partOf(&f, off, media[:f.Size]))
		off += int64(f.Size)
		media = media[f.Size:]
	}
	return parts, nil
}

func partOf(f *cmaf.Fragment, off int64, data []byte) Part {
	p := Part{Offset: off, Size: int64(f.Size), crc: checksum(data), Samples: make([]Sample, len(f.Samples))}
	for i, s := range f.Samples {
		p.Samples[i] = Sample{Offset: off + int64(s.Start), Size: int64(s.Size), DTS: s.DTS, PTS: s.PTS, Dur: s.Dur, Key: s.Key}
	}
	return p
}
