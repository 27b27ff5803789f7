package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-live/sluice"
)

// ErrLimit ends a publisher that goes over its Limits.
var ErrLimit = errors.New("limit exceeded")

// Limits bound a publisher, who is disconnected and told when it goes over
// one. A zero field does not bound it, but for Tracks.
type Limits struct {
	// Bitrate is the most bits a second, measured over ten seconds.
	Bitrate int
	// Width and Height are the largest picture, in pixels.
	Width, Height int
	// FrameRate is the most frames a second of each video track, measured over
	// ten seconds.
	FrameRate int
	// Tracks is how many there may be; default 16.
	Tracks int
	// Duration is how long a connection may publish.
	Duration time.Duration
}

// or returns l, or other if l is zero.
func (l Limits) or(other Limits) Limits {
	if l == (Limits{}) {
		return other
	}
	return l
}

const (
	limitWindow   = 10 * time.Second
	defaultTracks = 16
)

// guarded is a Source that ends with ErrLimit when it goes over its limits.
type guarded struct {
	sluice.Source
	limits Limits
	began  time.Time
	window time.Time // when the present one began; of what follows
	bits   int64
	frames map[uint32]int // by track
}

func guard(src sluice.Source, l Limits) sluice.Source {
	setDefault(&l.Tracks, defaultTracks)
	now := time.Now()
	return &guarded{Source: src, limits: l, began: now, window: now, frames: make(map[uint32]int)}
}

// Unwrap returns the source that is guarded.
func (g *guarded) Unwrap() sluice.Source { return g.Source }

func (g *guarded) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	p, err := g.Source.ReadPacket(ctx)
	if err == nil {
		err = g.check(p, time.Now())
	}
	return p, err
}

func (g *guarded) check(p sluice.Packet, now time.Time) error {
	if now.Sub(g.window) >= limitWindow {
		g.window, g.bits = now, 0
		for id := range g.frames {
			g.frames[id] = 0
		}
	}
	g.bits += 8 * int64(len(p.Data))
	frames := g.frames[p.Track.ID]
	if p.Data != nil {
		frames++
	}
	g.frames[p.Track.ID] = frames
	const seconds = int(limitWindow / time.Second)
	switch l, t := g.limits, p.Track; {
	case l.Duration > 0 && now.Sub(g.began) > l.Duration:
		return over("published for %v, at most %v", now.Sub(g.began).Round(time.Second), l.Duration)
	case l.Width > 0 && t.Width > l.Width:
		return over("picture %d pixels wide, at most %d", t.Width, l.Width)
	case l.Height > 0 && t.Height > l.Height:
		return over("picture %d pixels high, at most %d", t.Height, l.Height)
	case len(g.frames) > l.Tracks:
		return over("more than %d tracks", l.Tracks)
	case l.Bitrate > 0 && g.bits > int64(l.Bitrate)*int64(seconds):
		return over("more than %d bit/s over %v", l.Bitrate, limitWindow)
	case l.FrameRate > 0 && t.Kind == sluice.Video && frames > l.FrameRate*seconds+1:
		return over("more than %d frames a second over %v", l.FrameRate, limitWindow)
	}
	return nil
}

func over(format string, args ...any) error {
	return fmt.Errorf("ingest: "+format+": %w", append(args, ErrLimit)...)
}
