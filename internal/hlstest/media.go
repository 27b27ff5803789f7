package hlstest

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/Eyevinn/mp4ff/bits"
	"github.com/Eyevinn/mp4ff/mp4"
)

var errMedia = errors.New("media is malformed")

// initSegment is what the walk needs of an EXT-X-MAP.
type initSegment struct {
	timescale int64
	handler   string // "vide", "soun"
	entry     string // "avc1"
	codec     string // RFC 6381, as far as it is known here
	trackID   uint32
	trex      *mp4.TrexBox
}

func decode(data []byte) (*mp4.File, error) {
	return mp4.DecodeFileSR(bits.NewFixedSliceReader(data))
}

// guard makes an error of what the parser of boxes panics about.
func guard(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: %v", errMedia, r)
	}
}

func parseInit(data []byte) (_ *initSegment, err error) {
	defer guard(&err)
	f, err := decode(data)
	if err != nil {
		return nil, err
	}
	if f.Init == nil || f.Init.Moov == nil || f.Ftyp == nil {
		return nil, fmt.Errorf("%w: no ftyp and moov", errMedia)
	}
	moov := f.Init.Moov
	if len(moov.Traks) != 1 || moov.Mvex == nil || moov.Mvex.Trex == nil {
		return nil, fmt.Errorf("%w: want one track and its trex", errMedia)
	}
	mdia := moov.Trak.Mdia
	if mdia == nil || mdia.Mdhd == nil || mdia.Hdlr == nil || mdia.Minf == nil || mdia.Minf.Stbl == nil ||
		mdia.Minf.Stbl.Stsd == nil || len(mdia.Minf.Stbl.Stsd.Children) != 1 || mdia.Mdhd.Timescale == 0 {
		return nil, fmt.Errorf("%w: track lacks mdhd, hdlr or one sample entry", errMedia)
	}
	entry := mdia.Minf.Stbl.Stsd.Children[0]
	return &initSegment{
		timescale: int64(mdia.Mdhd.Timescale), handler: mdia.Hdlr.HandlerType, entry: entry.Type(),
		codec: codecString(entry), trackID: moov.Trak.Tkhd.TrackID, trex: moov.Mvex.Trex,
	}, nil
}

// codecString is the CODECS element of a sample entry; the entry's bare type
// where the rest is not known here.
func codecString(entry mp4.Box) string {
	v, ok := entry.(*mp4.VisualSampleEntryBox)
	if ok && v.AvcC != nil {
		return fmt.Sprintf("%s.%02x%02x%02x", entry.Type(), v.AvcC.AVCProfileIndication, v.AvcC.ProfileCompatibility, v.AvcC.AVCLevelIndication)
	}
	return entry.Type()
}

// fragment is what the walk needs of a moof.
type fragment struct {
	start, dur int64 // decode time, ticks
	offset     int64 // composition offset of the first sample
	minPTS     int64 // earliest presentation time of any sample
	sync       bool  // first sample
	keys       int   // sync samples
	lied       string
}

func (f fragment) end() int64 { return f.start + f.dur }

// shown is when the presentation of a segment that begins with it begins: with
// a key frame, or, where it was cut without one, with its earliest frame.
func (f fragment) shown() int64 {
	if f.sync {
		return f.start + f.offset
	}
	return f.minPTS
}

// parseFragments reads the moofs of a part or segment.
func parseFragments(init *initSegment, data []byte) (out []fragment, err error) {
	defer guard(&err)
	f, err := decode(data)
	if err != nil {
		return nil, err
	}
	for _, s := range f.Segments {
		for _, frag := range s.Fragments {
			one, err := readFragment(init, frag)
			if err != nil {
				return nil, err
			}
			out = append(out, one)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: no moof", errMedia)
	}
	return out, nil
}

func readFragment(init *initSegment, f *mp4.Fragment) (out fragment, err error) {
	if f.Moof == nil || f.Mdat == nil || len(f.Moof.Trafs) != 1 {
		return out, fmt.Errorf("%w: want one moof with one traf, and its mdat", errMedia)
	}
	traf := f.Moof.Traf
	if traf.Tfdt == nil || traf.Tfhd == nil || len(traf.Truns) != 1 || traf.Tfhd.TrackID != init.trackID {
		return out, fmt.Errorf("%w: want tfdt and one trun of track %d", errMedia, init.trackID)
	}
	samples, err := f.GetFullSamples(init.trex)
	if err != nil || len(samples) == 0 {
		return out, fmt.Errorf("%w: samples: %d, %w", errMedia, len(samples), err)
	}
	out.start = int64(traf.Tfdt.BaseMediaDecodeTime())
	out.offset, out.sync = int64(samples[0].CompositionTimeOffset), samples[0].IsSync()
	out.minPTS = out.start + out.offset
	size := 0
	for i, s := range samples {
		out.minPTS = min(out.minPTS, int64(s.DecodeTime)+int64(s.CompositionTimeOffset))
		out.dur += int64(s.Dur)
		size += len(s.Data)
		if s.IsSync() {
			out.keys++
		}
		if init.entry == "avc1" && s.IsSync() != hasIDR(s.Data) {
			out.lied = fmt.Sprintf("sample %d is flagged sync=%v, but IDR=%v", i, s.IsSync(), hasIDR(s.Data))
		}
	}
	if size != len(f.Mdat.Data) {
		return out, fmt.Errorf("%w: samples have %d bytes, mdat %d", errMedia, size, len(f.Mdat.Data))
	}
	return out, nil
}

// hasIDR looks for an IDR slice among NAL units with four-byte lengths.
func hasIDR(sample []byte) bool {
	for len(sample) > 4 {
		n := uint32(sample[0])<<24 | uint32(sample[1])<<16 | uint32(sample[2])<<8 | uint32(sample[3])
		if sample[4]&31 == 5 {
			return true
		}
		if uint64(n)+4 >= uint64(len(sample)) {
			return false
		}
		sample = sample[4+n:]
	}
	return false
}

// joined is the concatenation of parts.
func joined(parts [][]byte) []byte { return bytes.Join(parts, nil) }
