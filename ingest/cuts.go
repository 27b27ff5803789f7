package ingest

import (
	"time"

	"github.com/sluice-live/sluice"
)

// cuts decides where one track's segments begin. Cell c is [cT, (c+1)T) of
// UTC; a segment stands for one cell, and numbers follow each other without a
// hole: cells without media become gaps, opened by a packet without Data.
type cuts struct {
	t      time.Duration
	scale  int64
	number uint64 // of the open segment; of the last one ever between eras
	used   bool   // number was given to a segment
	cell   int64  // the open segment stands for
	start  int64  // of the open segment, in ticks
	end    int64  // of the media in presentation time, in ticks
	maxPTS int64
}

// opening is a segment that begins at a presentation time.
type opening struct {
	number uint64
	start  int64
}

// cellStart returns the first tick of a cell.
func (c *cuts) cellStart(cell int64) int64 {
	return ticks(time.Duration(cell)*c.t, c.scale)
}

// cellOf returns the cell that holds a position.
func (c *cuts) cellOf(pts int64) int64 {
	cell := sluice.Rescale(pts, c.scale, int64(time.Second)) / int64(c.t)
	for pts < c.cellStart(cell) {
		cell--
	}
	for pts >= c.cellStart(cell+1) {
		cell++
	}
	return cell
}

// era opens an era's first segment at pts.
func (c *cuts) era(pts int64) opening {
	c.cell = c.cellOf(pts)
	if c.used {
		c.number++
	} else {
		c.number, c.used = uint64(c.cell), true
	}
	c.start, c.end, c.maxPTS = pts, pts, pts-1
	return opening{c.number, c.start}
}

// frame places a frame, shown from pts to end, and returns the segments that
// open before it; the last of them, or the one open already, is the frame's.
// Audio frames are all key.
//
// Cuts are made in presentation order: a frame that is shown before one
// already placed never opens a segment, and one that is not a key frame opens
// it where all before it end.
func (c *cuts) frame(dts, pts, end int64, key bool) (opened []opening) {
	if pts > c.maxPTS {
		opened = c.advance(dts, pts, end, key)
		c.maxPTS = pts
	}
	c.end = max(c.end, end)
	return opened
}

// advance returns what a frame opens that is shown after all before it.
func (c *cuts) advance(dts, pts, end int64, key bool) []opening {
	if key {
		cell := c.cellOf(pts)
		if cell <= c.cell {
			return nil
		}
		return c.open(cell, pts, c.pass(cell-1))
	}
	longest := c.start + 2*ticks(c.t, c.scale)
	if end <= min(c.cellStart(c.cell+2), longest) {
		return nil // the next cell does not end before another frame can open its segment
	}
	front := min(pts, max(c.end, dts))
	if front > longest { // a hole
		return c.pass(c.cellOf(front))
	}
	return c.open(c.cell+1, front, nil)
}

// watermark says that nothing comes before at, and returns the gaps that open.
func (c *cuts) watermark(at int64) []opening {
	if at < c.end {
		return nil // frames may come that are shown before the end
	}
	return c.pass(c.cellOf(at))
}

// pass makes gaps of the cells up to and with cell. A cell that media reaches
// through to its end takes no number.
func (c *cuts) pass(cell int64) (opened []opening) {
	for c.cell < cell {
		c.cell++
		if start := max(c.end, c.cellStart(c.cell)); start < c.cellStart(c.cell+1) {
			c.number++
			c.start = start
			opened = append(opened, opening{c.number, start})
		}
	}
	return opened
}

func (c *cuts) open(cell, start int64, opened []opening) []opening {
	c.number++
	c.cell, c.start = cell, start
	return append(opened, opening{c.number, start})
}
