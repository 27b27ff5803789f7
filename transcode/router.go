package transcode

import (
	"fmt"
	"slices"
	"sync"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

// router decides, as a Ladder does, which of the source's tracks are passed on
// and which are transcoded, without a decoder at hand.
type router struct {
	ladder Ladder

	mu     sync.Mutex
	resume resume // without standings
	tracks map[uint32]*routed
	passed map[uint32]*sluice.Track // what goes along, by the ID under which it does
}

// routed is where one track of the source goes.
type routed struct {
	track *sluice.Track
	pass  []*sluice.Track
	work  bool
}

func newRouter(l Ladder) *router {
	return &router{ladder: l, tracks: map[uint32]*routed{}, passed: map[uint32]*sluice.Track{},
		resume: resume{AudioIDs: make([]uint32, len(l.Audio))}}
}

// route returns the tracks under which a track of the source is passed on, and
// whether renditions are made of it.
func (r *router) route(t *sluice.Track) (pass []*sluice.Track, work bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	to := r.tracks[t.ID]
	if to == nil || to.track != t {
		if to, err = r.decide(t); err != nil {
			return nil, false, err
		}
		r.tracks[t.ID] = to
		for _, p := range to.pass {
			r.passed[p.ID] = p
		}
	}
	return to.pass, to.work, nil
}

func (r *router) decide(t *sluice.Track) (*routed, error) {
	s := &r.resume
	switch {
	case t.Kind == sluice.Video && (s.Video == 0 || s.Video == t.ID):
		if s.Video == 0 {
			s.Video, s.Pass = t.ID, r.ladder.maySource(t)
		}
		to := &routed{track: t, work: len(r.ladder.Renditions) > 0 || r.ladder.Silence}
		if s.Pass {
			to.pass = []*sluice.Track{t}
		}
		return to, nil
	case t.Kind == sluice.Audio && len(r.ladder.Audio) > 0 && (s.Audio == 0 || s.Audio == t.ID):
		s.Audio = t.ID
		return r.sound(t), nil
	case r.makes(t.ID):
		return nil, fmt.Errorf("transcode: the source's track %d has the number of a rendition: is a ladder put upon another?", t.ID)
	}
	return &routed{track: t, pass: []*sluice.Track{t}}, nil
}

// sound passes the source's sound on as every rendition that it serves as.
func (r *router) sound(t *sluice.Track) *routed {
	to := &routed{track: t}
	coding, _, _ := codec.Decoder(t)
	for i, a := range r.ladder.Audio {
		passes := coding != "" && passable[a.Codec] == coding
		id := &r.resume.AudioIDs[i]
		if *id == 0 {
			*id = t.ID*trackSpan + uint32(i) + 1
			if passes {
				*id = t.ID
			}
		}
		if !passes {
			to.work = true
			continue
		}
		p := t
		if *id != t.ID {
			renamed := *t
			renamed.ID = *id
			p = &renamed
		}
		to.pass = append(to.pass, p)
	}
	return to
}

// makes reports whether a track's number is a rendition's; mu is held.
func (r *router) makes(id uint32) bool {
	in := func(source uint32, n int) bool {
		i := id - source*trackSpan
		return source != 0 && i >= 1 && i <= uint32(n)
	}
	return in(r.resume.Video, len(r.ladder.Renditions)) || in(r.resume.Audio, len(r.ladder.Audio))
}

// passes reports whether a track that a worker yields is one that goes along
// here.
func (r *router) passes(t *sluice.Track) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.passed[t.ID]; p != nil && p.Maker == t.Maker {
		return true
	}
	src := r.tracks[t.ID]
	return src != nil && src.track.Maker == t.Maker
}

// learn notes the number of silence that a worker made.
func (r *router) learn(id uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.resume
	if s.Audio != 0 || !r.ladder.Silence {
		return
	}
	if i := int(id) - int(s.Video*trackSpan+maxRenditions) - 1; i >= 0 && i < len(s.AudioIDs) {
		s.AudioIDs[i], s.Silent = id, true
	}
}

// ids returns what a worker is told of the source's tracks.
func (r *router) ids() resume {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.resume
	s.AudioIDs = slices.Clone(s.AudioIDs)
	return s
}

// goesAlone reports whether something of the source is there without a worker.
func (r *router) goesAlone() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.passed) > 0
}
