package rtc

import (
	"sync"
	"time"

	"github.com/sluice-live/sluice"
)

// scale is the rate of the clock that all tracks of a session share. Video's
// and Opus's ticks (of frames of 2.5 ms and more) are whole numbers of it.
const scale = 90000

const (
	slewUpTo     = scale / 10 // a larger correction is made at once
	slewPerMille = 5          // of the time that passes
	notBelieved  = 5 * scale  // a correction, or a step of time stamps, beyond it
)

// commonClock is the time base of a session's tracks.
type commonClock struct {
	mu    sync.Mutex
	began time.Time // arrival of the first packet: position 0
	known bool
	ntp   time.Duration // of position 0, by sender reports
}

// trackClock places one track on the common clock.
type trackClock struct {
	common *commonClock
	rate   int64

	// Under common.mu.
	seen    bool
	lastTS  uint32
	ticks   int64 // unwrapped, from the first packet
	offset  int64 // position of the first packet
	correct int64 // still to be slewed
	lastDTS int64
}

// position returns where a frame of that time stamp lies, in ticks of scale;
// arrival counts for the first, and where a sender counts anew. It never goes
// back.
func (c *trackClock) position(ts uint32, arrival time.Time) int64 {
	c.common.mu.Lock()
	defer c.common.mu.Unlock()
	first := !c.seen
	if first {
		if c.common.began.IsZero() {
			c.common.began = arrival
		}
		c.seen, c.lastTS = true, ts
		c.offset = sluice.Rescale(int64(arrival.Sub(c.common.began)), int64(time.Second), scale)
	}
	step := int64(int32(ts - c.lastTS))
	c.lastTS = ts
	c.ticks += step
	if c.correct != 0 && step > 0 {
		most := max(sluice.Rescale(step, c.rate, scale)*slewPerMille/1000, 1)
		part := min(max(c.correct, -most), most)
		c.offset += part
		c.correct -= part
	}
	dts := c.offset + sluice.Rescale(c.ticks, c.rate, scale)
	here := sluice.Rescale(int64(arrival.Sub(c.common.began)), int64(time.Second), scale)
	if size := sluice.Rescale(step, c.rate, scale); size < -notBelieved || size > notBelieved && dts-here > notBelieved {
		c.offset += here - dts // no frame is so old, and none comes from the future
		c.correct, dts = 0, here
	}
	if !first {
		dts = max(dts, c.lastDTS+1)
	}
	c.lastDTS = dts
	return dts
}

// report takes a sender report: the time of day ntp (RFC 3550, 4) is that of
// the time stamp ts. It returns the correction that it brought.
func (c *trackClock) report(ntp uint64, ts uint32) int64 {
	c.common.mu.Lock()
	defer c.common.mu.Unlock()
	if !c.seen || ntp == 0 {
		return 0
	}
	at := time.Duration(ntp>>32)*time.Second + time.Duration((ntp&0xffffffff)*uint64(time.Second)>>32)
	here := c.offset + sluice.Rescale(c.ticks+int64(int32(ts-c.lastTS)), c.rate, scale)
	if !c.common.known {
		c.common.known = true
		c.common.ntp = at - time.Duration(sluice.Rescale(here, scale, int64(time.Second)))
		return 0
	}
	off := sluice.Rescale(int64(at-c.common.ntp), int64(time.Second), scale) - here
	switch size := max(off, -off); {
	case size > notBelieved:
		return 0
	case size > slewUpTo:
		c.offset += off
		c.correct = 0
	default:
		c.correct = off
	}
	return off
}
