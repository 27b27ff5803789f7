package ingest

import (
	"fmt"
	"slices"
	"time"

	"github.com/sluice-live/sluice"
)

// Second says what becomes of a publisher who comes while the stream has one.
type Second uint8

// The ways to treat a second publisher.
const (
	_ Second = iota // leaves it to the Server, and there refuses
	// Refuse refuses it with ErrBusy, unless the first has been silent for 5 s.
	Refuse
	// Takeover goes over to it with its first key frame, and ends the first.
	Takeover
	// Standby keeps it as a hot spare: its media goes out when the first brings
	// none, from a key frame on. The first, if it comes back, is the spare then.
	Standby
)

var seconds = [...]string{"", "refuse", "takeover", "standby"}

// String returns "refuse", "takeover", "standby", or "" for the zero value.
func (s Second) String() string {
	if int(s) < len(seconds) {
		return seconds[s]
	}
	return fmt.Sprintf("Second(%d)", uint8(s))
}

// UnmarshalText implements encoding.TextUnmarshaler, for flags and files.
func (s *Second) UnmarshalText(text []byte) error {
	i := slices.Index(seconds[:], string(text))
	if i < 0 {
		return fmt.Errorf("ingest: %q is none of refuse, takeover and standby", text)
	}
	*s = Second(i)
	return nil
}

const (
	defaultStandby = time.Second
	maxSpares      = 2
	groupBytes     = 8 << 20 // of a spare's newest group of pictures
	groupPackets   = 4096
	askAgain       = time.Second // between requests for a key frame

	settle       = 200 * time.Millisecond // what came late at once is over after this
	settleWithin = 5 * time.Second        // and is not waited for any longer
)

// group is what arrived on a waiting connection since its newest key frame.
type group struct {
	first   time.Time // when the first of all groups began
	began   time.Time // when its first packet came; zero before there is one
	packets []arrived
	bytes   int
}

// arrived is a packet and when it came.
type arrived struct {
	sluice.Packet
	at time.Time
}

// add takes a packet. A key frame of the leading track begins a group; one that
// grows too large is forgotten.
func (g *group) add(p sluice.Packet, now time.Time, leader uint32) {
	begins := p.Track.ID == leader && (p.Key || p.Track.Kind == sluice.Audio)
	if begins || len(g.packets) >= groupPackets || g.bytes+len(p.Data) > groupBytes {
		clear(g.packets)
		g.packets, g.bytes, g.began = g.packets[:0], 0, time.Time{}
	}
	if begins {
		g.began = now
		if g.first.IsZero() {
			g.first = now
		}
	}
	if !g.began.IsZero() {
		g.packets = append(g.packets, arrived{p, now})
		g.bytes += len(p.Data)
	}
}

// settled reports whether a group comes at the pace of time. What an encoder
// could not send while it stalled comes faster: of that only the newest group is
// of use, or the stream would be ahead of time from here on.
func (g *group) settled(now time.Time) bool {
	if now.Sub(g.first) >= settleWithin {
		return true
	}
	first, last := g.packets[0], g.packets[0]
	for _, p := range slices.Backward(g.packets) {
		if p.Track == first.Track {
			last = p
			break
		}
	}
	media := first.Track.Duration(last.DTS - first.DTS)
	wall := now.Sub(g.began)
	return wall >= settle && media <= wall*3/2+settle/2
}

// leader returns the track whose key frames a connection is switched to on: its
// first of video, of audio where no video is to come, 0 while that is not known.
func (c *connection) leader(now time.Time) uint32 {
	var video, audio uint32
	for id, t := range c.known {
		switch {
		case t.Kind == sluice.Video && (video == 0 || id < video):
			video = id
		case t.Kind == sluice.Audio && (audio == 0 || id < audio):
			audio = id
		}
	}
	if video != 0 {
		return video
	}
	if h := c.input.hints(); h.known && !h.video || !h.known && now.Sub(c.began) >= holdForSaid {
		return audio
	}
	return 0
}

// choose goes over to a waiting connection whose turn it is, if it can be gone
// over to without shifting any time: with a key frame that came after the
// active one's last frame. It returns whom to ask for such a frame.
func (b *Broadcast) choose(now time.Time) (ask keyRequest) {
	for _, c := range b.waiting {
		if !b.due(c, now) {
			continue
		}
		if g := &c.group; !g.began.IsZero() && !g.began.Before(b.heard) && (!c.rested || g.settled(now)) {
			b.switchTo(c)
			return keyRequest{}
		}
		if ask.src == nil && c.src != nil && now.Sub(c.asked) >= askAgain {
			c.asked = now
			ask = keyRequest{c.src, c.leader(now)}
		}
	}
	return ask
}

func (b *Broadcast) due(c *connection, now time.Time) bool {
	return c.takesOver || b.active == nil || b.active.silent(now) >= b.conf.standby
}

// keyRequest is a wish for a key frame, to be sent while nothing is locked.
type keyRequest struct {
	src   sluice.Source
	track uint32
}

func (r keyRequest) send() { sluice.RequestKey(r.src, r.track) }

// switchTo makes a waiting connection the active one, from its newest group of
// pictures on. What was active waits now, unless it is to be replaced.
func (b *Broadcast) switchTo(c *connection) {
	old := b.active
	switch {
	case old == nil:
	case c.takesOver:
		b.drop(old, errTakenOver)
	default:
		b.rest(old)
	}
	b.stopSlate()
	b.waiting = slices.DeleteFunc(b.waiting, func(w *connection) bool { return w == c })
	b.active, c.takesOver, c.rested = c, false, false
	b.stats.Switches++
	b.conf.log.Info("going over to another connection", "stream", b.Name, "taken", old != nil, "waiting", len(b.waiting))
	for _, p := range c.group.packets {
		if err := b.timeline.push(c.input, p.Packet, p.at); err != nil {
			c.cancel(err)
			break
		}
		b.heard = p.at
	}
	c.group = group{}
	b.collect()
}

// rest makes the active connection one that waits: what it brings next is
// anchored anew.
func (b *Broadcast) rest(c *connection) {
	b.release()
	for _, f := range c.input.tracks {
		c.knows(f.raw)
	}
	c.input, c.rested = c.input.again(), true
	b.waiting = append(b.waiting, c)
}

// knows notes that a track's codec is one that we can take.
func (c *connection) knows(t *sluice.Track) {
	if c.known == nil {
		c.known = make(map[uint32]*sluice.Track)
	}
	c.known[t.ID] = t
}
