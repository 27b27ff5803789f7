//go:build cgo

package main

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/transcode"
)

// previews keeps the newest picture of each stream that has renditions. It
// decodes what was made here, never what a stranger sent.
type previews struct {
	mu sync.Mutex
	m  map[string][]*transcode.Previews // more than one until the origin has refused the others
}

func newPreviews() *previews { return &previews{m: make(map[string][]*transcode.Previews)} }

// sink returns the sink for a stream's previews; should it fail, the stream
// goes on.
func (p *platform) previewSink(name string) sluice.Sink {
	return sluice.SinkFunc(func(ctx context.Context, src sluice.Source) error {
		one := &transcode.Previews{Width: 480}
		p.previews.put(name, one)
		defer p.previews.remove(name, one)
		if err := one.Consume(ctx, &smallest{Source: src}); err != nil && ctx.Err() == nil {
			p.log.Warn("no more previews", "stream", name, "error", err)
		}
		return nil
	})
}

func (s *previews) put(name string, one *transcode.Previews) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m[name] = append(s.m[name], one)
}

func (s *previews) remove(name string, one *transcode.Previews) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m[name] = slices.DeleteFunc(s.m[name], func(other *transcode.Previews) bool { return other == one })
	if len(s.m[name]) == 0 {
		delete(s.m, name)
	}
}

func (s *previews) newest(name string) *transcode.Previews {
	s.mu.Lock()
	defer s.mu.Unlock()
	if all := s.m[name]; len(all) > 0 {
		return all[len(all)-1]
	}
	return nil
}

// has reports whether there is a picture of a stream.
func (s *previews) has(name string) bool { return s.picture(name) != nil }

// picture returns the newest of a stream; nil while there is none.
func (s *previews) picture(name string) []byte {
	one := s.newest(name)
	if one == nil {
		return nil
	}
	jpeg, _ := one.Latest()
	return jpeg
}

// ServeHTTP serves /live/{stream}/preview.jpg.
func (s *previews) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	picture := s.picture(r.PathValue("stream"))
	if picture == nil {
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "there is no preview of such a stream now", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "image/jpeg")
	w.Header().Set("Cache-Control", "public, max-age=2")
	w.Write(picture)
}

// smallest is a source's smallest rendition, told when all have had a second to
// appear.
type smallest struct {
	sluice.Source
	first time.Time
	id    uint32
}

func (s *smallest) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	for {
		p, err := s.Source.ReadPacket(ctx)
		if err != nil || s.takes(p) {
			return p, err
		}
	}
}

func (s *smallest) takes(p sluice.Packet) bool {
	if p.Track.Kind != sluice.Video || p.Track.Maker == 0 {
		return false
	}
	at := p.Track.Time(p.DTS)
	if s.first.IsZero() {
		s.first = at
	}
	if s.id == 0 && at.Sub(s.first) >= time.Second {
		s.id = p.Track.ID
		least := p.Track.Height
		for _, t := range s.Source.Tracks() {
			if t.Kind == sluice.Video && t.Maker != 0 && t.Height < least {
				s.id, least = t.ID, t.Height
			}
		}
	}
	return p.Track.ID == s.id
}
