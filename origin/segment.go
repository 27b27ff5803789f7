package origin

import (
	"io/fs"
	"strconv"
	"strings"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/cmaf"
)

// part is a complete part of a segment: immutable.
type part struct {
	off, size   int64  // in the segment's body
	end         int64  // DTS at which it ends
	line        string // its EXT-X-PART tag
	independent bool
}

// segment is one segment of a track, open or complete: immutable but for its
// body. Closing a segment makes a new value with the same body.
type segment struct {
	sluice.Segment
	name   string // "{era}.{maker}-{number}"
	init   string // file name of its init segment
	parts  []part
	body   *body // nil for a gap
	closed bool
	disc   string // EXT-X-DISCONTINUITY, once for each era since the predecessor
	date   string // EXT-X-PROGRAM-DATE-TIME
	tail   string // EXTINF and URI of a complete segment
}

// open returns the bytes of a complete segment.
func (s *segment) open() (*reader, error) {
	if s.body == nil {
		return nil, fs.ErrNotExist
	}
	return s.body.open(0, s.Size)
}

// micros is a position in microseconds. Durations in playlists are differences
// of these, so that rounding errors never add up.
func micros(t *sluice.Track, ticks int64) int64 {
	return sluice.Rescale(ticks, int64(t.Timescale), 1_000_000)
}

// appendSeconds appends microseconds as seconds without trailing zeros.
func appendSeconds(b []byte, us int64) []byte {
	b = strconv.AppendInt(b, us/1_000_000, 10)
	frac := us % 1_000_000
	if frac == 0 {
		return b
	}
	b = append(b, '.')
	for unit := int64(100_000); frac > 0; unit /= 10 {
		b = append(b, byte('0'+frac/unit))
		frac %= unit
	}
	return b
}

// newPart describes a part of the open segment s.
func newPart(s *segment, p cmaf.Part, off int64) part {
	end := p.Start + p.Dur
	b := make([]byte, 0, 96)
	b = append(b, "#EXT-X-PART:DURATION="...)
	b = appendSeconds(b, micros(p.Track, end)-micros(p.Track, p.Start))
	b = append(b, `,URI="`...)
	b = append(b, partFile(s.name, p.Index)...)
	b = append(b, '"')
	if p.Independent {
		b = append(b, ",INDEPENDENT=YES"...)
	}
	b = append(b, '\n')
	return part{off: off, size: int64(len(p.Data)), end: end, line: string(b), independent: p.Independent}
}

// finish writes the lines of a complete segment.
func (s *segment) finish() {
	b := make([]byte, 0, 96)
	if s.Gap {
		b = append(b, "#EXT-X-GAP\n"...)
	}
	b = append(b, "#EXTINF:"...)
	b = appendSeconds(b, micros(s.Track, s.Start+s.Dur)-micros(s.Track, s.Start))
	b = append(b, ",\n"...)
	b = append(b, s.name...)
	b = append(b, ".m4s\n"...)
	s.tail = string(b)
	s.closed = true
}

// describe writes the tags that stand before the segment; prev is its
// predecessor in the playlist, or nil.
func (s *segment) describe(prev *segment) {
	if prev != nil {
		// Every new era is one discontinuity, also one that held no segment.
		s.disc = strings.Repeat("#EXT-X-DISCONTINUITY\n", int(s.Track.Era-prev.Track.Era))
	}
	b := append(make([]byte, 0, 64), "#EXT-X-PROGRAM-DATE-TIME:"...)
	b = s.Track.Time(s.Start).AppendFormat(b, "2006-01-02T15:04:05.000Z")
	s.date = string(append(b, '\n'))
}

// segmentName is what the files of a segment are called, without the ending.
func segmentName(t *sluice.Track, number uint64) string {
	return baseName(cmaf.Name{Track: t.ID, Era: t.Era, Maker: t.Maker, Number: number})
}

// baseName is a segment's or part's name without folder, part and ending.
func baseName(n cmaf.Name) string {
	n.Part = -1
	_, file, _ := strings.Cut(n.String(), "/")
	return strings.TrimSuffix(file, ".m4s")
}

func partFile(name string, index int) string {
	return name + "." + strconv.Itoa(index) + ".m4s"
}
