package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/m4s"
	"github.com/sluice-live/sluice/origin"
)

// newM4S returns what serves /m4s/: other servers pull any live stream, and
// push with the token.
func (p *platform) newM4S(c config) *m4s.Handler {
	var tokens m4s.Tokens
	if c.M4S != "" {
		tokens.Write = []m4s.TokenHash{m4s.HashToken(c.M4S)}
		tokens.Read = tokens.Write
	}
	h := &m4s.Handler{
		Log:     p.log,
		Play:    p.pulled,
		Publish: p.pushed,
		Authorize: func(r *http.Request, name string, a m4s.Action) error {
			switch {
			case a == m4s.Read && c.Open:
				return nil
			case c.M4S == "":
				return fmt.Errorf("this server takes no pushed streams: start it with --m4s-token: %w", m4s.ErrDenied)
			}
			return tokens.Authorize(r, name, a)
		},
	}
	if p.service != nil {
		h.Play, h.Publish = p.service.Play, p.service.Publish
	}
	return h
}

// pulled returns a live stream for another server.
func (p *platform) pulled(ctx context.Context, name string) (*sluice.Stream, error) {
	if p.playback == nil {
		return nil, fmt.Errorf("this server has no streams to pull: %w", m4s.ErrNotFound)
	}
	return p.playback.Play(ctx, &origin.Request{Protocol: "m4s", Name: name})
}

// pushed takes a stream from another server.
func (p *platform) pushed(ctx context.Context, name string, src sluice.Source) error {
	if _, err := p.pulled(ctx, name); err == nil {
		return fmt.Errorf("push %q: %w", name, m4s.ErrBusy)
	}
	return p.carry(ctx, name, src)
}

// drainM4S lets pulls have what is left and pushes end.
func (p *platform) drainM4S() {
	ctx, cancel := context.WithTimeout(context.Background(), m4sDrain)
	defer cancel()
	if err := p.m4s.Shutdown(ctx); err != nil {
		p.log.Info("m4s peers told to connect again")
	}
}
