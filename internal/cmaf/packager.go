package cmaf

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/sluice-live/sluice"
)

// ErrPacket is wrapped by errors about a packet that cannot be packaged. Such
// a packet is left out; the Packager goes on with the next one.
var ErrPacket = errors.New("packet cannot be packaged")

const (
	maxData    = 64 << 20 // of a packet and of a part's; an 8K intra frame has about 10 MiB
	maxSamples = 4096     // of a part; 48 kHz Opus frames of 2.5 ms fill a 10 s part
	maxSeconds = 1 << 32  // of a time stamp, the year 2106, so that sums and conversions fit

	// maxGaps bounds what a jump of the numbers makes: three days of four-second
	// segments. A longer one begins anew, as if nothing had been before.
	maxGaps = 1 << 16
)

// Packager makes the parts and segments of one track and tells Out. It begins
// at the start of a segment, leaving out what comes before.
type Packager struct {
	// Out is told what is made. It must be set.
	Out Handler

	last    uint64 // the largest number seen on the track
	started bool   // something has been seen
	open    bool
	seg     sluice.Segment // the open segment; Size and Independent grow with it
	parts   int            // of the open segment
	end     int64          // where its media ends, or a watermark if that is later
	prev    int64          // DTS of the newest media packet since media began
	media   bool           // prev is set
	samples []sample       // of the open part
	bytes   int            // of samples
	checked *sluice.Track  // the newest track found sane
	limit   int64          // its 2T in ticks: the longest packet accepted
}

// Write takes the next packet of the track. Its Data is kept until the part
// that it is in has been delivered.
//
// An error wraps [ErrPacket] or [ErrTrack] and concerns this packet only.
func (p *Packager) Write(pkt sluice.Packet) error {
	if err := p.check(&pkt); err != nil {
		return fmt.Errorf("cmaf: package track %d, segment %d: %w", trackID(pkt.Track), pkt.Segment, err)
	}
	switch {
	case !p.started && pkt.Data == nil && pkt.Segment == 0:
		return nil // says nothing about where we are
	case !p.started && pkt.Data != nil:
		p.last = pkt.Segment // perhaps in the middle
	case pkt.Segment > p.last:
		p.next(&pkt)
	}
	p.started = true
	switch {
	case !p.open:
	case pkt.Data == nil:
		p.watermark(&pkt)
	default:
		p.add(&pkt)
	}
	return nil
}

// Flush ends the stream: the open segment lasts as long as its media, or until
// the last watermark. What is written after it begins at the start of a
// segment again. It never fails; the error is there for what wraps a Packager.
func (p *Packager) Flush() error {
	if p.open {
		p.closeSegment(p.end)
	}
	return nil
}

// next closes the open segment and opens the one that pkt begins.
func (p *Packager) next(pkt *sluice.Packet) {
	missing := pkt.Segment - p.last - 1
	if p.open && missing <= maxGaps {
		old := p.seg.Track
		start := sluice.Rescale(pkt.PTS, int64(pkt.Track.Timescale), int64(old.Timescale))
		switch newEra := !sameEra(old, pkt.Track); {
		case missing > 0:
			p.closeSegment(min(p.end, start))
			p.gaps(missing, start, newEra)
		case newEra:
			p.closeSegment(min(p.end, start))
		default:
			p.closeSegment(start)
		}
	} else if p.open {
		p.closeSegment(p.end)
	}
	if p.seg.Track != nil && !sameEra(p.seg.Track, pkt.Track) {
		p.media = false
	}
	p.openSegment(sluice.Segment{Track: pkt.Track, Number: pkt.Segment, Start: pkt.PTS})
	p.last = pkt.Segment
}

// gaps makes the segments whose packets were all lost: of equal length, from
// the end of what was closed last to start. Across eras they are of the old one
// and no longer than T, because time between eras belongs to no segment.
func (p *Packager) gaps(n uint64, start int64, newEra bool) {
	track, from := p.seg.Track, p.seg.Start+p.seg.Dur
	span := max(start-from, 0)
	if newEra {
		span = min(span, int64(n)*ticks(track, track.SegmentDur))
	}
	at := func(i uint64) int64 {
		return from + int64(i)*(span/int64(n)) + int64(i)*(span%int64(n))/int64(n)
	}
	for i := range n {
		p.openSegment(sluice.Segment{Track: track, Number: p.seg.Number + 1, Start: at(i)})
		p.closeSegment(at(i + 1))
	}
}

func (p *Packager) openSegment(s sluice.Segment) {
	p.seg, p.parts, p.end, p.open = s, 0, s.Start, true
	p.Out.OpenSegment(s)
}

func (p *Packager) closeSegment(end int64) {
	p.closePart()
	p.open = false
	p.seg.Dur = max(end-p.seg.Start, 0)
	p.seg.Gap = p.parts == 0
	p.Out.CloseSegment(p.seg)
}

// watermark takes a packet without media: nothing comes before it, so a part
// that it is past is complete.
func (p *Packager) watermark(pkt *sluice.Packet) {
	if !sameEra(p.seg.Track, pkt.Track) {
		return
	}
	p.end = max(p.end, pkt.PTS)
	if len(p.samples) > 0 && pkt.DTS >= p.samples[0].dts+p.seg.Track.PartTarget {
		p.closePart()
	}
}

