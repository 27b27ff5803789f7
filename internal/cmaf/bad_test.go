package cmaf

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// A packet that cannot be packaged is an error and is left out; what comes
// after it is as if it had never been.
func TestBadPacketsAreLeftOut(t *testing.T) {
	track := testTrack(sluice.Video, 90000)
	other := testTrack(sluice.Video, 90000)
	other.ID = 2
	era := testTrack(sluice.Video, 90000)
	era.Era++
	for name, change := range map[string]func(*sluice.Packet){
		"no track":          func(p *sluice.Packet) { p.Track = nil },
		"another track":     func(p *sluice.Packet) { p.Track = other },
		"era inside":        func(p *sluice.Packet) { p.Track = era },
		"DTS goes back":     func(p *sluice.Packet) { p.DTS -= 90000 },
		"DTS before 1970":   func(p *sluice.Packet) { p.DTS = -1 },
		"DTS after 2106":    func(p *sluice.Packet) { p.DTS = math.MaxInt64 },
		"PTS after 2106":    func(p *sluice.Packet) { p.PTS = math.MaxInt64 },
		"PTS far from DTS":  func(p *sluice.Packet) { p.PTS += 1 << 32 },
		"negative duration": func(p *sluice.Packet) { p.Dur = -1 },
		"absurd duration":   func(p *sluice.Packet) { p.Dur = 8*90000 + 1 },
		"endless duration":  func(p *sluice.Packet) { p.Dur = math.MaxInt64 },
		"huge":              func(p *sluice.Packet) { p.Data = make([]byte, maxData+1) },
		"old segment":       func(p *sluice.Packet) { p.Segment-- },
	} {
		pkts := announce(video(track, 7, 40, 10, 9000))
		want := pack(t, pkts)
		m := &made{t: t}
		p := &Packager{Out: m}
		for i, pkt := range pkts {
			require.NoError(t, p.Write(pkt))
			if i == 25 {
				change(&pkt)
				require.ErrorIs(t, p.Write(pkt), ErrPacket, name)
			}
		}
		require.NoError(t, p.Flush())
		require.Equal(t, want.parts, m.parts, name)
	}
}

func TestPartsAreBounded(t *testing.T) {
	track := testTrack(sluice.Video, 90000)
	pkts := announce(video(track, 7, maxSamples+10, math.MaxInt32, 0))
	m := pack(t, pkts)
	require.Len(t, m.parts[0], 2, "frames without duration never reach the target")

	data := make([]byte, maxData/2+1)
	pkts = announce(video(track, 7, 3, 10, 1))
	for i := range pkts[1:] {
		pkts[1+i].Data = data
	}
	require.Len(t, pack(t, pkts).parts[0], 3)
}

func TestFlushThenGoesOn(t *testing.T) {
	track := testTrack(sluice.Video, 90000)
	pkts := announce(video(track, 7, 40, 10, 9000))
	m := &made{t: t}
	p := &Packager{Out: m}
	for i, pkt := range pkts {
		require.NoError(t, p.Write(pkt))
		if i == 15 {
			require.NoError(t, p.Flush())
		}
	}
	require.NoError(t, p.Flush())
	var numbers []uint64
	for _, s := range m.segs {
		numbers = append(numbers, s.Number)
	}
	require.Equal(t, []uint64{7, 8, 9, 10}, numbers)
	require.Equal(t, int64(5*9000), m.segs[1].Dur, "up to the flush")
}
