package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/sluice-live/sluice"
)

// Targets are the targets of a stream, added and removed at any time. They are
// a Sink; what targets send alike is made once for all of them, so fifty of
// RTMP cost what fifty players do. The zero value has none. One stream is
// consumed at a time; the targets stay for the next.
type Targets struct {
	// Max bounds how many there may be; default 50.
	Max int

	mu    sync.Mutex
	all   map[string]*member
	taken bool
	// attach starts a target on the stream that is consumed; nil without one.
	attach func(*Target) *sluice.Attachment
}

type member struct {
	*Target
	attachment *sluice.Attachment // nil without a stream
}

// Errors of Targets.
var (
	ErrTargetExists  = errors.New("there is a push target of that name already")
	ErrTooManyPushes = errors.New("there are as many push targets as there may be")
)

// Add adds a target, which belongs to the set from now on, and starts it if
// there is a stream. It fails if its URL is wrong, ErrTargetExists, or
// ErrTooManyPushes.
func (s *Targets) Add(t *Target) error {
	if err := t.Check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := t.name()
	if s.all[name] != nil {
		return fmt.Errorf("ingest: push %q: %w", name, ErrTargetExists)
	}
	if most := cmp.Or(s.Max, 50); len(s.all) >= most {
		return fmt.Errorf("ingest: push %q: %w: %d", name, ErrTooManyPushes, most)
	}
	m := &member{Target: t}
	if s.attach != nil {
		m.attachment = s.attach(t)
	}
	if s.all == nil {
		s.all = make(map[string]*member)
	}
	s.all[name] = m
	return nil
}

// Remove takes a target out, waits until its connection has ended, and reports
// whether there was one of that name.
func (s *Targets) Remove(name string) bool {
	s.mu.Lock()
	m := s.all[name]
	delete(s.all, name)
	s.mu.Unlock()
	if m == nil {
		return false
	}
	if m.attachment != nil {
		m.attachment.Detach()
	}
	return true
}

// Stats returns what the targets do, by name.
func (s *Targets) Stats() []TargetStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []TargetStats
	for _, name := range slices.Sorted(maps.Keys(s.all)) {
		all = append(all, s.all[name].Stats())
	}
	return all
}

// Consume pushes src to all targets until its end, its error, or the end of
// ctx. What happens to the targets is in Stats.
func (s *Targets) Consume(ctx context.Context, src sluice.Source) error {
	o := newOutlet(src)
	if err := s.start(func(t *Target) *sluice.Attachment { return o.attach(ctx, t) }); err != nil {
		return err
	}
	err := o.pump(ctx, src)
	s.stop()
	return err
}

func (s *Targets) start(attach func(*Target) *sluice.Attachment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken {
		return errTaken
	}
	s.taken, s.attach = true, attach
	for _, m := range s.all {
		m.attachment = attach(m.Target)
	}
	return nil
}

// stop waits until the targets have ended with their stream. Those removed
// meanwhile are waited for by who removes them.
func (s *Targets) stop() {
	s.mu.Lock()
	s.attach = nil
	var running []*sluice.Attachment
	for _, m := range s.all {
		if m.attachment != nil {
			running = append(running, m.attachment)
			m.attachment = nil
		}
	}
	s.mu.Unlock()
	for _, a := range running {
		_ = a.Wait() // a target's failure is its own
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = false
}

var _ sluice.Sink = (*Targets)(nil)
