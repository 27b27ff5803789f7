package transcode

import (
	"bytes"
	"reflect"

	"github.com/sluice-live/sluice"
)

// standing is where a rendition stood when its worker ended: what the next
// worker goes on behind.
type standing struct {
	ID, Era, Maker uint32
	Config         []byte
	Width, Height  int // of the picture
	Segment        uint64
	DTS, PTS       int64 // newest and largest of what was sent
	End            int64 // of what was sent: of a watermark its DTS
}

// resume is what a worker is told about those before it.
type resume struct {
	// Video and Audio are the tracks that renditions are made of, 0 before they
	// are known; Pass says that the source's picture goes along.
	Video, Audio uint32
	Pass         bool
	Silent       bool     // silence is made
	AudioIDs     []uint32 // of the audio renditions, 0 before they are known
	Standings    []standing
}

func (r *resume) of(id uint32) (standing, bool) {
	for _, s := range r.Standings {
		if s.ID == id {
			return s, true
		}
	}
	return standing{}, false
}

// resume lets a ladder that was not started yet go on behind another.
func (o *output) resume(r resume) {
	if r.Video != 0 {
		o.video.source.Store(r.Video)
		o.video.pass = r.Pass
	}
	o.audio.source.Store(r.Audio)
	o.audio.filling = r.Silent
	for i, id := range r.AudioIDs {
		if i < len(o.audio.outs) {
			o.audio.outs[i].id = id
		}
	}
	for _, w := range o.video.workers {
		if s, ok := r.of(r.Video*trackSpan + uint32(w.index) + 1); ok {
			w.from, w.used = &s, true
			w.size = size{s.Width, s.Height, s.Width, s.Height}
		}
	}
	for _, a := range o.audio.outs {
		if s, ok := r.of(a.id); ok && a.id != 0 {
			a.from = &s
		}
	}
}

// goesOn reports whether a track that is about to be described continues what
// was sent: with the same parameter sets it does, under the same Maker.
func (s *standing) goesOn(era uint32, config []byte) bool {
	return s != nil && s.Era == era && bytes.Equal(s.Config, config)
}

// goOn takes a rendition of the picture up where another worker left it. The
// first picture behind what was sent is a key frame.
func (w *worker) goOn() {
	if s := w.from; s.goesOn(w.start.in.Era, w.enc.track.Config) {
		w.maker, w.last, w.segment, w.after, w.cut = s.Maker, s.DTS, s.Segment, s.PTS, true
		w.from = nil
	}
}

// goOn takes a rendition of the sound up where another worker left it.
func (o *audioOut) goOn(t *sluice.Track) {
	if s := o.from; s.goesOn(t.Era, t.Config) {
		t.Maker, o.last, o.segment, o.grid = s.Maker, s.End, s.Segment, true
		o.from = nil
	}
}

// align leaves out so many of the first samples that a frame begins where the
// last one that was sent ended. Frames before it give the encoder a start.
func (o *audioOut) align(at int64, s *stereo) (int64, *stereo) {
	if at >= o.last {
		o.grid = false
		return at, s
	}
	n := min((o.last-at)%int64(o.size), int64(len(s.left)))
	o.grid = n == int64(len(s.left))
	return at + n, &stereo{left: s.left[n:], right: s.right[n:]}
}

// sent is what has left a detached ladder on one of the tracks it makes.
type sent struct {
	standing
	track  *sluice.Track
	media  bool
	newest int64 // DTS of media
	joined bool  // the running worker's packets have begun to follow
}

// admit reports whether a worker's packet follows on what was sent, and marks
// it Discont where something is missing. What was sent already does not, nor
// what another Maker made of the open segment, which ends short.
func (s *sent) admit(p *sluice.Packet) bool {
	t := p.Track
	switch {
	case s.track == nil || t.Era > s.track.Era:
		s.media = s.media && t.Timescale == s.track.Timescale
	case t.Era < s.track.Era || s.media && p.Data != nil && p.DTS <= s.newest:
		return false
	case t.Maker == s.track.Maker && !s.joined:
		if p.Data == nil && p.DTS <= s.End && p.Segment <= s.Segment {
			return false
		}
	case t.Maker != s.track.Maker && !s.joined:
		if !s.opens(p) {
			return false
		}
	}
	if s.track != nil && p.DTS < s.DTS && t.Timescale == s.track.Timescale {
		return false
	}
	s.follow(p)
	return true
}

// opens reports whether another Maker may begin with a packet.
func (s *sent) opens(p *sluice.Packet) bool {
	if p.Data != nil && !p.Key {
		return false
	}
	if p.Segment == 0 {
		return p.Data != nil && p.PTS > s.PTS
	}
	return p.Segment > s.Segment && p.DTS >= s.DTS
}

func (s *sent) follow(p *sluice.Packet) {
	t := p.Track
	if s.track != nil && reflect.DeepEqual(t, s.track) {
		p.Track = s.track
	}
	if s.track == nil || t.Timescale != s.track.Timescale {
		s.standing, s.media = standing{DTS: noPTS, PTS: noPTS, End: noPTS, Segment: s.Segment}, false
	}
	if p.Data != nil {
		if !s.joined && s.media && p.DTS > s.End+p.Dur/2 || s.Segment != 0 && p.Segment > s.Segment+1 {
			p.Discont = true
		}
		s.joined, s.media, s.newest = true, true, p.DTS
		s.PTS = max(s.PTS, p.PTS)
	}
	s.track = p.Track
	s.ID, s.Era, s.Maker, s.Config = t.ID, t.Era, t.Maker, t.Config
	s.Width, s.Height = t.Width, t.Height
	s.Segment, s.DTS = max(s.Segment, p.Segment), p.DTS
	s.End = max(s.End, p.DTS)
	if p.Data != nil {
		s.End = max(s.End, p.DTS+p.Dur)
	}
}
