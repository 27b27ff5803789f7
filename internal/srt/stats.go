package srt

import "time"

// Stats are a connection's figures. Packets are data packets, and bytes their
// payload.
type Stats struct {
	RTT, RTTVar time.Duration
	// Latency is how long packets are held back here, PeerLatency at the peer.
	Latency, PeerLatency time.Duration
	// ReceiveRate and SendRate are bits of the last second.
	ReceiveRate, SendRate float64

	PacketsReceived, BytesReceived uint64 // those that came twice included
	Lost                           uint64 // seen to be missing; most come again
	Retransmitted                  uint64 // those that the peer sent again
	Missing                        uint64 // that did not come in time: the gaps in what was read
	Belated                        uint64 // came after their time, most of them for the second time
	Duplicates                     uint64 // came more than once
	Undecrypted                    uint64 // could not be decrypted
	Overrun                        uint64 // came when the buffer was full, as its reader is slow

	PacketsSent, BytesSent uint64 // each counted once
	PeerLost               uint64 // that the peer reported missing, each time it did
	Repeated               uint64 // packets sent again
	SendDropped            uint64 // given up, as they would come too late
	Held                   int    // packets received and not read yet
	Unacknowledged         int    // packets sent that the peer may not have
}

// Stats returns the connection's figures, also after its end.
func (c *Conn) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	micros := func(v int64) time.Duration { return time.Duration(v) * time.Microsecond }
	if c.rtt.known {
		s.RTT, s.RTTVar = micros(c.rtt.mean), micros(c.rtt.dev)
	}
	s.Latency, s.PeerLatency = micros(c.in.delay), micros(c.out.delay)
	s.ReceiveRate, s.SendRate = 8*c.in.rate.perSecond, 8*c.out.rate.perSecond
	s.Held, s.Unacknowledged = distance(c.in.end, c.in.first), c.out.waiting()
	return s
}

// Agent returns what the peer says it is.
func (c *Conn) Agent() string { return c.peer.agent }
