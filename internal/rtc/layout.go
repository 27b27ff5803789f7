package rtc

import (
	"cmp"
	"slices"
	"time"

	"github.com/sluice-live/sluice"
)

const layersWait = 2 * time.Second // for layers of simulcast to show their size

// layout gives tracks their numbers. Its owner's lock guards it.
type layout struct {
	layers         int       // of simulcast that were announced
	since          time.Time // the first of them showed its size
	media          time.Time // the first that was no layer came
	alone          bool      // what is no layer goes out, without them
	decided        bool
	videos, audios uint32
}

// next returns the number of the next track of a kind: 1, 11, 12 …; 2, 21, 22 ….
func (l *layout) next(video bool) uint32 {
	n, first := &l.audios, uint32(2)
	if video {
		n, first = &l.videos, 1
	}
	*n++
	if *n == 1 {
		return first
	}
	return first*10 + *n - 1
}

// open reports whether a track's media goes out, and gives layers of simulcast
// their numbers once all of them, or time, have shown which is the largest.
// Other tracks wait for that, unless no layer comes.
func (s *Session) open(t *incoming, track *sluice.Track, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &s.layout
	if l.layers == 0 {
		return true
	}
	layer := t.remote.RID() != ""
	if layer {
		t.pixels = track.Width * track.Height
	}
	switch {
	case l.decided:
		if layer && t.id == 0 {
			t.id = l.next(true)
		}
		return true
	case layer && l.since.IsZero():
		l.since = now
	case !layer && l.media.IsZero():
		l.media = now
	case !layer && l.since.IsZero() && now.Sub(l.media) >= layersWait:
		l.alone = true // a camera that is off, say
	}
	if !layer && l.alone {
		return true
	}
	var layers []*incoming
	for _, o := range s.incoming {
		if o.remote.RID() != "" && o.pixels > 0 {
			layers = append(layers, o)
		}
	}
	if l.since.IsZero() || len(layers) < l.layers && now.Sub(l.since) < layersWait {
		return false
	}
	l.decided = true
	slices.SortStableFunc(layers, func(a, b *incoming) int { return cmp.Compare(b.pixels, a.pixels) })
	for _, o := range layers {
		o.id = l.next(true)
		o.restart.Store(true) // all begin with a key frame, at about the same time
		o.askKey()
	}
	return false
}
