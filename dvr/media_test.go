package dvr

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/cmaf"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

// live keeps what a live origin serves: the packager's segments by name.
type live struct {
	files map[string]string
	segs  []sluice.Segment
	body  []byte
}

func (l *live) OpenSegment(sluice.Segment) { l.body = nil }
func (l *live) ClosePart(p cmaf.Part)      { l.body = append(l.body, p.Data...) }
func (l *live) CloseSegment(s sluice.Segment) {
	l.segs = append(l.segs, s)
	if !s.Gap {
		l.files[cmaf.SegmentName(s).String()] = string(l.body)
	}
}

// packaged returns what an origin makes of packets.
func packaged(t testing.TB, packets []sluice.Packet) *live {
	l := &live{files: map[string]string{}}
	for _, id := range []uint32{1, 2} {
		p := cmaf.Packager{Out: l}
		for _, pkt := range sluicetest.Of(id, packets) {
			require.NoError(t, p.Write(pkt))
		}
		require.NoError(t, p.Flush())
	}
	return l
}

var (
	begin  = time.Unix(sluicetest.FirstSegment, 0).UTC()
	always = begin.AddDate(50, 0, 0)
	never  = time.Unix(0, 0)
)

// listed returns all segments of a stream.
func listed(t testing.TB, s *Stream, from, to time.Time) (all []sluice.Segment) {
	t.Helper()
	for seg, err := range s.List(context.Background(), from, to) {
		require.NoError(t, err)
		all = append(all, seg)
	}
	return all
}

// archived returns the bytes of all segments by name.
func archived(t testing.TB, s *Stream) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, seg := range listed(t, s, never, always) {
		if seg.Gap {
			continue
		}
		files[cmaf.SegmentName(seg).String()] = string(body(t, s, seg))
	}
	return files
}

