package cmaf

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

func TestPartClosesOnTheFrameThatFillsIt(t *testing.T) {
	track := testTrack(sluice.Video, 90000) // target 23400: six frames of 3750
	m := &made{t: t}
	p := &Packager{Out: m}
	for i, pkt := range announce(video(track, 7, 12, 96, 3750)) {
		require.NoError(t, p.Write(pkt))
		require.Len(t, m.parts[0], i/6, "after packet %d", i)
	}
}

func TestMediaFirstWaitsForTheNextSegment(t *testing.T) {
	track := testTrack(sluice.Video, 90000)
	pkts := video(track, 7, 40, 10, 9000)
	require.Equal(t, uint64(8), pack(t, pkts).segs[0].Number)
	require.Equal(t, uint64(7), pack(t, announce(pkts)).segs[0].Number)
	lost := announce(pkts)[0]
	lost.Segment = 0
	require.Equal(t, uint64(8), pack(t, append([]sluice.Packet{lost}, pkts...)).segs[0].Number,
		"a watermark without a segment does not say where we are")
}

func TestSegmentsTouchWithinAnEra(t *testing.T) {
	track := testTrack(sluice.Video, 90000)
	pkts := announce(video(track, 7, 20, 10, 9000))
	base := pkts[0].PTS
	pkts[12].Discont = true
	for i := range pkts[12:] { // a hole of half a second inside segment 8
		pkts[12+i].DTS += 45000
		pkts[12+i].PTS += 45000
	}
	m := pack(t, pkts)
	require.Len(t, m.segs, 2)
	require.Equal(t, base+90000, m.segs[0].Start+m.segs[0].Dur)
	require.Equal(t, base+90000, m.segs[1].Start)
	require.Equal(t, int64(90000+45000), m.segs[1].Dur)
	require.Equal(t, int64(9000), m.parts[1][0].Dur, "a frame is not stretched over a loss")
}

func TestEraEndsAtItsMedia(t *testing.T) {
	first := testTrack(sluice.Video, 90000)
	second := testTrack(sluice.Video, 1000)
	second.Era++
	pkts := announce(video(first, 7, 5, 10, 9000))
	later := video(second, 8, 5, 10, 100)
	for i := range later {
		later[i].DTS += 60_000
		later[i].PTS += 60_000
	}
	m := pack(t, append(pkts, later...))
	require.Len(t, m.segs, 2)
	require.Equal(t, int64(45000), m.segs[0].Dur)
	require.Equal(t, int64(500), m.segs[1].Dur)

	mark := sluice.Packet{Track: first, DTS: pkts[0].DTS + 99000, PTS: pkts[0].PTS + 99000}
	m = pack(t, append(append(pkts[:len(pkts):len(pkts)], mark), later...))
	require.Equal(t, int64(99000), m.segs[0].Dur, "a watermark after the media ends the era")
}

func TestLostSegmentsBecomeGaps(t *testing.T) {
	track := testTrack(sluice.Video, 90000)
	pkts := announce(video(track, 7, 40, 10, 9000))
	base := pkts[0].PTS
	kept := append(pkts[:6:6], pkts[31:]...) // half of 7, none of 8 and 9, all of 10
	m := pack(t, kept)
	require.Len(t, m.segs, 4)
	require.Equal(t, []bool{false, true, true, false}, []bool{m.segs[0].Gap, m.segs[1].Gap, m.segs[2].Gap, m.segs[3].Gap})
	require.Equal(t, int64(45000), m.segs[0].Dur)
	require.Equal(t, base+45000, m.segs[1].Start)
	for i := 1; i < 4; i++ {
		require.Equal(t, m.segs[i-1].Start+m.segs[i-1].Dur, m.segs[i].Start)
		require.Equal(t, m.segs[i-1].Number+1, m.segs[i].Number)
	}
	require.Equal(t, base+270000, m.segs[3].Start)
	require.Equal(t, m.bytes(3), pack(t, pkts).bytes(3))
}

