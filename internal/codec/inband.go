package codec

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/sluice-live/sluice"
)

// InBand turns the access units of a stream that carries its parameter sets
// among its pictures (MPEG-TS, RTP) into samples and tracks.
type InBand struct {
	hevc    bool
	sets    inBandSets // as they came
	changed bool       // since the last track
	good    inBandSets // of the last track
	started bool       // a key frame has been
	cra     craState
}

// inBandSets are parameter sets, VPS first; H.264 has none of these.
type inBandSets [3][][]byte

// Bounds of the parameter sets held; streams have three, of some 100 bytes.
const (
	maxSets      = 64
	maxSetsBytes = 64 << 10
)

// craState is what is known of the pictures that follow a stream's CRAs. One
// with RASL pictures is the start of an open GOP, where no decoder can begin
// without losing these. Nothing in a CRA says so; encoders do not change it.
type craState struct {
	last   bool // the picture before was a CRA
	first  bool // the stream began with it: its RASL pictures are dropped
	closed bool // one was followed by something else
}

// Sample is one access unit of a stream with parameter sets in band.
type Sample struct {
	// Track is set where the parameter sets make another one than the last.
	Track *sluice.Track
	Key   bool
	// Data is the access unit with four-byte lengths, without its parameter
	// sets, delimiter and filler; nil if no picture is left.
	Data []byte
}

// NewAVC returns the InBand of an H.264 stream.
func NewAVC() *InBand { return &InBand{} }

// NewHEVC returns the InBand of an H.265 stream. A CRA is a key frame if the
// stream's last one was not followed by RASL pictures; where no key frame was before
// it, it is, and its RASL pictures are left out.
func NewHEVC() *InBand { return &InBand{hevc: true} }

// Sample reads an access unit with start codes, which it copies. An error
// says that it cannot be used; the next may.
func (s *InBand) Sample(annexB []byte) (Sample, error) {
	out := Sample{}
	data := make([]byte, 0, len(annexB)+16)
	var fresh inBandSets
	picture := false
	for u := range AnnexBNALUs(annexB) {
		kind := s.kind(u)
		switch {
		case kind.set >= 0:
			fresh[kind.set] = append(fresh[kind.set], u)
			continue
		case kind.drop:
			continue
		case kind.picture && !picture:
			picture = true
			if s.skip(u) {
				return out, nil
			}
			out.Key = s.key(u)
		}
		data = append(be.AppendUint32(data, uint32(len(u))), u...)
	}
	if err := s.learn(fresh); err != nil {
		return Sample{}, err
	}
	if !picture {
		return out, nil
	}
	if s.changed {
		var err error
		if out.Track, err = s.track(); err != nil {
			return Sample{}, err
		}
	}
	if len(s.good[1]) == 0 {
		return Sample{}, fmt.Errorf("codec: picture before the parameter sets: %w", ErrInvalid)
	}
	out.Data = data
	s.started = s.started || out.Key
	return out, nil
}

// nalu says what is done with a NAL unit.
type nalu struct {
	set           int // index in inBandSets, or -1
	drop, picture bool
}

func (s *InBand) kind(u []byte) nalu {
	n := nalu{set: -1}
	if s.hevc {
		switch t := hevcType(u); {
		case t >= hevcVPS && t <= hevcPPS:
			n.set = int(t - hevcVPS)
		case t == 35, t == 38: // delimiter, filler
			n.drop = true
		default:
			n.drop, n.picture = len(u) < 2, t < hevcVPS
		}
		return n
	}
	switch t := u[0] & 0x1f; t {
	case naluSPS, naluPPS:
		n.set = int(t-naluSPS) + 1
	case 9, 12: // delimiter, filler
		n.drop = true
	default:
		n.picture = t >= 1 && t <= naluIDR
	}
	return n
}

func hevcType(u []byte) byte { return u[0] >> 1 & 63 }

// Types of H.265 pictures.
const (
	hevcRADLN = 6
	hevcRADLR = 7
	hevcRASLN = 8
	hevcRASLR = 9
	hevcBLA   = 16 // the first of the types where decoding may start
	hevcIDR   = 20 // the last of those that say so by themselves
	hevcCRA   = 21
)

// skip reports whether a picture cannot be decoded by anybody, since the
// stream began behind what it refers to.
func (s *InBand) skip(u []byte) bool {
	if !s.hevc {
		return false
	}
	t := hevcType(u)
	rasl := t == hevcRASLN || t == hevcRASLR
	radl := t == hevcRADLN || t == hevcRADLR // between the CRA and its RASL pictures, or without these
	if s.cra.last && !radl {
		s.cra.last, s.cra.closed = false, !rasl
	}
	if t == hevcCRA {
		s.cra.last = true
	}
	return rasl && s.cra.first
}

