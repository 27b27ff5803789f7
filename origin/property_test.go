package origin

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// value returns what follows a tag.
func value(t *testing.T, playlist, tag string) string {
	_, rest, ok := strings.Cut(playlist, tag)
	require.True(t, ok, "%s in\n%s", tag, playlist)
	v, _, _ := strings.Cut(rest, "\n")
	v, _, _ = strings.Cut(v, ",")
	return v
}

func number(t *testing.T, playlist, tag string) float64 {
	n, err := strconv.ParseFloat(value(t, playlist, tag), 64)
	require.NoError(t, err)
	return n
}

// TestPlaylistProperties feeds streams of all kinds and holds every playlist
// against its predecessor and against the rules.
func TestPlaylistProperties(t *testing.T) {
	for _, gop := range []int{7, 60, 249, 600} {
		t.Run(fmt.Sprintf("gop %d", gop), func(t *testing.T) {
			srv := &Server{Spool: t.TempDir()}
			start0 := epoch.Add(time.Duration(rand.IntN(4000)) * time.Millisecond)
			v, a := newFeed(videoTrack(t, 7), start0, gop), newFeed(audioTrack(t, 7), start0, 1)
			b := start(t, srv, "demo", v.track, a.track)
			check := &rules{t: t, srv: srv, base: "/live/demo/1/"}
			b.send(interleave(9*time.Second, v, a)...) // there is a whole segment
			for range 254 {
				b.send(interleave(250*time.Millisecond, v, a)...)
				b.settle()
				check.playlist()
			}
			// Until the cadence is known, one segment may end unforeseen.
			assert.LessOrEqual(t, check.missed, 1)
			assert.Greater(t, check.met, 190)
			require.NoError(t, srv.Close())
		})
	}
}

type rules struct {
	t      *testing.T
	srv    *Server
	base   string
	last   []string // segments listed before
	first  float64  // media sequence before
	steps  int
	hint   string   // given before
	parts  []string // listed before
	met    int      // hints that came true
	missed int
}

func (r *rules) playlist() {
	t := r.t
	p := get(r.srv, r.base+"index.m3u8").Body.String()
	require.Equal(t, 8.0, number(t, p, "#EXT-X-TARGETDURATION:"))
	require.Equal(t, 0.26, number(t, p, "PART-TARGET="))
	segments := uris(segmentLine, p)
	assertConsecutive(t, segments)
	first := number(t, p, "#EXT-X-MEDIA-SEQUENCE:")
	require.GreaterOrEqual(t, first, r.first)
	if r.last != nil {
		gone := int(first - r.first)
		require.Equal(t, r.last[gone:], segments[:len(r.last)-gone], "segments only leave at the front and come at the end")
	}
	total := 0.0
	for line := range strings.Lines(p) {
		if d, ok := strings.CutPrefix(line, "#EXTINF:"); ok {
			dur, err := strconv.ParseFloat(strings.TrimSuffix(d, ",\n"), 64)
			require.NoError(t, err)
			require.LessOrEqual(t, dur, 8.0)
			total += dur
		}
		if d, ok := strings.CutPrefix(line, "#EXT-X-PART:DURATION="); ok {
			d, _, _ := strings.Cut(d, ",")
			dur, err := strconv.ParseFloat(d, 64)
			require.NoError(t, err)
			require.LessOrEqual(t, dur, 0.26)
		}
	}
	require.LessOrEqual(t, total, 60.0+8)
	if first > r.first && r.last != nil {
		require.GreaterOrEqual(t, total, 60.0)
	}
	if r.steps++; r.steps%5 == 0 {
		r.delta(p)
	}
	r.first, r.last = first, segments
	r.hints(p)
}

// hints holds the part that came against the one that was hinted at.
func (r *rules) hints(p string) {
	parts := uris(partURI, p)
	if r.parts != nil {
		at := slices.Index(parts, r.parts[len(r.parts)-1]) + 1
		require.Positive(r.t, at)
		switch {
		case at == len(parts): // nothing new
		case parts[at] == r.hint:
			r.met++
		default:
			r.missed++
		}
	}
	hints := uris(hintURI, p)
	require.Len(r.t, hints, 1)
	r.hint, r.parts = hints[0], parts
}

// delta holds the delta update against the whole playlist.
func (r *rules) delta(whole string) {
	d := get(r.srv, r.base+"index.m3u8?_HLS_skip=YES").Body.String()
	if !strings.Contains(d, "#EXT-X-SKIP:") {
		require.Equal(r.t, whole, d)
		return
	}
	skipped := int(number(r.t, d, "#EXT-X-SKIP:SKIPPED-SEGMENTS="))
	require.Positive(r.t, skipped)
	at := 0
	for range skipped {
		next := segmentLine.FindStringIndex(whole[at:])
		require.NotNil(r.t, next)
		at += next[1] + 1
	}
	_, after, _ := strings.Cut(d, "#EXT-X-SKIP:SKIPPED-SEGMENTS="+strconv.Itoa(skipped)+"\n")
	require.Equal(r.t, whole[at:], after)
}

func TestSeconds(t *testing.T) {
	for us, want := range map[int64]string{0: "0", 1: "0.000001", 260_000: "0.26", 4_000_000: "4", 4_010_666: "4.010666", 10_100_000: "10.1"} {
		assert.Equal(t, want, string(appendSeconds(nil, us)))
	}
}

// Rounding errors of durations never add up.
func TestDurationsAddUp(t *testing.T) {
	track := &sluice.Track{Timescale: 44100}
	at, sum := int64(77_777_777_777_777), int64(0)
	from := at
	for range 100_000 {
		seg := &segment{Segment: sluice.Segment{Track: track, Start: at, Dur: 1024 * 173}}
		sum += segMicros(seg)
		at += seg.Dur
	}
	assert.InDelta(t, float64(sluice.Rescale(at-from, 44100, 1_000_000)), float64(sum), 1)
}
