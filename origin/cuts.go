package origin

import "github.com/sluice-live/sluice"

// cuts foretells whether a track's next packet opens a segment, from where the
// segments of its clock's cells may begin and from the cadence of key frames.
// Where these do not tell it says no: most packets open nothing.
type cuts struct {
	last     sluice.Packet // the newest with media; its Data is not kept
	key      sluice.Packet // the newest key frame
	gap      int64         // between the last two key frames
	regular  bool          // as far apart as the two before
	reorders bool          // frames are not shown in the order they come
	previous *sluice.Track
}

// observe takes note of a packet.
func (c *cuts) observe(p sluice.Packet) {
	if p.Data == nil {
		return
	}
	p.Data = nil
	if p.Track != c.previous || p.Discont {
		*c = cuts{previous: p.Track}
	}
	c.last = p
	if c.key.Track != nil && abs(p.PTS-p.DTS-c.key.PTS+c.key.DTS) > p.Dur/2 {
		c.reorders = true
	}
	if !p.Key {
		return
	}
	if c.key.Track != nil {
		gap := p.DTS - c.key.DTS
		c.regular = abs(gap-c.gap) <= p.Dur/2
		c.gap = gap
	}
	c.key = p
}

// next reports whether the packet behind the last one is expected to open a
// segment, where the open one began at start.
func (c *cuts) next(start int64, independent bool) bool {
	t := c.last.Track
	if t == nil || t.SegmentDur <= 0 {
		return false
	}
	cell := max(sluice.Rescale(int64(t.SegmentDur), 1_000_000_000, int64(t.Timescale)), 1)
	lo := (start/cell + 1) * cell // the next cell's start
	if t.Kind != sluice.Video {
		return c.last.PTS+c.last.Dur >= lo
	}
	if !independent {
		lo = (start + cell/2) / cell * cell // it opened late, where its own cell ended
	}
	at := c.last.DTS + c.last.Dur
	pts := at + c.key.PTS - c.key.DTS
	if c.regular && pts >= lo && abs(at-c.key.DTS-c.gap) <= c.last.Dur/2 {
		return true
	}
	// The frame that would pass the end of the next cell opens it, key or not.
	return !c.reorders && pts+c.last.Dur > min(lo+cell, start+2*cell)
}

func abs(n int64) int64 { return max(n, -n) }