func (s *InBand) key(u []byte) bool {
	if !s.hevc {
		return u[0]&0x1f == naluIDR
	}
	t := hevcType(u)
	if t >= hevcBLA && t <= hevcCRA {
		s.cra.first = t == hevcCRA && !s.started
	}
	return t >= hevcBLA && t <= hevcIDR || t == hevcCRA && (!s.started || s.cra.closed)
}

// learn takes the parameter sets of an access unit. An SPS that is not known
// begins a new set of them; others replace those of their number.
func (s *InBand) learn(fresh inBandSets) error {
	if err := fresh.check(); err != nil { // before each is compared with all
		return err
	}
	for _, u := range fresh[1] {
		if !slices.ContainsFunc(s.sets[1], func(old []byte) bool { return bytes.Equal(old, u) }) {
			s.sets[1], s.changed = cloneSets(fresh[1]), true
			break
		}
	}
	for i := range s.sets {
		if i == 1 {
			continue
		}
		for _, u := range fresh[i] {
			s.put(i, u)
		}
	}
	err := s.sets.check()
	if err != nil {
		s.sets = inBandSets{}
	}
	return err
}

// check refuses more than is held.
func (sets *inBandSets) check() error {
	count, size := 0, 0
	for _, units := range sets {
		count += len(units)
		for _, u := range units {
			size += len(u)
		}
	}
	if count > maxSets || size > maxSetsBytes {
		return fmt.Errorf("codec: %d parameter sets of %d bytes: %w", count, size, ErrUnsupported)
	}
	return nil
}

func (s *InBand) put(kind int, u []byte) {
	id := s.number(kind, u)
	for i, old := range s.sets[kind] {
		if s.number(kind, old) != id {
			continue
		}
		if !bytes.Equal(old, u) {
			s.sets[kind] = slices.Clone(s.sets[kind])
			s.sets[kind][i], s.changed = bytes.Clone(u), true
		}
		return
	}
	s.sets[kind], s.changed = append(slices.Clip(s.sets[kind]), bytes.Clone(u)), true
}

// number returns the number that a VPS or PPS is referred to by.
func (s *InBand) number(kind int, u []byte) uint32 {
	r := &bitReader{b: unescape(u[:min(len(u), 8)])}
	if s.hevc {
		r.skip(8)
	}
	r.skip(8)
	if kind == 0 {
		return r.bits(4)
	}
	return r.ue()
}

func (s *InBand) track() (*sluice.Track, error) {
	record, build := AVCRecord, AVC
	if s.hevc {
		record, build = func(sps, pps [][]byte) ([]byte, error) { return HEVCRecord(s.sets[0], sps, pps) }, HEVC
	}
	config, err := record(s.sets[1], s.sets[2])
	var t *sluice.Track
	if err == nil {
		t, err = build(config)
	}
	if err != nil {
		s.sets, s.changed = s.good, false
		return nil, err
	}
	s.good, s.changed = s.sets, false
	return t, nil
}

func cloneSets(units [][]byte) [][]byte {
	out := make([][]byte, len(units))
	for i, u := range units {
		out[i] = bytes.Clone(u)
	}
	return out
}

// AppendAnnexB appends a sample of an H.264 or H.265 track as an access unit
// with start codes: delimiter first and, before a key frame, the track's
// parameter sets.
func AppendAnnexB(b []byte, t *sluice.Track, sample []byte, key bool) ([]byte, error) {
	s := InBand{hevc: t.Codec == sluice.HVC1}
	delimiter := []byte{9, 0xf0}
	if s.hevc {
		delimiter = []byte{35 << 1, 1, 0x50}
	}
	b = append(append(b, startCode4...), delimiter...)
	if key {
		sets, err := s.of(t)
		if err != nil {
			return b, err
		}
		for _, u := range sets {
			b = append(append(b, startCode4...), u...)
		}
	}
	for u := range NALUs(sample) {
		if k := s.kind(u); k.drop || k.set >= 0 && key {
			continue
		}
		b = append(append(b, startCode4...), u...)
	}
	return b, nil
}

// of returns the parameter sets of a track.
func (s *InBand) of(t *sluice.Track) ([][]byte, error) {
	if s.hevc {
		record, err := child(t.Config, visualEntry, "hvcC")
		if err != nil {
			return nil, fmt.Errorf("codec: hvcC of track %d: %w", t.ID, err)
		}
		return hevcSets(record)
	}
	record, err := AVCConfig(t)
	if err != nil {
		return nil, err
	}
	sps, pps, err := AVCParameterSets(record)
	return slices.Concat(sps, pps), err
}
