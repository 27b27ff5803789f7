package cmaf

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// made is a Handler that keeps everything and holds the Packager to its
// contract.
type made struct {
	t     testing.TB
	segs  []sluice.Segment
	parts [][]Part // of each segment
	open  bool
}

func (m *made) OpenSegment(s sluice.Segment) {
	require.False(m.t, m.open, "segment %d opens inside another", s.Number)
	require.Zero(m.t, s.Dur)
	require.Zero(m.t, s.Size)
	m.open, m.segs, m.parts = true, append(m.segs, s), append(m.parts, nil)
}

func (m *made) ClosePart(p Part) {
	require.True(m.t, m.open)
	i := len(m.segs) - 1
	require.Equal(m.t, m.segs[i].Number, p.Segment)
	require.Same(m.t, m.segs[i].Track, p.Track)
	require.Equal(m.t, len(m.parts[i]), p.Index)
	require.Equal(m.t, len(p.Data), cap(p.Data), "exact size")
	m.parts[i] = append(m.parts[i], p)
}

func (m *made) CloseSegment(s sluice.Segment) {
	require.True(m.t, m.open)
	i := len(m.segs) - 1
	require.Equal(m.t, m.segs[i].Number, s.Number)
	require.Equal(m.t, m.segs[i].Start, s.Start)
	require.Equal(m.t, len(m.parts[i]) == 0, s.Gap)
	require.EqualValues(m.t, len(m.bytes(i)), s.Size)
	require.GreaterOrEqual(m.t, s.Dur, int64(0))
	require.Equal(m.t, !s.Gap && m.parts[i][0].Independent, s.Independent)
	m.open, m.segs[i] = false, s
}

func (m *made) bytes(i int) []byte {
	var b []byte
	for _, p := range m.parts[i] {
		b = append(b, p.Data...)
	}
	return b
}

// epoch is a time of day in 2026, in seconds, at the start of a cell.
const epoch = 1_790_000_000

// testTrack has a sample entry that is one to nobody but the packager.
func testTrack(kind sluice.Kind, timescale uint32) *sluice.Track {
	return &sluice.Track{
		ID: 1, Kind: kind, Codec: sluice.FourCC{'t', 'e', 's', 't'}, Timescale: timescale,
		Config:     []byte{0, 0, 0, 16, 't', 'e', 's', 't', 0, 0, 0, 0, 0, 0, 0, 1},
		SegmentDur: 4 * time.Second, PartTarget: int64(timescale) * 26 / 100,
	}
}

// video makes n frames of dur ticks from the start of segment first, with a
// key frame and a new segment every gop frames.
func video(t *sluice.Track, first uint64, n, gop int, dur int64) []sluice.Packet {
	var out []sluice.Packet
	start := int64(epoch) * int64(t.Timescale)
	for i := range n {
		dts := start + int64(i)*dur
		out = append(out, sluice.Packet{
			Track: t, DTS: dts, PTS: dts + 2*dur, Dur: dur, Segment: first + uint64(i/gop),
			Key: i%gop == 0, Data: fmt.Appendf(nil, "frame %d of %d ticks", i, dur),
		})
	}
	return out
}

// announce puts the announcement of the first packet's segment before it.
func announce(pkts []sluice.Packet) []sluice.Packet {
	a := pkts[0]
	a.Data, a.Key, a.Dur = nil, false, 0
	return append([]sluice.Packet{a}, pkts...)
}

// pack packages packets that all are good.
func pack(t testing.TB, pkts []sluice.Packet) *made {
	t.Helper()
	m := &made{t: t}
	p := &Packager{Out: m}
	for _, pkt := range pkts {
		require.NoError(t, p.Write(pkt))
	}
	require.NoError(t, p.Flush())
	require.False(t, m.open)
	return m
}

// decode reads fragments with mp4ff.
func decode(t testing.TB, b []byte) []*mp4.Fragment {
	t.Helper()
	f, err := mp4.DecodeFile(bytes.NewReader(b))
	require.NoError(t, err)
	var out []*mp4.Fragment
	for _, s := range f.Segments {
		out = append(out, s.Fragments...)
	}
	return out
}
