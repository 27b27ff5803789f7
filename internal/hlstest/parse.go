package hlstest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrPlaylist is wrapped by every error about a playlist's syntax.
var ErrPlaylist = errors.New("hlstest: playlist is malformed")

// Parse reads a media playlist, strictly.
func Parse(data []byte) (*Playlist, error) {
	p := parser{seen: map[string]bool{}}
	if err := eachLine(data, p.line); err != nil {
		return nil, err
	}
	if err := p.finish(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPlaylist, err)
	}
	if !p.out.Delta {
		p.out.resolve()
	}
	return &p.out, nil
}

// eachLine checks what every playlist has in common and yields its lines.
func eachLine(data []byte, yield func(tag, value string) error) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("%w: not UTF-8", ErrPlaylist)
	}
	lines := strings.Split(string(data), "\n")
	if strings.TrimSuffix(lines[0], "\r") != "#EXTM3U" {
		return fmt.Errorf("%w: line 1 is not #EXTM3U", ErrPlaylist)
	}
	for i, line := range lines[1:] {
		line = strings.TrimSuffix(line, "\r")
		if line == "" || line[0] == '#' && !strings.HasPrefix(line, "#EXT") {
			continue
		}
		tag, value := "", line
		if line[0] == '#' {
			tag, value, _ = strings.Cut(line[1:], ":")
		}
		if err := yield(tag, value); err != nil {
			return fmt.Errorf("%w: line %d (%.120s): %w", ErrPlaylist, i+2, line, err)
		}
	}
	return nil
}

// parser holds a playlist and the segment whose tags are being read.
type parser struct {
	out  Playlist
	cur  Segment
	any  bool // cur has a tag
	inf  bool // cur has EXTINF
	seen map[string]bool
}

// single lists the tags that a playlist has at most once.
var single = map[string]bool{
	"EXT-X-VERSION": true, "EXT-X-TARGETDURATION": true, "EXT-X-PART-INF": true, "EXT-X-SERVER-CONTROL": true,
	"EXT-X-MEDIA-SEQUENCE": true, "EXT-X-DISCONTINUITY-SEQUENCE": true, "EXT-X-INDEPENDENT-SEGMENTS": true,
	"EXT-X-SKIP": true, "EXT-X-ENDLIST": true, "EXT-X-PLAYLIST-TYPE": true,
}

func (p *parser) line(tag, value string) error {
	if single[tag] {
		if p.seen[tag] {
			return errors.New("tag appears twice")
		}
		p.seen[tag] = true
	}
	if tag == "" {
		return p.uri(value)
	}
	if done, err := p.header(tag, value); done || err != nil {
		return err
	}
	if done, err := p.trailer(tag, value); done || err != nil {
		return err
	}
	return p.segmentTag(tag, value)
}

func (p *parser) header(tag, value string) (done bool, err error) {
	h := &p.out.Header
	switch tag {
	case "EXT-X-VERSION":
		h.Version, err = strconv.Atoi(value)
	case "EXT-X-TARGETDURATION":
		if _, err = strconv.ParseUint(value, 10, 32); err == nil {
			h.TargetDuration, err = parseSeconds(value)
		}
	case "EXT-X-MEDIA-SEQUENCE":
		h.MediaSequence, err = p.sequence(value)
	case "EXT-X-DISCONTINUITY-SEQUENCE":
		h.DiscontinuitySequence, err = p.sequence(value)
	case "EXT-X-INDEPENDENT-SEGMENTS":
		h.Independent = true
	case "EXT-X-PART-INF":
		a := parseAttributes(value)
		h.PartTarget, err = a.seconds("PART-TARGET"), a.err
	case "EXT-X-SERVER-CONTROL":
		a := parseAttributes(value)
		h.Control, h.CanBlock, h.CanSkipUntil = true, a.yes("CAN-BLOCK-RELOAD"), a.seconds("CAN-SKIP-UNTIL")
		h.HoldBack, h.PartHoldBack, err = a.seconds("HOLD-BACK"), a.seconds("PART-HOLD-BACK"), a.err
	case "EXT-X-SKIP":
		a := parseAttributes(value)
		p.out.Delta, p.out.Skipped, err = true, a.integer("SKIPPED-SEGMENTS"), a.err
		if err == nil && (p.any || len(p.out.Segments) > 0) {
			err = errors.New("stands behind a segment")
		}
	default:
		return false, nil
	}
	return true, err
}

