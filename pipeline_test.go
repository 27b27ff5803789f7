package sluice_test

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

// collector is a sink, and a recorder that replays nothing.
type collector struct {
	got   []sluice.Packet
	after int // it fails after so many packets; 0: never
	done  atomic.Bool
}

func (c *collector) Consume(ctx context.Context, src sluice.Source) error {
	defer c.done.Store(true)
	for {
		p, err := src.ReadPacket(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		c.got = append(c.got, p)
		if len(c.got) == c.after {
			return errBoom
		}
	}
}

func (c *collector) Replay(context.Context, time.Time, time.Time) (sluice.Source, error) {
	return nil, errors.ErrUnsupported
}

func TestPipelineCarriesEverything(t *testing.T) {
	in := &sluicetest.Slice{Packets: packets("v0-/1 a0-/1 v0k/1 a0/1 v40/1 v80k/2 a80/2")}
	recorder, first, second := new(collector), new(collector), new(collector)
	err := sluice.Pipeline{
		Source: in, Recorder: recorder, Sinks: []sluice.Sink{first, second}, Slow: sluice.Block,
		Transforms: []sluice.Transform{sluice.TransformFunc(name), sluice.TransformFunc(name)},
	}.Run(t.Context())
	require.NoError(t, err)
	assert.True(t, in.Closed())
	for _, c := range []*collector{recorder, first, second} {
		assert.Equal(t, "v0-/1 a0-/1 v0k/1 a0/1 v40/1 v80k/2 a80/2", text(c.got...))
		assert.Equal(t, "named", c.got[0].Track.Name)
	}
}

// sinksOf returns a pipeline's Sinks, of which all are joined when it is done.
func sinksOf(c ...*collector) (out []sluice.Sink) {
	for _, s := range c {
		out = append(out, s)
	}
	return out
}

func TestPipelineEndsWithTheFirstFatalError(t *testing.T) {
	for name, c := range map[string]struct {
		source error // behind its packets; io.EOF: it waits there
		sink   int   // the second sink fails after so many packets
		want   string
	}{
		"of the source":   {source: errBoom, want: "boom"},
		"of a sink":       {source: io.EOF, sink: 2, want: "sluice: sink 2: boom"},
		"of the recorder": {source: io.EOF, sink: -1, want: "sluice: recorder: boom"},
	} {
		t.Run(name, func(t *testing.T) {
			in := &sluicetest.Slice{Packets: packets("v0-/1 v0k/1 v40/1"), Err: c.source, Block: c.source == io.EOF}
			recorder, first, second := new(collector), new(collector), &collector{after: c.sink}
			if c.sink < 0 {
				recorder.after, second.after = 1, 0
			}
			stream := new(sluice.Stream)
			err := sluice.Pipeline{Source: in, Stream: stream, Recorder: recorder, Sinks: sinksOf(first, second)}.Run(t.Context())
			require.ErrorIs(t, err, errBoom)
			require.EqualError(t, err, c.want)
			assert.True(t, in.Closed())
			assert.True(t, stream.Ended())
			assert.Zero(t, stream.Stats().Subscribers)
			for _, s := range []*collector{recorder, first, second} {
				assert.True(t, s.done.Load(), "joined")
			}
		})
	}
}

// When its source breaks, sinks still get what came before.
func TestPipelineLosesNothingOfABrokenSource(t *testing.T) {
	for range 50 {
		in := &sluicetest.Slice{Packets: frames("v", 0, 90, 10), Err: errBoom}
		recorder := new(collector)
		err := sluice.Pipeline{Source: in, Recorder: recorder}.Run(t.Context())
		require.EqualError(t, err, "boom", "the source is to blame, not the recorder")
		require.Len(t, recorder.got, 90)
	}
}

// Sinks that wait for something else than packets are told to stop.
func TestPipelineCancelsSinksOfABrokenSource(t *testing.T) {
	err := sluice.Pipeline{
		Source: &sluicetest.Slice{Err: errBoom},
		Sinks: []sluice.Sink{sluice.SinkFunc(func(ctx context.Context, _ sluice.Source) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})},
	}.Run(t.Context())
	require.EqualError(t, err, "boom")
}

// The EOF of a sink's own connection is a failure, even at the stream's end.
func TestPipelineTakesASinksEOFForAFailure(t *testing.T) {
	err := sluice.Pipeline{
		Source: new(sluicetest.Slice),
		Sinks: []sluice.Sink{sluice.SinkFunc(func(ctx context.Context, src sluice.Source) error {
			return errors.Join(drain(ctx, src), io.EOF)
		})},
	}.Run(t.Context())
	require.EqualError(t, err, "sluice: sink 1: EOF")
}

