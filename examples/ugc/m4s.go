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
	play := func(ctx context.Context, name string) (*sluice.Stream, error) {
		return p.playback.Play(ctx, &origin.Request{Protocol: "m4s", Name: name})
	}
	return &m4s.Handler{
		Log:  p.log,
		Play: play,
		Publish: func(ctx context.Context, name string, src sluice.Source) error {
			if _, err := play(ctx, name); err == nil {
				return fmt.Errorf("push %q: %w", name, m4s.ErrBusy)
			}
			return sluice.Pipeline{Source: src, Sinks: []sluice.Sink{p.playback.Stream(name)}}.Run(ctx)
		},
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
}

// drainM4S lets pulls have what is left and pushes end.
func (p *platform) drainM4S() {
	ctx, cancel := context.WithTimeout(context.Background(), m4sDrain)
	defer cancel()
	if err := p.m4s.Shutdown(ctx); err != nil {
		p.log.Info("m4s peers told to connect again")
	}
}
