package mp4

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/cmaf"
	"github.com/sluice-live/sluice/internal/codec"
)

// ErrFormat is wrapped by errors about files that are not such as we read.
var ErrFormat = errors.New("not an MP4 file that can be read")

const (
	maxTracks  = 32
	maxSamples = 1 << 20 // of a track
	maxSeconds = 1 << 24 // of time stamps
)

// Read returns the packets of a file's video and audio tracks, in the order in
// which they are due. Times count from the start of the presentation, edit lists
// applied, so that DTS may be negative. Data are parts of file.
func Read(file []byte) ([]sluice.Packet, error) {
	moov, err := find(file, "moov")
	if err != nil {
		return nil, err
	}
	if _, err := find(moov, "mvex"); err == nil {
		return nil, fmt.Errorf("mp4: the file is fragmented; ffmpeg -i FILE -c copy NEW.mp4 joins it: %w", ErrFormat)
	}
	var all []sluice.Packet
	tracks := 0
	movie, _ := movieScale(moov)
	for rest := moov; len(rest) > 0; {
		name, body, after, err := cut(rest)
		if err != nil {
			return nil, err
		}
		rest = after
		if name != "trak" {
			continue
		}
		if tracks++; tracks > maxTracks {
			return nil, fmt.Errorf("mp4: more than %d tracks: %w", maxTracks, ErrFormat)
		}
		packets, err := readTrack(file, body, uint32(tracks), movie)
		if err != nil {
			return nil, fmt.Errorf("mp4: track %d: %w", tracks, err)
		}
		all = append(all, packets...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("mp4: neither video nor audio: %w", ErrFormat)
	}
	slices.SortStableFunc(all, func(a, b sluice.Packet) int {
		return cmp.Compare(a.Track.Duration(a.DTS), b.Track.Duration(b.DTS))
	})
	return all, nil
}

// cut cuts the first box off b. A size of 0 says that it reaches to the end.
func cut(b []byte) (name string, body, rest []byte, err error) {
	if len(b) < 8 {
		return "", nil, nil, fmt.Errorf("mp4: a box is cut off: %w", ErrFormat)
	}
	size, head := uint64(binary.BigEndian.Uint32(b)), uint64(8)
	switch {
	case size == 0:
		size = uint64(len(b))
	case size == 1 && len(b) >= 16:
		size, head = binary.BigEndian.Uint64(b[8:]), 16
	}
	if size < head || size > uint64(len(b)) {
		return "", nil, nil, fmt.Errorf("mp4: box %q of %d bytes in %d: %w", b[4:8], size, len(b), ErrFormat)
	}
	return string(b[4:8]), b[head:size:size], b[size:], nil
}

// find returns the body of the box at the end of a path.
func find(b []byte, path ...string) ([]byte, error) {
	for _, want := range path {
		found := false
		for len(b) > 0 && !found {
			name, body, rest, err := cut(b)
			if err != nil {
				return nil, err
			}
			if b = rest; name == want {
				b, found = body, true
			}
		}
		if !found {
			return nil, fmt.Errorf("mp4: there is no box %q: %w", want, ErrFormat)
		}
	}
	return b, nil
}

func movieScale(moov []byte) (uint32, error) {
	b, err := find(moov, "mvhd")
	if err != nil {
		return 0, err
	}
	return scaleIn(b)
}

// scaleIn returns the timescale in the body of a mvhd or mdhd.
func scaleIn(b []byte) (uint32, error) {
	r := numbersIn(b)
	version := r.U32() >> 24
	r.Skip(8)
	if version == 1 {
		r.Skip(8)
	}
	return r.U32(), r.err()
}

// reader reads the numbers in a box.
type reader struct{ cmaf.Fields }

func numbersIn(b []byte) reader { return reader{cmaf.Fields{B: b}} }

func (r *reader) err() error {
	if r.Short {
		return fmt.Errorf("a box is cut off: %w", ErrFormat)
	}
	return nil
}

// readTrack returns the packets of a trak; none of one that is neither video
// nor audio.
func readTrack(file, trak []byte, id, movie uint32) ([]sluice.Packet, error) {
	kind, err := handler(trak)
	if err != nil || kind == 0 {
		return nil, err
	}
	track, sample, err := describe(trak, kind, id)
	if err != nil {
		return nil, err
	}
	stbl, err := find(trak, "mdia", "minf", "stbl")
	if err != nil {
		return nil, err
	}
	table, err := readTable(stbl)
	if err != nil {
		return nil, err
	}
	shift := edit(trak, movie, track.Timescale)
	packets := make([]sluice.Packet, 0, len(table))
	total := uint64(0)
	for i, s := range table {
		if total += uint64(s.size); total > uint64(len(file)) {
			return nil, fmt.Errorf("the samples are larger than the file: %w", ErrFormat)
		}
		if s.offset > uint64(len(file)) || uint64(s.size) > uint64(len(file))-s.offset {
			return nil, fmt.Errorf("sample %d lies outside the file (is it cut off?): %w", i+1, ErrFormat)
		}
		data, err := sample(file[s.offset : s.offset+uint64(s.size) : s.offset+uint64(s.size)])
		if err != nil {
			return nil, fmt.Errorf("sample %d: %w", i+1, err)
		}
		if len(data) == 0 {
			continue
		}
		packets = append(packets, sluice.Packet{
			Track: track, DTS: s.dts - shift, PTS: s.dts + s.composition - shift, Dur: s.dur,
			Key: s.key || kind == sluice.Audio, Data: data,
		})
	}
	return packets, nil
}

func handler(trak []byte) (sluice.Kind, error) {
	hdlr, err := find(trak, "mdia", "hdlr")
	if err != nil {
		return 0, err
	}
	r := numbersIn(hdlr)
	r.Skip(8)
	switch r.U32() {
	case 'v'<<24 | 'i'<<16 | 'd'<<8 | 'e':
		return sluice.Video, nil
	case 's'<<24 | 'o'<<16 | 'u'<<8 | 'n':
		return sluice.Audio, nil
	}
	return 0, nil
}

// describe returns a track, and what turns a sample of the file into its Data.
func describe(trak []byte, kind sluice.Kind, id uint32) (*sluice.Track, func([]byte) ([]byte, error), error) {
	mdhd, err := find(trak, "mdia", "mdhd")
	if err != nil {
		return nil, nil, err
	}
	scale, err := scaleIn(mdhd)
	if err != nil || scale == 0 {
		return nil, nil, fmt.Errorf("no timescale: %w", ErrFormat)
	}
	stsd, err := find(trak, "mdia", "minf", "stbl", "stsd")
	if err != nil {
		return nil, nil, err
	}
	r := numbersIn(stsd)
	r.Skip(8)
	name, body, rest, err := cut(r.B)
	if err != nil || r.Short || len(body) < 28 {
		return nil, nil, fmt.Errorf("no sample entry: %w", ErrFormat)
	}
	t := &sluice.Track{
		Kind: kind, Codec: sluice.FourCC([]byte(name)), Config: slices.Clone(r.B[:len(r.B)-len(rest)]),
	}
	if kind == sluice.Video {
		t.Width, t.Height = int(binary.BigEndian.Uint16(body[24:])), int(binary.BigEndian.Uint16(body[26:]))
	} else {
		t.Channels, t.SampleRate = int(binary.BigEndian.Uint16(body[16:])), int(binary.BigEndian.Uint16(body[24:]))
	}
	t, sample, err := canonical(t)
	if err != nil {
		return nil, nil, err
	}
	if _, err := codec.Native(t); err != nil {
		return nil, nil, err
	}
	own := *t
	own.ID, own.Timescale, own.FrameDur = id, scale, 0
	return &own, sample, nil
}

// canonical describes the codecs whose sample entries vary as the rest of the
// program does.
func canonical(t *sluice.Track) (*sluice.Track, func([]byte) ([]byte, error), error) {
	same := func(b []byte) ([]byte, error) { return b, nil }
	switch t.Codec {
	case sluice.AVC1:
		avcC, err := codec.AVCConfig(t)
		if err != nil {
			return nil, nil, err
		}
		n, err := codec.AVCLengthSize(avcC)
		if err != nil {
			return nil, nil, err
		}
		avc, err := codec.AVC(avcC)
		return avc, func(b []byte) ([]byte, error) { return codec.AVCNormalize(b, n) }, err
	case sluice.MP4A:
		asc, err := codec.AACConfig(t)
		if err != nil {
			return nil, nil, err
		}
		aac, err := codec.AAC(asc)
		return aac, same, err
	}
	return t, same, nil
}

// edit returns the media time at which the presentation begins, less the time
// for which it waits before: what is to be taken from the time stamps.
func edit(trak []byte, movie, scale uint32) (shift int64) {
	elst, err := find(trak, "edts", "elst")
	if err != nil {
		return 0
	}
	r := numbersIn(elst)
	version, n := r.U32()>>24, r.U32()
	for range min(n, 2) {
		var dur uint64
		var at int64
		if version == 1 {
			dur, at = r.U64(), int64(r.U64())
		} else {
			dur, at = uint64(r.U32()), int64(int32(r.U32()))
		}
		r.Skip(4)
		if r.Short || at > maxSeconds*int64(scale) || dur > maxSeconds*uint64(max(movie, 1)) {
			return 0
		}
		if at >= 0 {
			return shift + at
		}
		if movie > 0 {
			shift -= sluice.Rescale(int64(dur), int64(movie), int64(scale))
		}
	}
	return 0
}