func TestPipelineEndsWithItsCtx(t *testing.T) {
	for name, cancel := range map[string]func(context.Context) context.Context{
		"cancelled": func(ctx context.Context) context.Context {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Minute, cancel)
			return ctx
		},
		"with a cause": func(ctx context.Context) context.Context {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Minute, func() { cancel(errBoom) })
			return ctx
		},
		"at a deadline": func(ctx context.Context) context.Context {
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			context.AfterFunc(ctx, cancel)
			return ctx
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := cancel(t.Context())
				in := &sluicetest.Slice{Packets: packets("v0k v40"), Block: true}
				sink := new(collector)
				err := sluice.Pipeline{Source: in, Sinks: sinksOf(sink)}.Run(ctx)
				require.Equal(t, ctx.Err(), err, "ctx's error, bare")
				require.Len(t, sink.got, 2)
				require.True(t, in.Closed())
			})
		})
	}
}

func TestPipelineWhoseTransformFails(t *testing.T) {
	in := new(sluicetest.Slice)
	sink := new(collector)
	err := sluice.Pipeline{
		Source: in, Sinks: sinksOf(sink),
		Transforms: []sluice.Transform{
			sluice.TransformFunc(name),
			sluice.TransformFunc(func(context.Context, sluice.Source) (sluice.Source, error) { return nil, errBoom }),
		},
	}.Run(t.Context())
	require.ErrorIs(t, err, errBoom)
	require.EqualError(t, err, "sluice: transform 2: boom")
	require.True(t, in.Closed(), "through the transform before")
	require.False(t, sink.done.Load())
}

func TestPipelineWithoutSource(t *testing.T) {
	require.ErrorContains(t, sluice.Pipeline{}.Run(t.Context()), "no source")
}

type closing struct {
	sluice.Source
	err error
}

func (c closing) Close() error { return errors.Join(c.Source.Close(), c.err) }

func TestPipelineReportsAFailedClose(t *testing.T) {
	err := sluice.Pipeline{Source: closing{new(sluicetest.Slice), errBoom}}.Run(t.Context())
	require.ErrorIs(t, err, errBoom)
}

// A sink that panics is a sink that fails.
func TestPipelineSurvivesPanics(t *testing.T) {
	in := &sluicetest.Slice{Packets: packets("v0k"), Block: true}
	err := sluice.Pipeline{Source: in, Sinks: []sluice.Sink{
		sluice.SinkFunc(func(context.Context, sluice.Source) error { panic("boom") }),
	}}.Run(t.Context())
	require.ErrorContains(t, err, "sluice: sink 1: sluice: panic in sink: boom")
}

// Sinks that are attached to a pipeline's stream come, go and fail alone.
func TestSinksOnAPipelinesStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &sluicetest.Slice{Packets: packets("v0k v40"), Block: true}
		stream := new(sluice.Stream)
		ran := make(chan error, 1)
		go func() { ran <- sluice.Pipeline{Source: in, Stream: stream}.Run(t.Context()) }()
		synctest.Wait()
		bad := stream.Attach(t.Context(), "bad", &collector{after: 1}, sluice.AttachConfig{})
		good := new(collector)
		a := stream.Attach(t.Context(), "good", good, sluice.AttachConfig{})
		require.ErrorIs(t, bad.Wait(), errBoom)
		in.End()
		require.NoError(t, <-ran)
		require.NoError(t, a.Wait())
		require.Equal(t, "v0k v40", text(good.got...))
	})
}

func TestRequestKeyGoesThroughAPipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &sluicetest.Slice{Packets: packets("v0k v40"), Block: true}
		enc := &encoder{Source: in}
		asked := false
		err := sluice.Pipeline{
			Source:     enc,
			Transforms: []sluice.Transform{sluice.TransformFunc(name)},
			Sinks: []sluice.Sink{sluice.SinkFunc(func(ctx context.Context, src sluice.Source) error {
				_, err := src.ReadPacket(ctx)
				asked = sluice.RequestKey(src, 1)
				in.End()
				return errors.Join(err, drain(ctx, src))
			})},
		}.Run(t.Context())
		require.NoError(t, err)
		require.True(t, asked)
		require.Equal(t, []uint32{1}, enc.requests)
	})
}
