package ingest

import (
	"time"

	"github.com/sluice-live/sluice"
)

const (
	jumpBeyond = 2 * time.Second  // a step of the source's clock that arrival does not explain
	slewPPM    = 100              // how fast the mapping follows drift, parts per million
	slewWindow = 30 * time.Second // over which the least delay is taken
	slewSlack  = 5 * time.Millisecond
)

// clock maps one connection's time stamps to UTC. It is anchored once, at the
// first packet's arrival, and keeps the source's own cadence from then on; only
// drift is followed, slowly.
type clock struct {
	scale   int64 // ticks of the source a second
	wrap    int64 // its counter wraps here; 0 never
	seen    bool
	lastRaw int64
	last    int64     // unwrapped, counted from the first
	source  int64     // position of the anchor, in the source's unwrapped ticks
	utc     time.Time // the anchor
	slew    time.Duration

	windowStart time.Time
	slewed      time.Time
	least       time.Duration // delay seen in this window
	rate        int64         // of slewing now, ppm
}

// Wraps of counters, and the largest step that is told from a larger one.
const (
	rtmpCounter  = 1 << 32
	shortCounter = 1 << 24 // of senders that forget RTMP's extended time stamps
	largestStep  = 1 << 22 // seconds; all beyond is a jump, and sums must not overflow
)

// unwrap returns a raw time stamp as a count that goes on across wraps of the
// source's counter.
func (c *clock) unwrap(raw int64, wraps *uint64) int64 {
	if !c.seen {
		c.seen, c.lastRaw = true, raw
	}
	d := raw - c.lastRaw
	before := c.lastRaw
	c.lastRaw = raw
	if c.wrap > 0 {
		d = nearest(d, c.wrap)
	}
	if off := max(d, -d) - shortCounter; c.wrap == rtmpCounter && max(off, -off) < 10*c.scale {
		d = nearest(d, shortCounter)
	}
	switch {
	case d > 0 && raw < before:
		*wraps++
	case d < 0 && raw > before && *wraps > 0: // another track, not there yet
		*wraps--
	}
	c.last += min(max(d, -largestStep*c.scale), largestStep*c.scale)
	return c.last
}

// composition returns how much later than decoded a packet is shown, where each
// of its time stamps may have wrapped alone; in ticks of scale.
func (c *clock) composition(p sluice.Packet, scale uint32) int64 {
	d := p.PTS - p.DTS
	if c.wrap > 0 {
		d = nearest(d, c.wrap)
	}
	d = min(max(d, -largestStep*c.scale), largestStep*c.scale)
	return sluice.Rescale(d, c.scale, int64(scale))
}

// nearest returns d modulo wrap, as the value next to 0.
func nearest(d, wrap int64) int64 {
	d %= wrap
	switch {
	case d > wrap/2:
		d -= wrap
	case d < -wrap/2:
		d += wrap
	}
	return d
}

func (c *clock) duration(ticks int64) time.Duration {
	return time.Duration(sluice.Rescale(ticks, c.scale, int64(time.Second)))
}

// anchor sets the position source to the time utc. Drift is that against the
// wall clock, so what utc may know of a monotonic one is left out.
func (c *clock) anchor(source int64, utc time.Time) {
	c.source, c.utc, c.slew = source, utc.Round(0), 0
	c.windowStart, c.slewed, c.least, c.rate = time.Time{}, time.Time{}, 0, 0
}

// at returns the UTC time of a position of the source.
func (c *clock) at(source int64) time.Time {
	return c.utc.Add(c.duration(source-c.source) + c.slew)
}

// ticks returns the position in ticks of scale since the epoch.
func (c *clock) ticks(source, scale int64) int64 {
	base := c.utc.Unix()*scale + sluice.Rescale(int64(c.utc.Nanosecond())+int64(c.slew), int64(time.Second), scale)
	return base + sluice.Rescale(source-c.source, c.scale, scale)
}

// arrived follows drift: it learns the least delay of packets against the
// mapping and slews towards it.
func (c *clock) arrived(source int64, arrival time.Time) {
	delay := arrival.Sub(c.at(source))
	if c.windowStart.IsZero() || arrival.Before(c.windowStart) {
		c.windowStart, c.slewed, c.least = arrival, arrival, delay
		return
	}
	c.least = min(c.least, delay)
	if elapsed := arrival.Sub(c.slewed); elapsed >= time.Second {
		elapsed = min(elapsed, slewWindow)
		c.slew += elapsed * time.Duration(c.rate) / 1e6
		c.slewed = arrival
	}
	if arrival.Sub(c.windowStart) < slewWindow {
		return
	}
	c.rate = 0
	if c.least > slewSlack || c.least < -slewSlack {
		c.rate = min(max(int64(c.least/(slewWindow/1e6)), -slewPPM), slewPPM)
	}
	c.windowStart, c.least = arrival, delay
}