// add takes a frame into the open part, or into the next one if it does not
// fit, and closes the part if another frame like it would not.
func (p *Packager) add(pkt *sluice.Packet) {
	target := p.seg.Track.PartTarget
	if n := len(p.samples); n > 0 {
		last := &p.samples[n-1]
		lost := pkt.Discont && pkt.DTS > last.dts+last.dur
		full := n == maxSamples || p.bytes+len(pkt.Data) > maxData
		if lost || full || pkt.DTS+pkt.Dur-p.samples[0].dts > target {
			p.closePart()
		} else {
			last.dur = pkt.DTS - last.dts
		}
	}
	if p.parts == 0 && len(p.samples) == 0 {
		p.seg.Independent = pkt.Key
	}
	p.samples = append(p.samples, sample{data: pkt.Data, dts: pkt.DTS, dur: pkt.Dur, offset: int32(pkt.PTS - pkt.DTS), key: pkt.Key})
	p.bytes += len(pkt.Data)
	p.end = max(p.end, pkt.PTS+pkt.Dur)
	p.prev, p.media = pkt.DTS, true
	if pkt.DTS+2*pkt.Dur-p.samples[0].dts > target {
		p.closePart()
	}
}

func (p *Packager) closePart() {
	if len(p.samples) == 0 {
		return
	}
	first, last := &p.samples[0], &p.samples[len(p.samples)-1]
	part := Part{
		Track:       p.seg.Track,
		Segment:     p.seg.Number,
		Index:       p.parts,
		Start:       first.dts,
		Dur:         last.dts + last.dur - first.dts,
		Independent: first.key,
		Data:        fragment(p.seg.Track.ID, sequence(p.seg.Number, p.parts), p.samples),
	}
	clear(p.samples)
	p.samples, p.bytes = p.samples[:0], 0
	p.parts++
	p.seg.Size += int64(len(part.Data))
	p.Out.ClosePart(part)
}

// sequence numbers fragments: it rises within a segment and from one to the
// next, and depends on nothing that came before.
func sequence(segment uint64, part int) uint32 {
	return uint32(segment)<<8 + uint32(part)
}

// check refuses what would break a fragment or a sum.
func (p *Packager) check(pkt *sluice.Packet) error {
	if err := p.checkTrack(pkt.Track); err != nil {
		return err
	}
	if most := maxSeconds * int64(pkt.Track.Timescale); pkt.DTS < 0 || pkt.PTS < 0 || pkt.DTS > most || pkt.PTS > most {
		return fmt.Errorf("time stamps %d, %d: %w", pkt.DTS, pkt.PTS, ErrPacket)
	}
	if pkt.Data == nil {
		return nil
	}
	inside := p.open && pkt.Segment <= p.last
	switch {
	case len(pkt.Data) > maxData:
		return fmt.Errorf("%d bytes: %w", len(pkt.Data), ErrPacket)
	case pkt.Dur < 0 || pkt.Dur > p.limit:
		return fmt.Errorf("duration of %d ticks, more than 2T or less than 0: %w", pkt.Dur, ErrPacket)
	case pkt.PTS-pkt.DTS > math.MaxInt32 || pkt.PTS-pkt.DTS < math.MinInt32:
		return fmt.Errorf("PTS %d is too far from DTS %d: %w", pkt.PTS, pkt.DTS, ErrPacket)
	case p.started && pkt.Segment < p.last:
		return fmt.Errorf("it comes after segment %d: %w", p.last, ErrPacket)
	case inside && !sameEra(p.seg.Track, pkt.Track):
		return fmt.Errorf("its track changed inside the segment: %w", ErrPacket)
	case p.media && pkt.DTS < p.prev && (inside || sameEra(p.seg.Track, pkt.Track)):
		return fmt.Errorf("DTS goes back from %d to %d: %w", p.prev, pkt.DTS, ErrPacket)
	}
	return nil
}

func (p *Packager) checkTrack(t *sluice.Track) error {
	if t == p.checked && t != nil {
		return nil
	}
	if t == nil {
		return fmt.Errorf("it has no track: %w", ErrPacket)
	}
	if err := errors.Join(checkEntry(t), checkTiming(t)); err != nil {
		return err
	}
	if p.checked != nil && p.checked.ID != t.ID {
		return fmt.Errorf("it is not of track %d: %w", p.checked.ID, ErrPacket)
	}
	p.checked, p.limit = t, min(2*ticks(t, t.SegmentDur), math.MaxInt32)
	return nil
}

// sameEra reports whether b continues a: one making of one timeline, with one
// init segment.
func sameEra(a, b *sluice.Track) bool {
	return a == b || a.Era == b.Era && a.Maker == b.Maker && SameInit(a, b)
}

func ticks(t *sluice.Track, d time.Duration) int64 {
	return sluice.Rescale(int64(d), int64(time.Second), int64(t.Timescale))
}

func trackID(t *sluice.Track) uint32 {
	if t == nil {
		return 0
	}
	return t.ID
}
