package origin

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

// entry is the state of a multivariant playlist between two updates.
type entry struct {
	tracks     []uint32 // IDs, sorted
	generation string
	stale      chan struct{} // closed when there is a newer one
	rendering
}

// expect takes note of the tracks that the source has now.
func (b *broadcast) expect(tracks []*sluice.Track) {
	var ids []uint32
	for _, t := range tracks {
		if (t.Kind == sluice.Video || t.Kind == sluice.Audio) && !b.refused[t] {
			ids = append(ids, t.ID)
		}
	}
	slices.Sort(ids)
	if !slices.Equal(ids, b.expected) {
		b.expected, b.stale = ids, true
		b.refresh()
	}
}

// refresh makes the multivariant playlist true again.
func (b *broadcast) refresh() {
	if !b.stale {
		return
	}
	b.stale = false
	old := b.entry.Swap(&entry{
		tracks: b.expected, generation: b.nextGeneration(), stale: make(chan struct{}),
	})
	close(old.stale)
}

// ready returns the tracks that can be played, and whether these are all.
func (e *entry) ready(b *broadcast) (now []*snapshot, all bool) {
	for _, id := range e.tracks {
		if t := b.track(strconv.FormatUint(uint64(id), 10)); t != nil {
			if s := t.now.Load(); s.ready() {
				now = append(now, s)
			}
		}
	}
	all = len(now) > 0 && len(now) == len(e.tracks)
	if !slices.ContainsFunc(now, (*snapshot).made) {
		return now, all
	}
	listed := slices.DeleteFunc(slices.Clone(now), func(s *snapshot) bool { return !s.switchable() })
	undecided := slices.ContainsFunc(now, func(s *snapshot) bool { return !s.switchable() && len(s.begins) < 2 })
	return listed, all && !undecided
}

// made reports whether a re-encoder made this picture, with key frames where
// segments begin.
func (s *snapshot) made() bool { return s.desc.Kind == sluice.Video && s.desc.Maker != 0 }

// switchable reports whether players may change to this track and from it: a
// source beside renditions of it has to begin its segments with key frames
// too, which its first two tell.
func (s *snapshot) switchable() bool {
	return s.desc.Kind != sluice.Video || s.made() || len(s.begins) == 2 && s.begins[0] && s.begins[1]
}

// audioGroup is the audio tracks of one codec.
type audioGroup struct {
	id, mime   string
	peak, mean int64 // of the largest
}

// renderEntry writes the multivariant playlist.
func renderEntry(tracks []*snapshot) []byte {
	var video, audio []*snapshot
	for _, s := range tracks {
		if s.desc.Kind == sluice.Video {
			video = append(video, s)
		} else {
			audio = append(audio, s)
		}
	}
	b := []byte("#EXTM3U\n#EXT-X-VERSION:9\n")
	if len(video) == 0 {
		for _, s := range audio {
			b = appendVariant(b, s, audioGroup{})
		}
		return b
	}
	groups := groupAudio(audio)
	// Players take the first that they know: AAC plays everywhere.
	slices.SortStableFunc(groups, func(a, b audioGroup) int { return cmp.Compare(a.rank(), b.rank()) })
	b = appendMedia(b, audio, groups)
	if len(groups) == 0 {
		groups = []audioGroup{{}}
	}
	for _, g := range groups {
		for _, s := range video {
			b = appendVariant(b, s, g)
		}
	}
	return b
}

func (g audioGroup) rank() int {
	if strings.HasPrefix(g.mime, "mp4a.") {
		return 0
	}
	return 1
}

func groupAudio(audio []*snapshot) (groups []audioGroup) {
	for _, s := range audio {
		i := slices.IndexFunc(groups, func(g audioGroup) bool { return g.mime == s.mime })
		if i < 0 {
			i = len(groups)
			groups = append(groups, audioGroup{id: "audio" + strconv.Itoa(i), mime: s.mime})
		}
		groups[i].peak = max(groups[i].peak, s.peak)
		groups[i].mean = max(groups[i].mean, s.mean)
	}
	return groups
}

func appendMedia(b []byte, audio []*snapshot, groups []audioGroup) []byte {
	for _, g := range groups {
		used := map[string]bool{}
		for _, s := range audio {
			if s.mime == g.mime {
				b = appendRendition(b, s.desc, g.id, used)
			}
		}
	}
	return b
}

// appendRendition writes an audio track under a name that its group has not
// used.
func appendRendition(b []byte, t *sluice.Track, group string, used map[string]bool) []byte {
	name := quotable(t.Name)
	if name == "" {
		name = "Audio"
	}
	for base, n := name, 2; used[name]; n++ {
		name = base + " " + strconv.Itoa(n)
	}
	b = fmt.Appendf(b, `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="%s",NAME="%s"`, group, name)
	if lang := quotable(t.Language); lang != "" {
		b = fmt.Appendf(b, `,LANGUAGE="%s"`, lang)
	}
	if len(used) == 0 {
		b = append(b, ",DEFAULT=YES"...)
	}
	used[name] = true
	b = append(b, ",AUTOSELECT=YES"...)
	if t.Channels > 0 {
		b = fmt.Appendf(b, `,CHANNELS="%d"`, t.Channels)
	}
	return fmt.Appendf(b, ",URI=\"%d/index.m3u8\"\n", t.ID)
}

func appendVariant(b []byte, s *snapshot, g audioGroup) []byte {
	b = fmt.Appendf(b, "#EXT-X-STREAM-INF:BANDWIDTH=%d,AVERAGE-BANDWIDTH=%d", max(s.peak+g.peak, s.mean+g.mean, 1), max(s.mean+g.mean, 1))
	mimes := s.mime
	if g.mime != "" {
		mimes += "," + g.mime
	}
	b = fmt.Appendf(b, `,CODECS="%s"`, mimes)
	if s.desc.Kind == sluice.Video {
		if s.desc.Width > 0 && s.desc.Height > 0 {
			b = fmt.Appendf(b, ",RESOLUTION=%dx%d", s.desc.Width, s.desc.Height)
		}
		if rate := frameRate(s.desc); rate > 0 {
			b = fmt.Appendf(b, ",FRAME-RATE=%.3f", rate)
		}
	}
	if g.id != "" {
		b = fmt.Appendf(b, `,AUDIO="%s"`, g.id)
	}
	return fmt.Appendf(b, "\n%d/index.m3u8\n", s.desc.ID)
}

func frameRate(t *sluice.Track) float64 {
	if t.Kind != sluice.Video {
		return 0
	}
	if t.FrameDur > 0 {
		return float64(t.Timescale) / float64(t.FrameDur)
	}
	if num, den := codec.FrameRate(t); den > 0 {
		return float64(num) / float64(den)
	}
	return 0
}

// quotable is s as far as it may stand between quotes.
func quotable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == '"' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}