func body(t testing.TB, s *Stream, seg sluice.Segment) []byte {
	t.Helper()
	r, err := s.Open(context.Background(), seg)
	require.NoError(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Len(t, b, int(seg.Size))
	return b
}

func played(t testing.TB, s *Stream, from, to time.Time) (all []sluice.Packet) {
	t.Helper()
	src, err := s.Replay(context.Background(), from, to)
	require.NoError(t, err)
	defer src.Close()
	for {
		p, err := src.ReadPacket(context.Background())
		if err == io.EOF {
			return all
		}
		require.NoError(t, err)
		all = append(all, p)
	}
}

// moved returns packets later by a number of seconds, and their numbers too.
func moved(packets []sluice.Packet, seconds int64, track func(*sluice.Track) *sluice.Track) []sluice.Packet {
	var out []sluice.Packet
	for _, p := range packets {
		d := seconds * int64(p.Track.Timescale)
		p.DTS, p.PTS, p.Segment = p.DTS+d, p.PTS+d, p.Segment+uint64(seconds)
		if track != nil {
			p.Track = track(p.Track)
		}
		out = append(out, p)
	}
	return out
}

// inEra returns a function that gives tracks an era and a maker.
func inEra(era, maker uint32) func(*sluice.Track) *sluice.Track {
	made := map[*sluice.Track]*sluice.Track{}
	return func(t *sluice.Track) *sluice.Track {
		if made[t] == nil {
			c := *t
			c.Era, c.Maker = era, maker
			made[t] = &c
		}
		return made[t]
	}
}

// rich is a stream with all that can happen: frames out of order and of odd
// lengths, lost packets, a silence, new eras, makers and parameters.
func rich() []sluice.Packet {
	base := sluicetest.Packets(6)
	var all []sluice.Packet
	for i, p := range base {
		if p.Data != nil && p.Track.ID == 1 && !p.Key {
			p.PTS += int64(i%3) * 3600 // shown later than it is decoded
		}
		if i%97 == 50 {
			continue // lost, and what follows says so
		}
		if i%97 == 51 {
			p.Discont = true
		}
		if i%31 == 7 && p.Data != nil {
			p.Dur -= 100 // shorter than until the next
		}
		all = append(all, p)
	}
	second := moved(sluicetest.Packets(4), 9, inEra(1, 0)) // after a hole of 3 s
	third := moved(sluicetest.Packets(3), 13, func() func(*sluice.Track) *sluice.Track {
		era := inEra(2, 77)
		return func(t *sluice.Track) *sluice.Track {
			c := era(t)
			if c.Kind == sluice.Video {
				c.Width, c.Height = 640, 360
			}
			return c
		}
	}())
	return append(append(all, second...), third...)
}

// What is archived is what a live origin serves, under the same names, and what
// is replayed makes the same again.
func TestArchiveIsTheLiveBytes(t *testing.T) {
	packets := rich()
	want := packaged(t, packets)
	a := newArchive(t)
	consume(t, a.Stream("demo"), packets)
	for _, a := range []*Archive{a, reopened(t, a)} {
		s := a.Stream("demo")
		require.Equal(t, want.segs, listed(t, s, never, always))
		require.Equal(t, want.files, archived(t, s))
		again := packaged(t, played(t, s, never, always))
		require.Equal(t, want.segs, again.segs)
		require.Equal(t, want.files, again.files)
	}
	requireNoTemporaries(t, a)
}

func requireNoTemporaries(t testing.TB, a *Archive) {
	require.NoError(t, filepath.Walk(a.Dir, func(path string, info os.FileInfo, err error) error {
		require.NotEqual(t, ".new", filepath.Ext(path))
		return err
	}))
}

// Every packet is replayed as it was recorded.
func TestReplayIsWhatWasRecorded(t *testing.T) {
	packets := rich()
	a := newArchive(t)
	consume(t, a.Stream("demo"), packets)
	got := played(t, a.Stream("demo"), never, always)
	for _, id := range []uint32{1, 2} {
		var want, have []string
		for _, p := range sluicetest.Of(id, packets) {
			if p.Data != nil {
				want = append(want, tell(p))
			}
		}
		for _, p := range sluicetest.Of(id, got) {
			if p.Data != nil {
				have = append(have, tell(p))
			}
		}
		require.Equal(t, want, have)
	}
}

func tell(p sluice.Packet) string {
	return fmt.Sprintf("%d/%d.%d-%d dts %d pts %d dur %d key %t discont %t %x", p.Track.ID, p.Track.Era, p.Track.Maker, p.Segment,
		p.DTS, p.PTS, p.Dur, p.Key, p.Discont, p.Data)
}

// Init segments are found by their names, and samples lie where they are said to.
func TestInitAndSamples(t *testing.T) {
	a := newArchive(t)
	consume(t, a.Stream("demo"), rich())
	s := reopened(t, a).Stream("demo")
	for _, seg := range listed(t, s, never, always) {
		init, err := cmaf.Init(seg.Track)
		require.NoError(t, err)
		got, err := s.Init(t.Context(), seg.Track.ID, cmaf.InitName(init))
		require.NoError(t, err)
		require.Equal(t, init, got)
		if seg.Gap {
			continue
		}
		media := body(t, s, seg)
		parts, err := s.Samples(t.Context(), seg)
		require.NoError(t, err)
		fromMoofs, err := partsOf(media)
		require.NoError(t, err)
		require.Len(t, fromMoofs, len(parts))
		for i, p := range parts {
			for j, sample := range p.Samples {
				same := fromMoofs[i].Samples[j]
				same.Discont, same.Dur = sample.Discont, sample.Dur
				require.Equal(t, same, sample)
			}
		}
		full, err := s.Find(t.Context(), sluice.Segment{Number: seg.Number, Track: &sluice.Track{ID: seg.Track.ID, Era: seg.Track.Era, Maker: seg.Track.Maker}})
		require.NoError(t, err)
		require.Equal(t, seg, full)
	}
	for _, bad := range []string{"", "../../sluice-archive", "0123456789abcdeF", "0123456789abcdef"} {
		_, err := s.Init(t.Context(), 1, bad)
		require.ErrorIs(t, err, os.ErrNotExist)
	}
}
