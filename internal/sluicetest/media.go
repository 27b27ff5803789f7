package sluicetest

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

// SegmentDur is the length of the segments that Packets makes.
const SegmentDur = time.Second

// FirstSegment is the number of the first segment that Packets makes. As
// SegmentDur is a second, it begins that many seconds after the Unix epoch.
const FirstSegment = 1_790_000_000

// Video returns an H.264 track of 1280x720 at 25 frames a second.
func Video(id uint32) *sluice.Track {
	t, err := codec.AVC([]byte("\x01\x4d\x40\x1f\xff\xe1\x00\x19" +
		"\x67\x4d\x40\x1f\xd9\x00\x50\x05\xbb\x01\x10\x00\x00\x03\x00\x10\x00\x00\x03\x03\xc0\xf1\x83\x24\x80" +
		"\x01\x00\x05\x68\xeb\xc3\xcb\x20"))
	if err != nil {
		panic(err)
	}
	t.FrameDur = 3600
	return stamp(t, id)
}

// Audio returns an AAC track of 48 kHz stereo.
func Audio(id uint32) *sluice.Track {
	t, err := codec.AAC([]byte{0x11, 0x90})
	if err != nil {
		panic(err)
	}
	return stamp(t, id)
}

func stamp(t *sluice.Track, id uint32) *sluice.Track {
	t.ID = id
	t.SegmentDur = SegmentDur
	t.PartTarget = int64(t.Timescale) * 26 / 100
	return t
}

// Packets returns so many segments of the tracks, in the order of their times,
// as a timeline stamps them: first the announcement of each track, then media.
// Every segment of video opens with a key frame. No two packets have the same
// Data. Without tracks it is Video(1) and Audio(2).
func Packets(segments int, tracks ...*sluice.Track) []sluice.Packet {
	if len(tracks) == 0 {
		tracks = []*sluice.Track{Video(1), Audio(2)}
	}
	var all []sluice.Packet
	for _, t := range tracks {
		start := FirstSegment * int64(t.Timescale)
		all = append(all, sluice.Packet{Track: t, DTS: start, PTS: start, Segment: FirstSegment})
	}
	for _, t := range tracks {
		all = append(all, media(t, segments)...)
	}
	slices.SortStableFunc(all[len(tracks):], func(a, b sluice.Packet) int {
		return a.Track.Time(a.DTS).Compare(b.Track.Time(b.DTS))
	})
	return all
}

func media(t *sluice.Track, segments int) (all []sluice.Packet) {
	ts := int64(t.Timescale)
	start, last := FirstSegment*ts, uint64(0)
	for dts := start; dts < start+int64(segments)*ts; dts += t.FrameDur {
		p := sluice.Packet{Track: t, DTS: dts, PTS: dts, Dur: t.FrameDur, Segment: uint64(dts / ts)}
		p.Key = t.Kind != sluice.Video || p.Segment != last
		last = p.Segment
		p.Data = payload(p)
		all = append(all, p)
	}
	return all
}

// payload returns sound data for a packet: of video, one slice in sample form.
func payload(p sluice.Packet) []byte {
	size, nalu := 400, byte(0x41)
	if p.Key {
		size, nalu = 2000, 0x65
	}
	if p.Track.Kind != sluice.Video {
		size = 200
	}
	b := bytes.Repeat([]byte{byte(p.DTS) | 1}, size)
	binary.BigEndian.PutUint32(b, uint32(size-4))
	b[4] = nalu
	binary.BigEndian.PutUint32(b[8:], p.Track.ID)
	binary.BigEndian.PutUint64(b[12:], uint64(p.DTS))
	return b
}

// Unstamped returns packets as a source yields them that knows nothing of
// segments: no announcements, no numbers.
func Unstamped(packets []sluice.Packet) []sluice.Packet {
	var out []sluice.Packet
	for _, p := range packets {
		if p.Data != nil {
			p.Segment = 0
			out = append(out, p)
		}
	}
	return out
}

// Of returns the packets of one track.
func Of(track uint32, packets []sluice.Packet) []sluice.Packet {
	var out []sluice.Packet
	for _, p := range packets {
		if p.Track.ID == track {
			out = append(out, p)
		}
	}
	return out
}
