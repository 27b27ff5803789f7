package ingest

import (
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

const (
	defaultSlateAfter = 500 * time.Millisecond // LL-HLS players have little more in hand
	slateStalled      = 4                      // times as long for one that is connected
	slateCatchUp      = 5 * time.Second        // so much of the time before it began, a slate stands for
	slateBurst        = 1024                   // packets in one look
)

// slatePlayer plays a slate into a timeline: an input of its own.
type slatePlayer struct {
	slate        *Slate
	input        *input
	began        time.Time // when the slate's zero was due
	video, audio *sluice.Track
	silence      []byte // sound where the slate has none
	sound        int64  // duration of a frame of it
	pictures     int64  // given out
	sounds       int64
	longest      int64 // of video's times before its zero
}

// slateDue returns when the reader is to look after the slate; zero if there is
// nothing to be done.
func (b *Broadcast) slateDue() time.Time {
	switch {
	case b.slate != nil:
		return b.slate.due()
	case b.conf.slate == nil || !b.conf.slate.serves(b.timeline):
		return time.Time{}
	case b.active == nil:
		return b.heard.Add(b.conf.slateAfter)
	case b.active.held:
		return time.Time{}
	}
	// It may bring late what it has, so it is given longer.
	return b.active.last.Add(slateStalled * b.conf.slateAfter)
}

// playSlate begins the slate when it is due, and puts out what of it is due.
func (b *Broadcast) playSlate(now time.Time) {
	if at := b.slateDue(); at.IsZero() || now.Before(at) {
		return
	}
	if b.slate == nil {
		if b.active != nil {
			b.rest(b.active)
		}
		b.slate = b.conf.slate.of(b.timeline).play(b.timeline, now)
		b.conf.log.Info("the encoder is away: the slate is on", "stream", b.Name)
	}
	for n := 0; n < slateBurst && !b.queue.full(); n++ {
		if at := b.slate.due(); now.Before(at) {
			break
		}
		p, at := b.slate.next()
		if err := b.timeline.push(b.slate.input, p, at); err != nil {
			b.conf.log.Error("the slate cannot be shown", "stream", b.Name, "error", err)
			b.slate, b.conf.slate = nil, nil
			break
		}
	}
	b.collect()
}

func (b *Broadcast) stopSlate() {
	if b.slate != nil {
		b.slate = nil
		b.conf.log.Info("the slate is off", "stream", b.Name)
	}
}

// serves reports whether the slate has something that the stream has.
func (s *Slate) serves(t *timeline) bool {
	s = s.of(t)
	return s != nil && (t.first(sluice.Video) != nil && s.video.track != nil || t.first(sluice.Audio) != nil)
}

// play begins a slate where everything stamped ends, so that viewers miss
// nothing.
func (s *Slate) play(t *timeline, now time.Time) *slatePlayer {
	p := &slatePlayer{slate: s}
	if l := t.first(sluice.Video); l != nil && s.video.track != nil {
		p.video = as(s.video.track, l.track.ID)
		p.longest = -s.video.frames[0].dts
	}
	if l := t.first(sluice.Audio); l != nil && s.audio.track != nil {
		p.audio, p.sound = as(s.audio.track, l.track.ID), s.audio.frame
	} else if l != nil {
		var track *sluice.Track
		if track, p.silence, p.sound = silenceFor(l.track); track != nil {
			p.audio = as(track, l.track.ID)
		}
	}
	// Where the stream is now, by what has passed since its newest frame.
	passed := t.media.Add(now.Sub(t.heard)).Sub(t.end)
	p.began = now.Add(-min(passed, slateCatchUp))
	p.input = newInput(slateScale, 0, func() hints {
		return hints{known: true, video: p.video != nil, audio: p.audio != nil}
	})
	return p
}

// as returns a slate's track under the number of the stream's.
func as(track *sluice.Track, id uint32) *sluice.Track {
	t := *track
	t.ID, t.Timescale, t.FrameDur = id, uint32(slateScale), 0
	return &t
}

// silenceFor returns coded silence for a slate without sound, and how long a
// frame of it lasts: Opus for a stream with Opus, else AAC.
func silenceFor(t *sluice.Track) (track *sluice.Track, data []byte, dur int64) {
	var err error
	if t.Codec == sluice.Opus {
		track, err = codec.Opus(codec.OpusHead{Channels: 2, InputRate: 48000})
		data, dur = []byte{0xfc, 0xff, 0xfe}, int64(20*time.Millisecond) // CELT, stereo: nothing coded
	} else {
		track, err = codec.AAC([]byte{0x11, 0x90})                                            // LC, 48 kHz, stereo
		data, dur = []byte{0x21, 0x10, 0x04, 0x60, 0x8c, 0x1c}, 1024*int64(time.Second)/48000 // no bands coded
	}
	if err != nil {
		return nil, nil, 0
	}
	return track, data, dur
}

// first returns the line of the first track of a kind that is there.
func (t *timeline) first(k sluice.Kind) *line {
	var first *line
	for _, l := range t.lines {
		if l.track != nil && l.track.Kind == k && (first == nil || l.track.ID < first.track.ID) {
			first = l
		}
	}
	return first
}

// due returns when the next packet is.
func (p *slatePlayer) due() time.Time {
	video, audio := p.ahead()
	return p.began.Add(time.Duration(min(video, audio) + p.longest))
}

const never = int64(1) << 62

// ahead returns the times of the next frames.
func (p *slatePlayer) ahead() (video, audio int64) {
	video, audio = never, never
	if p.video != nil {
		n := int64(len(p.slate.video.frames))
		video = p.pictures/n*p.slate.length + p.slate.video.frames[p.pictures%n].dts
	}
	if p.audio != nil {
		audio = p.sounds * p.sound
	}
	return video, audio
}

// next returns the next packet, and when it arrives.
func (p *slatePlayer) next() (sluice.Packet, time.Time) {
	at := p.due()
	video, audio := p.ahead()
	if video <= audio {
		n := int64(len(p.slate.video.frames))
		f := p.slate.video.frames[p.pictures%n]
		p.pictures++
		return sluice.Packet{Track: p.video, DTS: video, PTS: video + f.pts - f.dts, Key: f.key, Data: f.data}, at
	}
	p.sounds++
	return sluice.Packet{Track: p.audio, DTS: audio, PTS: audio, Key: true, Data: p.hear(audio)}, at
}

// hear returns what is heard at a time. Frames follow each other without a
// hole; in each round they begin anew with the first, on the frame next to it.
func (p *slatePlayer) hear(at int64) []byte {
	if p.silence != nil {
		return p.silence
	}
	c := &p.slate.audio
	at += c.frame/2 - c.frames[0].pts
	at -= floorDiv(at, p.slate.length) * p.slate.length
	i := min(at/c.frame, int64(len(c.frames))-1) // where its sound is shorter than its picture
	return c.frames[i].data
}
