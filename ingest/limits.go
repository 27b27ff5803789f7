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

// Limits bound a publisher. A zero field does not.
type Limits struct {
	// Bitrate is the most bits a second, measured over ten seconds.
	Bitrate int
	// Width and Height are the largest picture, in pixels.
	Width, Height int
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

const bitrateWindow = 10 * time.Second

// guarded is a Source that ends with ErrLimit when it goes over its limits.
type guarded struct {
	sluice.Source
	limits Limits
	began  time.Time
	window time.Time
	bits   int
}

func guard(src sluice.Source, l Limits) sluice.Source {
	if l == (Limits{}) {
		return src
	}
	now := time.Now()
	return &guarded{Source: src, limits: l, began: now, window: now}
}

// Unwrap returns the source that is guarded.
func (g *guarded) Unwrap() sluice.Source { return g.Source }

func (g *guarded) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	p, err := g.Source.ReadPacket(ctx)
	if err != nil {
		return p, err
	}
	l, now := g.limits, time.Now()
	if l.Duration > 0 && now.Sub(g.began) > l.Duration {
		return p, fmt.Errorf("ingest: published for %v, may for %v: %w", now.Sub(g.began).Round(time.Second), l.Duration, ErrLimit)
	}
	if t := p.Track; l.Width > 0 && t.Width > l.Width || l.Height > 0 && t.Height > l.Height {
		return p, fmt.Errorf("ingest: picture of %d×%d, at most %d×%d: %w", t.Width, t.Height, l.Width, l.Height, ErrLimit)
	}
	g.bits += 8 * len(p.Data)
	if l.Bitrate > 0 && int64(g.bits) > int64(l.Bitrate)*int64(bitrateWindow/time.Second) {
		return p, fmt.Errorf("ingest: more than %d bit/s over %v: %w", l.Bitrate, bitrateWindow, ErrLimit)
	}
	if now.Sub(g.window) >= bitrateWindow {
		g.window, g.bits = now, 0
	}
	return p, nil
}
