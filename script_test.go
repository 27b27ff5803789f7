package sluice_test

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// The tests write packets as words: track (v and w are video, a and b audio),
// DTS in milliseconds, k for a key frame, - for one without Data, ~ for
// Discont, and /n for segment n. "v40k/2" is a key frame at 40 ms in segment 2.
var (
	word = regexp.MustCompile(`^([vwab])(\d+)(k?)(-?)(~?)(?:/(\d+))?$`)

	tracks = map[string]*sluice.Track{
		"v": {ID: 1, Kind: sluice.Video, Timescale: 1000},
		"a": {ID: 2, Kind: sluice.Audio, Timescale: 1000},
		"w": {ID: 3, Kind: sluice.Video, Timescale: 1000},
		"b": {ID: 4, Kind: sluice.Audio, Timescale: 1000},
	}
	letters = map[uint32]string{1: "v", 2: "a", 3: "w", 4: "b"}
)

// size is the length of a test packet's Data.
const size = 100

func packets(script string) (out []sluice.Packet) {
	for w := range strings.FieldsSeq(script) {
		m := word.FindStringSubmatch(w)
		if m == nil {
			panic("not a packet: " + w)
		}
		dts, _ := strconv.ParseInt(m[2], 10, 64)
		segment, _ := strconv.ParseUint("0"+m[6], 10, 64)
		p := sluice.Packet{Track: tracks[m[1]], DTS: dts, PTS: dts, Dur: 40, Segment: segment, Key: m[3] != "", Discont: m[5] != ""}
		if m[4] == "" {
			p.Data = make([]byte, size)
		}
		out = append(out, p)
	}
	return out
}

func text(ps ...sluice.Packet) string {
	var words []string
	for _, p := range ps {
		w := fmt.Sprint(letters[p.Track.ID], p.DTS)
		for _, flag := range []struct {
			set  bool
			text string
		}{{p.Key, "k"}, {p.Data == nil, "-"}, {p.Discont, "~"}, {p.Segment != 0, fmt.Sprintf("/%d", p.Segment)}} {
			if flag.set {
				w += flag.text
			}
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

// write writes packets that must not have to wait.
func write(t testing.TB, s *sluice.Stream, ps ...sluice.Packet) {
	t.Helper()
	for _, p := range ps {
		require.NoError(t, s.Write(t.Context(), p))
	}
}

// rest reads to the end and returns it as text, and the error if it is not
// io.EOF.
func rest(t testing.TB, src sluice.Source) (string, error) {
	t.Helper()
	var all []sluice.Packet
	for {
		p, err := src.ReadPacket(t.Context())
		if err == io.EOF {
			return text(all...), nil
		}
		if err != nil {
			return text(all...), err
		}
		all = append(all, p)
	}
}

// next reads so many packets and returns them as text.
func next(t testing.TB, src sluice.Source, n int) string {
	t.Helper()
	var all []sluice.Packet
	for range n {
		p, err := src.ReadPacket(t.Context())
		require.NoError(t, err)
		all = append(all, p)
	}
	return text(all...)
}

// frames returns n packets of a track, every 40 ms from a time, with a key
// frame every so many.
func frames(track string, from, n, gop int) (out []sluice.Packet) {
	for i := range n {
		p := packets(fmt.Sprint(track, from+40*i))[0]
		p.Key = i%gop == 0
		out = append(out, p)
	}
	return out
}

// drain is a sink that reads and does nothing else.
func drain(ctx context.Context, src sluice.Source) error {
	for {
		if _, err := src.ReadPacket(ctx); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
