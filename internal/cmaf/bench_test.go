package cmaf

import (
	"testing"

	"github.com/sluice-live/sluice"
)

type nobody struct{ bytes int }

func (n *nobody) OpenSegment(sluice.Segment)  {}
func (n *nobody) ClosePart(p Part)            { n.bytes += len(p.Data) }
func (n *nobody) CloseSegment(sluice.Segment) {}

// One operation is one frame of a 5 Mbit/s stream at 30 fps, of which every
// seventh makes a part.
func BenchmarkPackager(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
		kind sluice.Kind
		dur  int64
	}{{"video 5 Mbit", 20833, sluice.Video, 3000}, {"audio 128 kbit", 341, sluice.Audio, 1920}} {
		b.Run(c.name, func(b *testing.B) {
			track, data := testTrack(c.kind, 90000), make([]byte, c.size)
			p := &Packager{Out: &nobody{}}
			pkt := sluice.Packet{Track: track, DTS: epoch * 90000, PTS: epoch * 90000, Dur: c.dur, Segment: 1}
			if err := p.Write(pkt); err != nil {
				b.Fatal(err)
			}
			pkt.Data = data
			b.ReportAllocs()
			b.SetBytes(int64(c.size))
			for i := 0; b.Loop(); i++ {
				pkt.Key = i%60 == 0 || c.kind == sluice.Audio
				pkt.Segment = 1 + uint64(i/120)
				if err := p.Write(pkt); err != nil {
					b.Fatal(err)
				}
				pkt.DTS += c.dur
				pkt.PTS = pkt.DTS
			}
		})
	}
}
