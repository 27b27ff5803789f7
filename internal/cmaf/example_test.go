package cmaf_test

import (
	"fmt"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/cmaf"
)

type printer struct{}

func (printer) OpenSegment(s sluice.Segment) { fmt.Println("open", s.Number) }
func (printer) ClosePart(p cmaf.Part)        { fmt.Println("part", p.Name(), p.Dur, "ticks") }
func (printer) CloseSegment(s sluice.Segment) {
	fmt.Println("segment", cmaf.SegmentName(s), s.Dur, "ticks")
}

func ExamplePackager() {
	track := &sluice.Track{
		ID: 1, Kind: sluice.Data, Timescale: 1000, SegmentDur: 4 * time.Second, PartTarget: 250,
		Config: []byte("\x00\x00\x00\x10test\x00\x00\x00\x00\x00\x00\x00\x01"),
	}
	p := &cmaf.Packager{Out: printer{}}
	pkt := sluice.Packet{Track: track, Segment: 5} // announces the segment
	for range 4 {
		if err := p.Write(pkt); err != nil {
			fmt.Println(err)
		}
		pkt.DTS += pkt.Dur
		pkt.PTS, pkt.Dur, pkt.Key, pkt.Data = pkt.DTS, 100, true, []byte("hello")
	}
	if err := p.Flush(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// open 5
	// part 1/0.0-5.0.m4s 200 ticks
	// part 1/0.0-5.1.m4s 100 ticks
	// segment 1/0.0-5.m4s 300 ticks
}
