package cmaf

import (
	"encoding/binary"
	"fmt"
)

// Sample is what a fragment says of one of its samples.
type Sample struct {
	Start    int // of the data, from the fragment's first byte
	Size     int
	DTS, PTS int64
	Dur      int64
	Key      bool
}

// Fragment is what a moof and its mdat say together.
type Fragment struct {
	Track   uint32
	Size    int // of both boxes
	Samples []Sample
}

// ParseFragment reads the fragment that b begins with, as [Packager] makes it:
// one moof with one run of one track, and its mdat.
func ParseFragment(b []byte) (f Fragment, err error) {
	name, moof, rest, ok := CutBox(b)
	if !ok || string(name[:]) != "moof" {
		return f, fmt.Errorf("cmaf: fragment without a whole moof: %w", ErrFormat)
	}
	first := len(b) - len(rest) + 8
	name, data, rest, ok := CutBox(rest)
	if !ok || string(name[:]) != "mdat" {
		return f, fmt.Errorf("cmaf: moof without a whole mdat: %w", ErrFormat)
	}
	f.Size = len(b) - len(rest)
	runs := 0
	for len(moof) > 0 {
		name, body, rest, ok := CutBox(moof)
		if !ok {
			return f, fmt.Errorf("cmaf: moof is cut off: %w", ErrFormat)
		}
		moof = rest
		if string(name[:]) != "traf" {
			continue
		}
		if runs++; runs > 1 {
			return f, fmt.Errorf("cmaf: moof of several tracks: %w", ErrFormat)
		}
		if err := f.traf(body, first, len(data)); err != nil {
			return f, err
		}
	}
	if len(f.Samples) == 0 {
		return f, fmt.Errorf("cmaf: fragment without samples: %w", ErrFormat)
	}
	return f, nil
}

// traf reads a track fragment whose data begins at first and has so many bytes.
func (f *Fragment) traf(traf []byte, first, size int) error {
	var defaults Chunk
	var flags uint32
	var run []byte
	for len(traf) > 0 {
		name, body, rest, ok := CutBox(traf)
		if !ok {
			return fmt.Errorf("cmaf: traf is cut off: %w", ErrFormat)
		}
		traf = rest
		in := Fields{B: body}
		var err error
		switch string(name[:]) {
		case "tfhd":
			flags, err = defaults.tfhd(&in)
		case "tfdt":
			defaults.tfdt(&in)
		case "trun":
			if run != nil {
				err = fmt.Errorf("cmaf: traf with several runs: %w", ErrFormat)
			}
			run = body
		}
		if err != nil {
			return err
		}
		if in.Short {
			return fmt.Errorf("cmaf: %s is cut off: %w", name, ErrFormat)
		}
	}
	if run == nil || defaults.Track == 0 || defaults.DTS < 0 {
		return fmt.Errorf("cmaf: traf lacks a track, a time or its run: %w", ErrFormat)
	}
	f.Track = defaults.Track
	return f.run(run, defaults, flags, first, size)
}

// run reads a trun; what it leaves out is as tfhd says.
func (f *Fragment) run(trun []byte, defaults Chunk, sampleFlags uint32, first, size int) error {
	in := Fields{B: trun}
	flags, n := in.U32(), in.U32()
	if n == 0 || n > maxSamples || flags&trunOffset == 0 || int(in.U32()) != first {
		return fmt.Errorf("cmaf: trun of %d samples, or whose data is not its mdat's: %w", n, ErrFormat)
	}
	firstFlags := sampleFlags
	if flags&trunFirstFlags != 0 {
		firstFlags = in.U32()
	}
	dts, at, end := defaults.DTS, first, first+size
	f.Samples = make([]Sample, 0, n)
	for i := range n {
		c, own := defaults, sampleFlags
		if i == 0 {
			own = firstFlags
		}
		own = c.sample(&in, flags, own)
		if in.Short || uint64(c.Size) > uint64(end-at) {
			return fmt.Errorf("cmaf: trun or its data is cut off: %w", ErrFormat)
		}
		s := Sample{Start: at, Size: int(c.Size), DTS: dts, PTS: dts + int64(c.Offset), Dur: int64(c.Dur), Key: own&notSync == 0}
		if s.PTS < 0 || dts > 1<<62 {
			return fmt.Errorf("cmaf: time stamps %d, %d: %w", s.DTS, s.PTS, ErrFormat)
		}
		f.Samples = append(f.Samples, s)
		dts, at = dts+s.Dur, at+s.Size
	}
	if at != end {
		return fmt.Errorf("cmaf: mdat of %d bytes holds %d of samples: %w", size, at-first, ErrFormat)
	}
	return nil
}

// BoxSize returns the size and name of the box that head, its first eight
// bytes, begins. It is 0 where that is none with a size of 32 bits.
func BoxSize(head []byte) (size int64, name string) {
	if len(head) < 8 {
		return 0, ""
	}
	if size = int64(binary.BigEndian.Uint32(head)); size < 8 {
		return 0, ""
	}
	return size, string(head[4:8])
}
