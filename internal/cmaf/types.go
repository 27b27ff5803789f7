package cmaf

import "github.com/sluice-live/sluice"

// Part is a complete CMAF chunk of a segment.
type Part struct {
	Track       *sluice.Track
	Segment     uint64
	Index       int    // 0 for a segment's first part
	Start       int64  // DTS of the first sample, in ticks
	Dur         int64  // sum of the samples' durations, in ticks
	Independent bool   // the first sample is a key frame
	Data        []byte // one moof and its mdat; the receiver's to keep, not to modify
}

// Handler is told what a Packager makes, in order, on the goroutine that calls
// Write.
//
// Numbers rise by one. They jump only where a reader lost more than 65,536
// segments.
type Handler interface {
	// OpenSegment announces a segment: Track, Number and Start are set. All of
	// the segment has that Track; if it is not the one before, SameInit says
	// whether it needs a new init segment.
	OpenSegment(s sluice.Segment)
	// ClosePart delivers a part of the open segment.
	ClosePart(p Part)
	// CloseSegment completes it: everything is set. A segment without parts is
	// a Gap. Start and Dur are on the presentation timeline, so a segment of
	// reordered frames may end a little before or after its last part's decoding
	// times do.
	CloseSegment(s sluice.Segment)
}
