package cmaf

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/sluice-live/sluice"
)

// ErrFormat is wrapped by errors about boxes that are not what they should be.
var ErrFormat = errors.New("not a CMAF box of this kind")

// CutBox cuts the first box off b. It reports false where there is no whole
// one with a size of 32 bits. A "uuid" box's body begins with its user type.
func CutBox(b []byte) (name sluice.FourCC, body, rest []byte, ok bool) {
	if len(b) < 8 {
		return name, nil, nil, false
	}
	size := binary.BigEndian.Uint32(b)
	if size < 8 || uint64(size) > uint64(len(b)) {
		return name, nil, nil, false
	}
	return sluice.FourCC(b[4:8]), b[8:size:size], b[size:], true
}

// Fields reads big-endian numbers one after the other; behind the end they are
// 0, and Short is set.
type Fields struct {
	B     []byte // what is left
	Short bool
}

// Skip passes over n bytes.
func (f *Fields) Skip(n int) {
	if len(f.B) < n {
		f.B, f.Short = nil, true
		return
	}
	f.B = f.B[n:]
}

// U32 reads four bytes.
func (f *Fields) U32() (v uint32) {
	if len(f.B) >= 4 {
		v = binary.BigEndian.Uint32(f.B)
	}
	f.Skip(4)
	return v
}

// U64 reads eight.
func (f *Fields) U64() (v uint64) {
	if len(f.B) >= 8 {
		v = binary.BigEndian.Uint64(f.B)
	}
	f.Skip(8)
	return v
}

// Entry is what a moov says of one track. The slices are parts of the moov.
type Entry struct {
	ID, Timescale uint32
	Config        []byte // the sample entry
	Own           []byte // body of the first uuid box in the trak
}

