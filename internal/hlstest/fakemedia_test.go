package hlstest

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/Eyevinn/mp4ff/aac"
	"github.com/Eyevinn/mp4ff/mp4"
)

// cellSeconds is T of the fake presentation.
const cellSeconds = 4

// fakeTrack makes the media of one rendition as a pure function of time:
// frame n begins n frame durations after the Unix epoch.
type fakeTrack struct {
	f         *fake
	id        uint32
	video     bool
	timescale int64
	frame     int64 // duration in ticks
	perPart   int64
	cache     map[string][]byte
}

// cut is one segment: frames [from, to).
type cut struct {
	number   uint64
	era      uint64
	from, to int64
	gap      bool
	disc     bool
}

func (t *fakeTrack) firstFrame(cell uint64) int64 {
	ticks := int64(cell) * cellSeconds * t.timescale
	return (ticks + t.frame - 1) / t.frame
}

// cut says what the segment of a cell holds. A new era begins 0.48 s late.
func (t *fakeTrack) cut(cell uint64) cut {
	c := cut{number: cell, era: 3, from: t.firstFrame(cell), to: t.firstFrame(cell + 1)}
	if cell >= t.f.eraCell {
		c.era = 4
	}
	if cell == t.f.eraCell {
		c.disc = true
		c.from += t.timescale * 48 / 100 / t.frame
	}
	c.gap = cell == t.f.gapCell
	return c
}

// parts gives the frames of each part; one cut short when the fault asks.
func (t *fakeTrack) parts(c cut) (out [][2]int64) {
	if c.gap {
		return nil
	}
	for at := c.from; at < c.to; {
		n := t.perPart
		if t.f.is("part-short") && len(out) == 2 {
			n /= 2
		}
		out = append(out, [2]int64{at, min(at+n, c.to)})
		at += n
	}
	return out
}

// at is the time a number of frames after the epoch.
func (t *fakeTrack) at(frames int64) time.Time {
	ticks := frames * t.frame
	return time.Unix(ticks/t.timescale, ticks%t.timescale*1e9/t.timescale).UTC()
}

func (t *fakeTrack) seconds(frames int64) float64 {
	return float64(frames*t.frame) / float64(t.timescale)
}

// ready is when a part is there; one beyond a segment's last stands for the
// next segment's first.
func (t *fakeTrack) ready(msn, part uint64) time.Time {
	c := t.cut(msn)
	parts := t.parts(c)
	if c.gap {
		return t.closed(c)
	}
	if part >= uint64(len(parts)) {
		return t.ready(msn+1, 0)
	}
	return t.appears(c, parts[part])
}

// appears is after a part's last frame, or with the next segment's first when
// it is short, since only then it is known to be the last.
func (t *fakeTrack) appears(c cut, part [2]int64) time.Time {
	if part[1] == c.to && part[1]-part[0] < t.perPart {
		return t.closed(c)
	}
	return t.at(part[1])
}

// closed is when the segment is complete: with the next one's first frame.
func (t *fakeTrack) closed(c cut) time.Time {
	return t.at(t.cut(c.number+1).from + 1)
}

func (t *fakeTrack) name(c cut, part int) string {
	b := strconv.AppendUint(nil, uint64(t.id), 10)
	b = strconv.AppendUint(append(b, '/'), c.era, 10)
	b = strconv.AppendUint(append(b, ".0-"...), c.number, 10)
	if part >= 0 {
		b = strconv.AppendInt(append(b, '.'), int64(part), 10)
	}
	return string(append(b, ".m4s"...))
}

func (t *fakeTrack) bytes(c cut, part int) []byte {
	if part < 0 {
		var all [][]byte
		for i := range t.parts(c) {
			all = append(all, t.bytes(c, i))
		}
		return joined(all)
	}
	name := t.name(c, part)
	if b, ok := t.cache[name]; ok {
		return b
	}
	b := t.fragment(t.parts(c)[part], c)
	t.cache[name] = b
	return b
}

// key says whether a frame is an IDR: every two seconds, and where a segment
// begins.
func (t *fakeTrack) key(n int64, c cut) bool {
	if t.f.is("independent-segments") && n == c.from {
		return false
	}
	return !t.video || n == c.from || n%50 == 0
}

func (t *fakeTrack) fragment(part [2]int64, c cut) []byte {
	frag, err := mp4.CreateFragment(1, t.id)
	must(err)
	for n := part[0]; n < part[1]; n++ {
		flags, nal := mp4.NonSyncSampleFlags, byte(1)
		if t.key(n, c) {
			flags, nal = mp4.SyncSampleFlags, 5
		}
		if t.f.is("sync") && n == c.from {
			nal = 1
		}
		data := binary.BigEndian.AppendUint32(nil, 20)
		data = append(data, nal)
		data = append(data, bytes.Repeat([]byte{byte(n)}, 19)...)
		at := n * t.frame
		if t.f.is("tfdt") && c.number > t.f.first+21 {
			at += 100
		}
		s := mp4.FullSample{Sample: mp4.NewSample(flags, uint32(t.frame), uint32(len(data)), 0), DecodeTime: uint64(at), Data: data}
		if t.f.is("open-gop") && n == c.from+1 {
			s.CompositionTimeOffset = -2 * int32(t.frame)
		}
		frag.AddFullSample(s)
	}
	frag.Moof.Traf.Truns[0].Version = 1
	var b bytes.Buffer
	must(frag.Encode(&b))
	return b.Bytes()
}

// A 640x360 baseline configuration from x264.
var (
	fakeSPS = []byte{
		0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01,
		0x00, 0x00, 0x03, 0x00, 0x32, 0x0f, 0x16, 0x2e, 0x48,
	}
	fakePPS = []byte{0x68, 0xcb, 0x83, 0xcb, 0x20}
)

func (t *fakeTrack) init() []byte {
	s := mp4.CreateEmptyInit()
	if t.video {
		s.AddEmptyTrack(uint32(t.timescale), "video", "und")
		must(s.Moov.Trak.SetAVCDescriptor("avc1", [][]byte{fakeSPS}, [][]byte{fakePPS}, true))
	} else {
		s.AddEmptyTrack(uint32(t.timescale), "audio", "und")
		must(s.Moov.Trak.SetAACDescriptor(aac.AAClc, int(t.timescale)))
	}
	s.Moov.Trak.Tkhd.TrackID, s.Moov.Mvex.Trex.TrackID = t.id, t.id
	var b bytes.Buffer
	must(s.Encode(&b))
	return b.Bytes()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
