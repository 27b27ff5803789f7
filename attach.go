package sluice

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// AttachState is what an attached sink is doing.
type AttachState uint8

// The states of an attachment.
const (
	Running  AttachState = iota // the sink is consuming
	Retrying                    // it failed and is waiting for its next try
	Ended                       // the stream ended, the sink was detached, or it failed for good
)

// String returns "running", "retrying" or "ended".
func (s AttachState) String() string {
	switch s {
	case Running:
		return "running"
	case Retrying:
		return "retrying"
	case Ended:
		return "ended"
	}
	return "unknown"
}

// AttachConfig says how a sink is attached; the zero value begins with the
// newest key frame, jumps when it lags, and does not retry.
type AttachConfig struct {
	Subscription
	// Retry is the wait before a sink that failed is started again, doubled with
	// each failure that follows at once, up to MaxRetry; 0: it is not.
	Retry time.Duration
	// MaxRetry bounds the wait; default one minute.
	MaxRetry time.Duration
}

// AttachStats describe an attachment.
type AttachStats struct {
	State    AttachState
	Err      error  // of the last failure; that it was stopped is none
	Failures uint64 // since it was attached
	Dropped  uint64 // packets missed by being slow
}

// Attachment is a sink that runs on a Stream's packets in a goroutine of its
// own, which Wait or Detach joins.
type Attachment struct {
	Name   string
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	stats AttachStats
	sub   *Subscriber
	err   error // of the last run
}

// Attach starts a sink on the stream, from now until the stream's end, ctx's
// end, or Detach. The subscription is made before Attach returns. Call Wait or
// Detach.
func (s *Stream) Attach(ctx context.Context, name string, sink Sink, c AttachConfig) *Attachment {
	ctx, cancel := context.WithCancel(ctx)
	a := &Attachment{Name: name, cancel: cancel, done: make(chan struct{})}
	a.sub = s.Subscribe(c.Subscription)
	go a.run(ctx, s, sink, c)
	return a
}

func (a *Attachment) run(ctx context.Context, s *Stream, sink Sink, c AttachConfig) {
	defer close(a.done)
	defer a.cancel()
	longest := orDefault(c.MaxRetry, time.Minute)
	wait := min(c.Retry, longest)
	for {
		began := time.Now()
		err := consume(ctx, sink, a.sub)
		failed := err != nil && !s.failed(err) && (ctx.Err() == nil || !errors.Is(err, ctx.Err()))
		retry := failed && c.Retry > 0
		a.finish(err, failed, retry)
		if !retry {
			return
		}
		if time.Since(began) > 2*wait {
			wait = min(c.Retry, longest)
		}
		if !sleep(ctx, s, wait) {
			return
		}
		wait = min(2*wait, longest)
		a.mu.Lock()
		a.sub, a.stats.State = s.Subscribe(c.Subscription), Running
		a.mu.Unlock()
	}
}

// consume runs a sink and turns its panic into an error, so that one sink
// cannot take the others down.
func consume(ctx context.Context, sink Sink, src Source) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("sluice: panic in sink: %v\n%s", r, debug.Stack())
		}
	}()
	return sink.Consume(ctx, src)
}

// finish books the end of one run of the sink.
func (a *Attachment) finish(err error, failed, retry bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stats.Dropped += a.sub.Dropped()
	a.sub.Close()
	a.sub = nil
	a.err = err
	if failed {
		a.stats.Err = err
		a.stats.Failures++
	}
	a.stats.State = Ended
	if retry {
		a.stats.State = Retrying
	}
}

// sleep reports false where ctx or the stream ended first.
func sleep(ctx context.Context, s *Stream, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return !s.Ended()
	case <-s.done():
		return false
	case <-ctx.Done():
		return false
	}
}

// Stats returns the attachment's state and counters.
func (a *Attachment) Stats() AttachStats {
	a.mu.Lock()
	defer a.mu.Unlock()
	st := a.stats
	if a.sub != nil {
		st.Dropped += a.sub.Dropped()
	}
	select {
	case <-a.done:
		st.State = Ended
	default:
	}
	return st
}

// Detach stops the sink and waits until it has returned.
func (a *Attachment) Detach() {
	a.cancel()
	<-a.done
}

// Wait waits until the sink has ended for good and returns what its last run
// did: nil after the stream's end, ctx's error after Detach.
func (a *Attachment) Wait() error {
	<-a.done
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}
