package main

import (
	"net"
	"time"
)

// srtFigures are what the API says of a stream that comes in over SRT. Packets
// that are lost come again, as a rule; those that are missing did not.
type srtFigures struct {
	RTT           float64 `json:"rtt"`     // seconds
	Latency       float64 `json:"latency"` // seconds that packets are held back
	Received      uint64  `json:"received"`
	Lost          uint64  `json:"lost"`
	Retransmitted uint64  `json:"retransmitted"`
	Missing       uint64  `json:"missing"`
}

// srtPublishers returns the figures of the streams that come in over SRT.
func (p *platform) srtPublishers() map[string]*srtFigures {
	all := make(map[string]*srtFigures)
	if p.server == nil {
		return all
	}
	for _, c := range p.server.SRTStats() {
		if !c.Play {
			all[c.Stream] = &srtFigures{
				c.RTT.Round(time.Microsecond).Seconds(), c.Latency.Seconds(), c.PacketsReceived, c.Lost, c.Retransmitted, c.Missing,
			}
		}
	}
	return all
}

func (p *platform) srtPort() int { return p.server.SRTAddr().(*net.UDPAddr).Port }