func TestLostSegmentsBeforeANewEraDoNotFillThePause(t *testing.T) {
	first := testTrack(sluice.Video, 90000)
	second := *first
	second.Era++
	pkts := announce(video(first, 7, 10, 10, 9000))
	later := video(&second, 10, 10, 10, 9000)
	for i := range later {
		later[i].DTS += 3600 * 90000
		later[i].PTS += 3600 * 90000
	}
	m := pack(t, append(pkts, later...))
	require.Len(t, m.segs, 4)
	require.Equal(t, []int64{90000, 4 * 90000, 4 * 90000, 90000}, []int64{m.segs[0].Dur, m.segs[1].Dur, m.segs[2].Dur, m.segs[3].Dur})
	require.Same(t, first, m.segs[2].Track)
}

func TestEndlessJumpBeginsAnew(t *testing.T) {
	track := testTrack(sluice.Video, 90000)
	pkts := announce(video(track, 7, 20, 10, 9000))
	for i := range pkts[11:] {
		pkts[11+i].Segment += 1 << 60
	}
	m := pack(t, pkts)
	require.Len(t, m.segs, 2)
	require.Equal(t, int64(90000), m.segs[0].Dur)
}

func TestWatermarks(t *testing.T) {
	track := testTrack(sluice.Video, 90000)
	pkts := announce(video(track, 7, 3, 10, 3750))
	m := &made{t: t}
	p := &Packager{Out: m}
	for _, pkt := range pkts {
		require.NoError(t, p.Write(pkt))
	}
	mark := func(after int64, segment uint64) sluice.Packet {
		return sluice.Packet{Track: track, DTS: pkts[1].DTS + after, PTS: pkts[1].DTS + after, Segment: segment}
	}
	require.NoError(t, p.Write(mark(23399, 7)))
	require.Empty(t, m.parts[0])
	require.NoError(t, p.Write(mark(23400, 0)))
	require.Len(t, m.parts[0], 1, "nothing can come into the part any more")
	require.Equal(t, int64(3*3750), m.parts[0][0].Dur)
	for n := range uint64(3) {
		require.NoError(t, p.Write(mark(360000*int64(n+1), 8+n)))
	}
	late := pkts[3]
	late.Segment, late.DTS = 10, pkts[1].DTS+360000*3+9000
	late.PTS = late.DTS
	require.NoError(t, p.Write(late))
	require.NoError(t, p.Flush())
	require.NoError(t, p.Flush())
	require.Len(t, m.segs, 4)
	require.True(t, m.segs[1].Gap && m.segs[2].Gap)
	require.False(t, m.segs[3].Gap, "it began with a hole and got media")
	require.Equal(t, pkts[1].DTS+360000*3, m.segs[3].Start)
	require.Equal(t, int64(9000+3750), m.segs[3].Dur)
}

// A watermark reaches nodes at different moments: what they make is the same.
func TestWatermarksChangeNoBytes(t *testing.T) {
	track := testTrack(sluice.Video, 90000)
	pkts := announce(video(track, 7, 200, 50, 3003))
	pkts = append(pkts[:60], pkts[75:]...)
	var marked []sluice.Packet
	for _, pkt := range pkts {
		marked = append(marked, sluice.Packet{Track: track, DTS: pkt.DTS, PTS: pkt.DTS}, pkt)
	}
	marked = marked[1:]
	a, b := pack(t, pkts), pack(t, marked)
	require.Equal(t, a.segs, b.segs)
	require.Equal(t, a.parts, b.parts)
}

func TestRefinedTrackNeedsNoInit(t *testing.T) {
	track := testTrack(sluice.Video, 90000)
	refined := *track
	refined.FrameDur, refined.Bandwidth, refined.PartTarget = 9000, 5, 27000
	pkts := announce(video(track, 7, 20, 10, 9000))
	for i := range pkts[5:] {
		pkts[5+i].Track = &refined
	}
	m := pack(t, pkts)
	require.True(t, SameInit(m.segs[0].Track, m.segs[1].Track))
	require.Equal(t, []int64{18000, 18000, 18000, 18000, 18000}, durs(m.parts[0]), "a segment keeps the track it began with")
	require.Equal(t, []int64{27000, 27000, 27000, 9000}, durs(m.parts[1]))
}

func durs(parts []Part) (out []int64) {
	for _, p := range parts {
		out = append(out, p.Dur)
	}
	return out
}