// sequence reads a number that must stand before any segment.
func (p *parser) sequence(value string) (uint64, error) {
	if p.any || len(p.out.Segments) > 0 {
		return 0, errors.New("stands behind a segment")
	}
	return strconv.ParseUint(value, 10, 63)
}

func (p *parser) trailer(tag, value string) (done bool, err error) {
	switch tag {
	case "EXT-X-PRELOAD-HINT":
		a := parseAttributes(value)
		p.out.Hints = append(p.out.Hints, Hint{a.enum("TYPE"), a.string("URI")})
		return true, a.err
	case "EXT-X-RENDITION-REPORT":
		a := parseAttributes(value)
		r := RenditionReport{a.string("URI"), a.integer("LAST-MSN"), a.integer("LAST-PART"), a.has("LAST-PART")}
		if a.err == nil && (r.URI == "" || !a.has("LAST-MSN")) {
			a.fail(errors.New("URI or LAST-MSN is missing"))
		}
		p.out.Reports = append(p.out.Reports, r)
		return true, a.err
	case "EXT-X-ENDLIST":
		p.out.EndList = true
		return true, nil
	}
	return false, nil
}

func (p *parser) segmentTag(tag, value string) (err error) {
	s := &p.cur
	switch tag {
	case "EXTINF":
		duration, _, comma := strings.Cut(value, ",")
		if s.Dur, err = parseSeconds(duration); err == nil && (p.inf || !comma) {
			err = errors.New("EXTINF twice for one segment, or without its comma")
		}
		p.inf = true
	case "EXT-X-GAP":
		s.Gap = true
	case "EXT-X-BYTERANGE":
		s.byteRange = true
	case "EXT-X-DISCONTINUITY":
		s.Disconts++
		err = p.beforeParts()
	case "EXT-X-PROGRAM-DATE-TIME":
		s.PDT, err = time.Parse(time.RFC3339Nano, value)
		if err == nil {
			err = p.beforeParts()
		}
	case "EXT-X-MAP":
		a := parseAttributes(value)
		s.Map, err = a.string("URI"), a.err
		if err == nil && (s.Map == "" || a.has("BYTERANGE")) {
			err = errors.New("EXT-X-MAP without URI or with a byte range")
		}
		if err == nil {
			err = p.beforeParts()
		}
	case "EXT-X-PART":
		err = p.part(value)
	default:
		return nil
	}
	p.any = true
	return err
}

func (p *parser) beforeParts() error {
	if len(p.cur.Parts) > 0 {
		return errors.New("stands between the parts of a segment")
	}
	return nil
}

func (p *parser) part(value string) error {
	a := parseAttributes(value)
	part := Part{
		URI: a.string("URI"), Dur: a.seconds("DURATION"),
		Independent: a.yes("INDEPENDENT"), Gap: a.yes("GAP"), byteRange: a.has("BYTERANGE"),
	}
	if a.err == nil && (part.URI == "" || !a.has("DURATION")) {
		a.fail(errors.New("URI or DURATION is missing"))
	}
	p.cur.Parts = append(p.cur.Parts, part)
	return a.err
}

func (p *parser) uri(value string) error {
	if !p.inf {
		return errors.New("URI without EXTINF before it")
	}
	p.cur.URI = value
	p.push()
	return nil
}

func (p *parser) push() {
	p.cur.MSN = p.out.MediaSequence + p.out.Skipped + uint64(len(p.out.Segments))
	p.out.Segments = append(p.out.Segments, p.cur)
	p.cur, p.any, p.inf = Segment{}, false, false
}

func (p *parser) finish() error {
	if p.inf {
		return errors.New("EXTINF without a URI behind it")
	}
	if len(p.cur.Parts) > 0 {
		p.push()
	}
	if !p.seen["EXT-X-TARGETDURATION"] || p.out.TargetDuration == 0 {
		return errors.New("EXT-X-TARGETDURATION is missing")
	}
	if p.out.Skipped > 1<<32 {
		return errors.New("EXT-X-SKIP skips more than any playlist holds")
	}
	return nil
}
