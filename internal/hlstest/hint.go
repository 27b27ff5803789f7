package hlstest

import (
	"context"
	"net/http"
)

// pending is a request for a hinted part, on its way.
type pending struct {
	uri    string
	cancel context.CancelFunc
	done   chan struct{} // closed when a and err are set
	a      answer
	err    error
}

// chase requests the part that a playlist hints at, at once.
func (r *rendition) chase(ctx context.Context, v view) *pending {
	for _, h := range v.Hints {
		if h.Type != "PART" || h.URI == "" {
			continue
		}
		ctx, cancel := context.WithCancel(ctx)
		p := &pending{uri: h.URI, cancel: cancel, done: make(chan struct{})}
		go func() {
			defer close(p.done)
			p.a, p.err = ask(ctx, r.w.client, http.MethodGet, r.resolve(h.URI), maxMedia)
		}()
		return p
	}
	return nil
}

// end waits for a request, or ends it when ctx does.
func (p *pending) end(ctx context.Context) bool {
	select {
	case <-p.done:
		return true
	case <-ctx.Done():
	}
	p.cancel()
	<-p.done
	return p.err == nil
}

// drop ends a request of which nothing is wanted any more.
func (p *pending) drop() {
	if p != nil {
		p.cancel()
		<-p.done
	}
}
