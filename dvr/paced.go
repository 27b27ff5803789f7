package dvr

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
)

// Paced lets packets go at the pace of their DTS, as if they were live: a
// Replay becomes a channel.
type Paced struct {
	// Delay is how long after its DTS a packet goes: a stream an hour later, for
	// another time zone. 0: the first packet goes at once, and the others as much
	// later as their DTS are.
	Delay time.Duration
}

var _ sluice.Transform = Paced{}

// Transform implements sluice.Transform.
func (p Paced) Transform(_ context.Context, src sluice.Source) (sluice.Source, error) {
	return &paced{Source: src, delay: p.Delay, known: p.Delay != 0, closed: make(chan struct{})}, nil
}

type paced struct {
	sluice.Source
	delay  time.Duration
	known  bool
	held   *sluice.Packet
	tracks []*sluice.Track // as of the packet that went last
	closed chan struct{}
	once   sync.Once
}

// Unwrap returns the Source that is slowed down.
func (p *paced) Unwrap() sluice.Source { return p.Source }

// Tracks implements sluice.Source.
func (p *paced) Tracks() []*sluice.Track { return p.tracks }

// ReadPacket implements sluice.Source.
func (p *paced) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	if p.held == nil {
		next, err := p.Source.ReadPacket(ctx)
		if err != nil {
			return sluice.Packet{}, err
		}
		p.held = &next
	}
	at := p.held.Track.Time(p.held.DTS)
	if !p.known {
		p.delay, p.known = time.Since(at), true
	}
	if wait := time.Until(at.Add(p.delay)); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-p.closed:
			return p.Source.ReadPacket(ctx) // says that it is closed
		case <-ctx.Done():
			return sluice.Packet{}, ctx.Err()
		}
	}
	out := *p.held
	p.held, p.tracks = nil, p.Source.Tracks()
	return out, nil
}

// Close implements sluice.Source.
func (p *paced) Close() error {
	err := p.Source.Close()
	p.once.Do(func() { close(p.closed) })
	return err
}
