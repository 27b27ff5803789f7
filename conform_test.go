package sluice_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSubscriberConforms(t *testing.T) {
	for name, c := range map[string]sluice.Subscription{
		"resync":            {},
		"fail":              {Slow: sluice.Fail},
		"block":             {Slow: sluice.Block},
		"resync at segment": {Start: sluice.StartSegment},
		"fail at segment":   {Start: sluice.StartSegment, Slow: sluice.Fail},
		"block at segment":  {Start: sluice.StartSegment, Slow: sluice.Block},
	} {
		t.Run(name, func(t *testing.T) {
			packets := sluicetest.Packets(3)
			if c.Start == sluice.StartKey { // which begins with media, not with the announcement
				packets = slices.DeleteFunc(packets, func(p sluice.Packet) bool { return p.Data == nil })
			}
			sluicetest.Source(t, func(t testing.TB) sluicetest.Feed {
				s := new(sluice.Stream)
				return sluicetest.Feed{
					Source: s.Subscribe(c),
					More:   func() { write(t, s, packets...) },
					End:    func() { s.End(nil) },
					Want:   packets,
				}
			})
		})
	}
}

func TestSubscriberToHistoryConforms(t *testing.T) {
	packets := sluicetest.Packets(3)
	sluicetest.Source(t, func(t testing.TB) sluicetest.Feed {
		s := new(sluice.Stream)
		write(t, s, packets...)
		return sluicetest.Feed{
			Source: s.Subscribe(sluice.Subscription{Start: sluice.StartSegment}),
			End:    func() { s.End(nil) },
		}
	})
}

// A reader that was overtaken keeps to the contract too.
func TestSubscriberThatLagsConforms(t *testing.T) {
	for _, start := range []sluice.Start{sluice.StartKey, sluice.StartSegment} {
		sluicetest.Source(t, func(t testing.TB) sluicetest.Feed {
			s := &sluice.Stream{Window: time.Second}
			sub := s.Subscribe(sluice.Subscription{Start: start})
			return sluicetest.Feed{
				Source: sub,
				More:   func() { write(t, s, sluicetest.Packets(6)...) },
				End:    func() { s.End(nil) },
			}
		})
	}
}

func TestPipeConforms(t *testing.T) {
	packets := sluicetest.Packets(2)
	sluicetest.Source(t, func(t testing.TB) sluicetest.Feed {
		w, src := sluice.Pipe(len(packets))
		return sluicetest.Feed{
			Source: src,
			More: func() {
				for _, p := range packets {
					require.NoError(t, w.Write(t.Context(), p))
				}
			},
			End:  func() { w.Close(nil) },
			Want: packets,
		}
	})
}

func TestStreamConformsAsSink(t *testing.T) {
	sluicetest.Sink(t, func(testing.TB) sluice.Sink { return new(sluice.Stream) })
}

func TestStreamWithReadersConformsAsSink(t *testing.T) {
	sluicetest.Sink(t, func(t testing.TB) sluice.Sink {
		s := new(sluice.Stream)
		for _, c := range []sluice.AttachConfig{{}, {Subscription: sluice.Subscription{Slow: sluice.Block}}} {
			a := s.Attach(t.Context(), "drain", sluice.SinkFunc(drain), c)
			t.Cleanup(a.Detach)
		}
		return s
	})
}

func TestSinkFuncConforms(t *testing.T) {
	sluicetest.Sink(t, func(testing.TB) sluice.Sink { return sluice.SinkFunc(drain) })
}

// named is a transform's result: the packets of src with a name on their track.
type named struct {
	sluice.Source
	names map[*sluice.Track]*sluice.Track
}

func name(_ context.Context, src sluice.Source) (sluice.Source, error) {
	return &named{src, make(map[*sluice.Track]*sluice.Track)}, nil
}

func (n *named) Unwrap() sluice.Source { return n.Source }

func (n *named) rename(t *sluice.Track) *sluice.Track {
	if n.names[t] == nil {
		renamed := *t
		renamed.Name = "named"
		n.names[t] = &renamed
	}
	return n.names[t]
}

func (n *named) Tracks() []*sluice.Track {
	var out []*sluice.Track
	for _, t := range n.Source.Tracks() {
		out = append(out, n.rename(t))
	}
	return out
}

func (n *named) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	p, err := n.Source.ReadPacket(ctx)
	if err == nil {
		p.Track = n.rename(p.Track)
	}
	return p, err
}

func TestTransformFuncConforms(t *testing.T) {
	sluicetest.Transform(t, func(testing.TB) sluice.Transform { return sluice.TransformFunc(name) })
}

// What a pipeline hands to its sinks is a Source like any other.
func TestPipelineHandsOutSources(t *testing.T) {
	packets := sluicetest.Packets(3)
	sluicetest.Source(t, func(t testing.TB) sluicetest.Feed {
		in := &sluicetest.Slice{Packets: packets, Block: true}
		got, leave := make(chan sluice.Source), make(chan struct{})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			sluice.Pipeline{Source: in, Sinks: []sluice.Sink{
				sluice.SinkFunc(func(ctx context.Context, src sluice.Source) error {
					got <- src
					<-leave
					return nil
				}),
			}}.Run(context.Background())
		}()
		t.Cleanup(func() {
			in.End()
			close(leave)
			<-ended
		})
		return sluicetest.Feed{Source: <-got, End: in.End, Want: packets}
	})
}
