package sluice

import (
	"context"
	"errors"
	"fmt"
)

// Pipeline joins a Source to Sinks: Source → Transforms → Stream → Recorder and
// Sinks, each edge in a goroutine of its own.
type Pipeline struct {
	// Source is read until its end and closed by Run.
	Source Source
	// Transforms wrap the Source one after the other.
	Transforms []Transform
	// Recorder and Sinks get every packet from the first segment on that begins
	// in the Source, whose first segment does if it is announced; of what is not
	// stamped with segments, from the first key frame on. The first of them that
	// fails ends the pipeline; a sink that should fail alone belongs on Stream,
	// attached with a Retry.
	Recorder Recorder
	Sinks    []Sink
	// Slow is what happens to a sink that cannot keep up; default Resync.
	Slow Slow
	// Stream is the fan-out between Source and Sinks; set it to attach sinks
	// while the pipeline runs. Default: one of the pipeline's own.
	Stream *Stream
}

// Run runs the pipeline until the source's end (nil), the first fatal error,
// or the end of ctx (its error). All its goroutines have ended when it
// returns, and the Source is closed.
func (p Pipeline) Run(ctx context.Context) (err error) {
	if p.Source == nil {
		return errors.New("sluice: pipeline has no source")
	}
	caller := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	src := p.Source
	defer func() {
		if cerr := src.Close(); cerr != nil {
			err = errors.Join(err, cerr)
		}
	}()
	for i, t := range p.Transforms {
		wrapped, err := t.Transform(ctx, src)
		if err != nil {
			return fmt.Errorf("sluice: transform %d: %w", i+1, err)
		}
		src = wrapped
	}

	stream := p.Stream
	if stream == nil {
		stream = new(Stream)
	}
	attached := p.attach(ctx, stream, cancel)
	err = stream.Consume(ctx, src)
	if err != nil {
		cancel(err) // sinks must not wait for the rest
	}
	for _, a := range attached {
		<-a.done // what it failed with is ctx's cause by now
	}
	cause := context.Cause(ctx)
	if cause == nil {
		return err
	}
	if caller.Err() != nil && errors.Is(cause, context.Cause(caller)) {
		return caller.Err()
	}
	return cause
}

// attach starts recorder and sinks; a failure of any cancels the pipeline.
func (p Pipeline) attach(ctx context.Context, stream *Stream, cancel context.CancelCauseFunc) []*Attachment {
	var all []*Attachment
	add := func(name string, sink Sink) {
		guarded := SinkFunc(func(ctx context.Context, src Source) error {
			err := consume(ctx, sink, src)
			if err != nil && ctx.Err() == nil && !stream.failed(err) {
				cancel(fmt.Errorf("sluice: %s: %w", name, err))
			}
			return err
		})
		all = append(all, stream.Attach(ctx, name, guarded, AttachConfig{
			Subscription: Subscription{Start: StartSegment, Slow: p.Slow},
		}))
	}
	if p.Recorder != nil {
		add("recorder", p.Recorder)
	}
	for i, sink := range p.Sinks {
		add(fmt.Sprintf("sink %d", i+1), sink)
	}
	return all
}
