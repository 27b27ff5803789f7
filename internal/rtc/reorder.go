package rtc

import (
	"time"

	"github.com/pion/rtp"
)

// Bounds of the reorder buffer.
const (
	videoWindow  = 2048                  // packets: half a second of 40 Mbit/s
	audioWindow  = 128                   // of 5 ms: the same
	maxMissing   = 400                   // more at once are a break, not a loss
	nackAtLeast  = 30 * time.Millisecond // between two requests for a packet
	nackAtFirst  = 80 * time.Millisecond // as long as the round trip is not known
	nackAtMost   = 300 * time.Millisecond
	nacksAPacket = 12
)

// reorder puts packets in order, says which ones to ask for again, and gives
// up those that stay missing. Sequence numbers are counted on across their
// wraps.
type reorder struct {
	patience time.Duration

	slots   []slot
	started bool
	next    int64 // the packet that is given out next
	end     int64 // behind the newest that came
	rtt     time.Duration
	stats   Stats
}

// slot is what is known of a packet from next to end.
type slot struct {
	packet *rtp.Packet // nil while it is missing
	since  time.Time   // when it was first missed
	asked  time.Time
	asks   int
}

func newReorder(window int, patience time.Duration) *reorder {
	return &reorder{slots: make([]slot, window), patience: patience}
}

func (r *reorder) at(seq int64) *slot { return &r.slots[uint64(seq)%uint64(len(r.slots))] }

// push takes a packet. It returns false for one that is too late or came
// already.
func (r *reorder) push(p *rtp.Packet, now time.Time) bool {
	if !r.started {
		r.started = true
		r.next = int64(p.SequenceNumber)
		r.end = r.next
	}
	seq := r.end - 1 + int64(int16(p.SequenceNumber-uint16(r.end-1)))
	switch {
	case seq < r.next:
		if r.next-seq < int64(len(r.slots)) {
			return false
		}
		r.restart(seq) // the sender counts anew
	case seq >= r.next+int64(len(r.slots)) || seq-r.end > maxMissing:
		r.stats.Lost += uint64(seq - r.end)
		r.restart(seq)
	}
	s := r.at(seq)
	if seq < r.end {
		if s.packet != nil {
			return false
		}
		r.came(s, now)
		s.packet = p
		return true
	}
	for ; r.end < seq; r.end++ {
		*r.at(r.end) = slot{since: now}
	}
	*s = slot{packet: p}
	r.end = seq + 1
	return true
}

// came learns the round trip from a packet that was asked for once.
func (r *reorder) came(s *slot, now time.Time) {
	if s.asks == 0 {
		return
	}
	r.stats.Repaired++
	if s.asks > 1 {
		return
	}
	if rtt := now.Sub(s.asked); r.rtt == 0 {
		r.rtt = rtt
	} else {
		r.rtt += (rtt - r.rtt) / 8
	}
}

// restart begins with seq what comes next; what waits is lost.
func (r *reorder) restart(seq int64) {
	for ; r.next < r.end; r.next++ {
		if r.at(r.next).packet == nil {
			r.stats.Lost++
		}
		*r.at(r.next) = slot{}
	}
	// One number is left out, so that pop reports a gap.
	r.next, r.end = seq-1, seq
	*r.at(r.next) = slot{since: time.Time{}}
}

// pop returns the next packet in order, and whether others are lost before it;
// nil while the next one is waited for.
func (r *reorder) pop(now time.Time) (p *rtp.Packet, lost bool) {
	for r.next < r.end {
		s := r.at(r.next)
		if s.packet == nil {
			if now.Sub(s.since) < r.patience {
				return nil, lost
			}
			if !s.since.IsZero() {
				r.stats.Lost++
			}
			lost = true
			r.next++
			continue
		}
		p = s.packet
		*s = slot{}
		r.next++
		return p, lost
	}
	return nil, lost
}

// waits reports whether a packet is missing.
func (r *reorder) waits() bool { return r.next < r.end }

// missing returns the sequence numbers to ask for now.
func (r *reorder) missing(now time.Time) (seqs []uint16) {
	again := nackAtFirst
	if r.rtt > 0 {
		again = min(max(r.rtt*5/4, nackAtLeast), nackAtMost)
	}
	for seq := r.next; seq < r.end; seq++ {
		s := r.at(seq)
		if s.packet != nil || s.asks >= nacksAPacket || s.since.IsZero() || s.asks > 0 && now.Sub(s.asked) < again {
			continue
		}
		if s.asks == 0 {
			r.stats.Asked++
		}
		s.asks++
		s.asked = now
		seqs = append(seqs, uint16(seq))
	}
	return seqs
}
