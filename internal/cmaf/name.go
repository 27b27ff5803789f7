package cmaf

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sluice-live/sluice"
)

// ErrName is returned for a string that is not the name of anything made here.
var ErrName = errors.New("cmaf: not the name of a segment, part or init segment")

// Name is what a URL or a file calls a piece of media:
//
//	{track}/{era}.{maker}-{number}.m4s          a segment
//	{track}/{era}.{maker}-{number}.{part}.m4s   a part
//	{track}/init-{hash}.mp4                     an init segment
type Name struct {
	Track      uint32
	Era, Maker uint32
	Number     uint64
	Part       int    // -1 is the whole segment
	Init       string // InitName of an init segment; then only Track counts beside it
}

// SegmentName returns the name of a segment.
func SegmentName(s sluice.Segment) Name {
	return Name{Track: s.Track.ID, Era: s.Track.Era, Maker: s.Track.Maker, Number: s.Number, Part: -1}
}

// Name returns the name of a part.
func (p Part) Name() Name {
	return Name{Track: p.Track.ID, Era: p.Track.Era, Maker: p.Track.Maker, Number: p.Segment, Part: p.Index}
}

// String returns the name in its one form.
func (n Name) String() string {
	b := make([]byte, 0, 48)
	b = append(strconv.AppendUint(b, uint64(n.Track), 10), '/')
	if n.Init != "" {
		return string(b) + "init-" + n.Init + ".mp4"
	}
	b = append(strconv.AppendUint(b, uint64(n.Era), 10), '.')
	b = append(strconv.AppendUint(b, uint64(n.Maker), 10), '-')
	b = strconv.AppendUint(b, n.Number, 10)
	if n.Part >= 0 {
		b = strconv.AppendInt(append(b, '.'), int64(n.Part), 10)
	}
	return string(append(b, ".m4s"...))
}

// maxName is longer than any name: three numbers of 10 digits, two of 20.
const maxName = 96

// ParseName reads a name in exactly the form that String writes; anything else
// is an error that wraps [ErrName].
func ParseName(s string) (Name, error) {
	n, ok := parseName(s)
	if !ok || n.String() != s {
		return Name{}, fmt.Errorf("%w: %.*q", ErrName, maxName, s)
	}
	return n, nil
}

func parseName(s string) (n Name, ok bool) {
	track, file, ok := strings.Cut(s, "/")
	id, err := strconv.ParseUint(track, 10, 32)
	if !ok || err != nil || id == 0 || len(s) > maxName {
		return Name{}, false
	}
	n = Name{Track: uint32(id), Part: -1}
	if hash, ok := strings.CutPrefix(file, "init-"); ok {
		n.Init, ok = strings.CutSuffix(hash, ".mp4")
		return n, ok && isHash(n.Init)
	}
	file, ok = strings.CutSuffix(file, ".m4s")
	making, number, dash := strings.Cut(file, "-")
	era, maker, dot := strings.Cut(making, ".")
	if !ok || !dash || !dot {
		return Name{}, false
	}
	number, part, isPart := strings.Cut(number, ".")
	e, err1 := strconv.ParseUint(era, 10, 32)
	m, err2 := strconv.ParseUint(maker, 10, 32)
	n.Era, n.Maker = uint32(e), uint32(m)
	var err3, err4 error
	if n.Number, err3 = strconv.ParseUint(number, 10, 64); isPart {
		var i uint64
		i, err4 = strconv.ParseUint(part, 10, 31)
		n.Part = int(i)
	}
	return n, errors.Join(err1, err2, err3, err4) == nil
}

func isHash(s string) bool {
	return len(s) == 16 && strings.Trim(s, "0123456789abcdef") == ""
}
