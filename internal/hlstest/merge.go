package hlstest

import (
	"fmt"
	"reflect"
	"slices"
)

// merge builds the whole playlist from a delta update and the newest whole
// playlist before it, as RFC 8216bis section 6.3.7 tells clients to.
func merge(old, delta *Playlist) (*Playlist, error) {
	if !delta.Delta {
		return delta, nil
	}
	out := *delta
	out.Delta, out.Skipped, out.Segments = false, 0, nil
	for i := range delta.Skipped {
		s := old.find(delta.MediaSequence + i)
		if s == nil || s.URI == "" {
			return nil, fmt.Errorf("skips segment %d, which the client never had", delta.MediaSequence+i)
		}
		out.Segments = append(out.Segments, *s)
	}
	out.Segments = append(out.Segments, delta.Segments...)
	if len(out.Segments) > 0 && delta.Skipped > 0 {
		first := &out.Segments[0]
		if first.DiscSeq < delta.DiscontinuitySequence {
			return nil, fmt.Errorf("EXT-X-DISCONTINUITY-SEQUENCE %d is past segment %d, which had %d",
				delta.DiscontinuitySequence, first.MSN, first.DiscSeq)
		}
		// Its own tags may have left together with the segment before it.
		first.Map, first.PDT = first.Init, first.Start
		first.Disconts = int(first.DiscSeq - delta.DiscontinuitySequence)
	}
	out.resolve()
	return &out, nil
}

// difference says where two playlists of the same live edge differ; parts of
// skipped segments aside, which one of them cannot know about. "" is none.
func difference(merged, whole *Playlist, skipped uint64) string {
	if merged.Header != whole.Header {
		return fmt.Sprintf("headers differ: %+v against %+v", merged.Header, whole.Header)
	}
	if len(merged.Segments) != len(whole.Segments) {
		return fmt.Sprintf("%d segments against %d", len(merged.Segments), len(whole.Segments))
	}
	for i := range whole.Segments {
		a, b := merged.Segments[i], whole.Segments[i]
		if uint64(i) < skipped {
			a.Parts, b.Parts = nil, nil
		}
		// A date counted on and a map inherited are the same as ones written.
		a.PDT, b.PDT, a.Map, b.Map = a.Start, b.Start, a.Init, b.Init
		if i == 0 {
			// Discontinuities before the first segment are in its sequence number.
			a.Disconts, b.Disconts = 0, 0
		}
		if !sameSegment(a, b) {
			return fmt.Sprintf("segment %d: %+v against %+v", b.MSN, a, b)
		}
	}
	if !slices.Equal(merged.Hints, whole.Hints) || merged.EndList != whole.EndList {
		return "preload hints or the end differ"
	}
	return ""
}

func sameSegment(a, b Segment) bool {
	if !a.PDT.Equal(b.PDT) || !a.Start.Equal(b.Start) {
		return false
	}
	a.PDT, a.Start = b.PDT, b.Start
	return reflect.DeepEqual(a, b)
}