// ParseMovie reads the body of a moov of at most so many tracks.
func ParseMovie(moov []byte, most int) (entries []Entry, err error) {
	for len(moov) > 0 {
		name, body, rest, ok := CutBox(moov)
		if !ok {
			return nil, fmt.Errorf("cmaf: moov is cut off: %w", ErrFormat)
		}
		moov = rest
		if string(name[:]) != "trak" {
			continue
		}
		if len(entries) == most {
			return nil, fmt.Errorf("cmaf: moov has more than %d tracks: %w", most, ErrFormat)
		}
		var e Entry
		if err := e.parse(body); err != nil {
			return nil, err
		}
		if e.ID == 0 || e.Timescale == 0 || e.Config == nil {
			return nil, fmt.Errorf("cmaf: trak %d lacks an ID, a timescale or a sample entry: %w", e.ID, ErrFormat)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// parse reads what is in a trak, or in one of the boxes inside it that hold
// others. They nest five deep at most: each name is looked for by its own.
func (e *Entry) parse(b []byte) error {
	for len(b) > 0 {
		name, body, rest, ok := CutBox(b)
		if !ok {
			return fmt.Errorf("cmaf: trak is cut off: %w", ErrFormat)
		}
		b = rest
		f := Fields{B: body}
		switch string(name[:]) {
		case "mdia", "minf", "stbl":
			if err := e.parse(body); err != nil {
				return err
			}
		case "tkhd":
			f.Skip(4 + 2*timeSize(body))
			e.ID = f.U32()
		case "mdhd":
			f.Skip(4 + 2*timeSize(body))
			e.Timescale = f.U32()
		case "stsd":
			f.Skip(8) // version, count
			if _, _, rest, ok := CutBox(f.B); ok {
				e.Config = f.B[: len(f.B)-len(rest) : len(f.B)-len(rest)]
			}
		case "uuid":
			if e.Own == nil {
				e.Own = body
			}
		}
		if f.Short {
			return fmt.Errorf("cmaf: %s is cut off: %w", name, ErrFormat)
		}
	}
	return nil
}

// timeSize returns how long times are in a box, by its version.
func timeSize(body []byte) int {
	if len(body) > 0 && body[0] == 1 {
		return 8
	}
	return 4
}

// Chunk is what a moof says of its one packet.
type Chunk struct {
	Track  uint32
	DTS    int64
	Dur    uint32
	Offset int32 // PTS − DTS
	Key    bool
	Size   uint32 // of the data
	Start  uint32 // of the data, from the moof's own
	Own    []byte // body of the first uuid box in the moof
}

// Flags of tfhd beyond those that are written here.
const (
	hasBase        = 0x000001
	hasDescription = 0x000002
	hasDuration    = 0x000008
	hasSize        = 0x000010
	hasFlags       = 0x000020
	baseIsMoof     = 0x020000
	notSync        = 0x00010000 // of a sample
)

// ParseChunk reads the body of a moof of one fragment with one sample.
func ParseChunk(moof []byte) (c Chunk, err error) {
	fragments := 0
	for len(moof) > 0 {
		name, body, rest, ok := CutBox(moof)
		if !ok {
			return Chunk{}, fmt.Errorf("cmaf: moof is cut off: %w", ErrFormat)
		}
		moof = rest
		switch string(name[:]) {
		case "traf":
			fragments++
			if err := c.parse(body); err != nil {
				return Chunk{}, err
			}
		case "uuid":
			if c.Own == nil {
				c.Own = body
			}
		}
	}
	if fragments != 1 {
		return Chunk{}, fmt.Errorf("cmaf: moof has %d track fragments, not one: %w", fragments, ErrFormat)
	}
	return c, nil
}

func (c *Chunk) parse(traf []byte) error {
	var sampleFlags uint32
	runs, times := 0, 0
	for len(traf) > 0 {
		name, body, rest, ok := CutBox(traf)
		if !ok {
			return fmt.Errorf("cmaf: traf is cut off: %w", ErrFormat)
		}
		traf = rest
		f := Fields{B: body}
		var err error
		switch string(name[:]) {
		case "tfhd":
			sampleFlags, err = c.tfhd(&f)
		case "tfdt":
			times++
			c.tfdt(&f)
		case "trun":
			runs++
			sampleFlags, err = c.trun(&f, sampleFlags)
		}
		if err != nil {
			return err
		}
		if f.Short {
			return fmt.Errorf("cmaf: %s is cut off: %w", name, ErrFormat)
		}
	}
	c.Key = sampleFlags&notSync == 0
	switch {
	case runs != 1 || times != 1 || c.Track == 0:
		return fmt.Errorf("cmaf: traf lacks a track, a time or its one run: %w", ErrFormat)
	case c.DTS < 0 || c.DTS+int64(c.Offset) < 0:
		return fmt.Errorf("cmaf: time stamps %d%+d: %w", c.DTS, c.Offset, ErrFormat)
	}
	return nil
}

func (c *Chunk) tfhd(f *Fields) (sampleFlags uint32, err error) {
	flags := f.U32()
	c.Track = f.U32()
	if flags&hasBase != 0 || flags&baseIsMoof == 0 {
		return 0, fmt.Errorf("cmaf: tfhd without default-base-is-moof: %w", ErrFormat)
	}
	if flags&hasDescription != 0 {
		f.Skip(4)
	}
	if flags&hasDuration != 0 {
		c.Dur = f.U32()
	}
	if flags&hasSize != 0 {
		c.Size = f.U32()
	}
	if flags&hasFlags != 0 {
		sampleFlags = f.U32()
	}
	return sampleFlags, nil
}

func (c *Chunk) tfdt(f *Fields) {
	if f.U32()>>24 == 1 {
		c.DTS = int64(f.U64())
	} else {
		c.DTS = int64(f.U32())
	}
}

func (c *Chunk) trun(f *Fields, sampleFlags uint32) (uint32, error) {
	flags := f.U32()
	if n := f.U32(); n != 1 || flags&trunOffset == 0 {
		return 0, fmt.Errorf("cmaf: trun of %d samples, or without a data offset: %w", n, ErrFormat)
	}
	c.Start = f.U32()
	if flags&trunFirstFlags != 0 {
		sampleFlags = f.U32()
	}
	return c.sample(f, flags, sampleFlags), nil
}

// sample reads the fields of a sample that a trun has; what are its flags is
// returned.
func (c *Chunk) sample(in *Fields, trun, sampleFlags uint32) uint32 {
	if trun&trunDuration != 0 {
		c.Dur = in.U32()
	}
	if trun&trunSampleSize != 0 {
		c.Size = in.U32()
	}
	if trun&trunFlags != 0 {
		sampleFlags = in.U32()
	}
	if trun&trunComposition != 0 {
		c.Offset = int32(in.U32())
	}
	return sampleFlags
}

// CheckTrack reports what keeps a track from having an init segment; it wraps
// [ErrTrack].
func CheckTrack(t *sluice.Track) error { return checkEntry(t) }
