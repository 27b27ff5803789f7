package rtmp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-live/sluice"
)

// NewPushFanout returns a Fanout that publishes, instead of playing, what
// subscribe returns: to servers that gave out this message stream, which stands
// in every chunk. Time stamps count from began.
func NewPushFanout(subscribe func() sluice.Source, began func() time.Time, stream uint32, cfg FanoutConfig) *Fanout {
	return &Fanout{
		began:     began,
		subscribe: subscribe,
		tracks:    func() []*sluice.Track { return nil }, // no player asks
		mux:       mux{publish: true, stream: stream},
		cfg:       cfg.withDefaults(),
	}
}

// Codecs returns the codecs of a kind that the server is known to take: those
// of RTMP as it ever was, then those that it lists when connecting.
func (c *Client) Codecs(kind sluice.Kind) (known []sluice.FourCC) {
	for i := range codecs {
		e := &codecs[i]
		if e.kind == kind && e.carried() && (e.legacy != nil || c.caps.said && c.caps.takes(e)) {
			known = append(known, e.codec)
		}
	}
	return known
}

// MessageStream returns the message stream that the server gave out.
func (c *Client) MessageStream() uint32 { return c.mux.stream }

// ClientStats count what a Client has published.
type ClientStats struct {
	Bytes   uint64 // written, the handshake included
	Packets uint64
	Dropped uint64 // packets left out because the server was too slow
}

// Stats returns the counters.
func (c *Client) Stats() ClientStats {
	return ClientStats{c.sent.Load(), c.blocks.Load(), c.missed.Load()}
}

// Publish publishes to a server that has given leave (Client.Publish) until the
// stream ends (nil once everything is sent, or the stream's error), the server
// leaves or refuses, it takes no bytes (ErrSlow), or ctx ends. It closes the
// connection.
func (f *Fanout) Publish(ctx context.Context, c *Client) error {
	defer func() { _ = c.Close() }() // it may have gone first
	own, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.mu.Lock()
	c.fanned = true
	c.mu.Unlock()
	p := f.join(own, cancel, c.conn)
	select {
	case <-own.Done():
	case <-c.done:
		c.mu.Lock()
		cancel(c.gone)
		c.mu.Unlock()
	}
	f.part(p)
	err := context.Cause(own)
	ended := errors.Is(err, errEnd)
	if ended {
		c.hangUp()
	}
	if ended || p.part != nil || len(p.private) > 0 {
		c.farewellSaid(err)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == errEnd:
		return nil
	}
	return fmt.Errorf("rtmp: publish to %s: %w", remote(c.nc), err)
}

// hangUp ends our side and waits a while for the server to do the same: closing
// with bytes unread would take back what was just sent.
func (c *Client) hangUp() {
	if w, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite()
	}
	late := time.NewTimer(lingerTime)
	defer late.Stop()
	select {
	case <-c.done:
	case <-late.C:
	}
}

// farewellSaid makes Close say no good-bye: it has been said, or would come
// within a message.
func (c *Client) farewellSaid(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone == nil {
		c.gone = err
	}
}
