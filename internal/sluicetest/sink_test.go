package sluicetest

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-live/sluice"
)

// drain is a sink as it should be.
func drain(ctx context.Context, src sluice.Source) error {
	for {
		if _, err := src.ReadPacket(ctx); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func TestSinkSuitePassesWhatConforms(t *testing.T) {
	Sink(t, func(testing.TB) sluice.Sink { return sluice.SinkFunc(drain) })
}

const (
	cUntilEnd = "consumes until the end"
	cEmpty    = "takes a source without packets"
	cError    = "returns the source's error"
	cBareEOF  = "takes only a bare EOF for the end"
	cSinkCtx  = "ends with its ctx"
)

var everySinkCheck = []string{cUntilEnd, cEmpty, cError, cBareEOF, cSinkCtx, cData}

func TestSinkSuiteSeesFaults(t *testing.T) {
	for name, c := range map[string]struct {
		sink  sluice.SinkFunc
		fails []string
	}{
		"stops early": {
			func(ctx context.Context, src sluice.Source) error {
				src.ReadPacket(ctx)
				return nil
			},
			[]string{cUntilEnd, cError, cBareEOF, cSinkCtx},
		},
		"EOF returned": {
			func(ctx context.Context, src sluice.Source) error {
				if err := drain(ctx, src); err != nil {
					return err
				}
				return io.EOF
			},
			[]string{cUntilEnd, cEmpty, cData},
		},
		"error swallowed": {
			func(ctx context.Context, src sluice.Source) error {
				drain(ctx, src)
				return ctx.Err()
			},
			[]string{cError, cBareEOF},
		},
		"error's text only": {
			func(ctx context.Context, src sluice.Source) error {
				if err := drain(ctx, src); err != nil {
					return errors.New(err.Error())
				}
				return nil
			},
			[]string{cError, cBareEOF, cSinkCtx},
		},
		"errors.Is for EOF": {
			func(ctx context.Context, src sluice.Source) error {
				if err := drain(ctx, src); !errors.Is(err, io.EOF) {
					return err
				}
				return nil
			},
			[]string{cBareEOF},
		},
		"nil when cancelled": {
			func(ctx context.Context, src sluice.Source) error {
				if err := drain(ctx, src); ctx.Err() == nil {
					return err
				}
				return nil
			},
			[]string{cSinkCtx},
		},
		"deaf to ctx": {
			func(ctx context.Context, src sluice.Source) error {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
				defer cancel()
				return drain(ctx, src)
			},
			[]string{cSinkCtx},
		},
		"closes the source": {
			func(ctx context.Context, src sluice.Source) error {
				defer src.Close()
				return drain(ctx, src)
			},
			everySinkCheck,
		},
		"two readers": {
			func(ctx context.Context, src sluice.Source) error {
				s := src.(*Slice)
				if !s.Block {
					return drain(ctx, src)
				}
				var first sync.WaitGroup
				own, cancel := context.WithCancel(context.WithoutCancel(ctx))
				first.Go(func() { drain(own, src) })
				<-s.Blocked()
				err := drain(ctx, src)
				cancel()
				first.Wait()
				return err
			},
			[]string{cSinkCtx},
		},
		"returns before it is done": {
			func(ctx context.Context, src sluice.Source) error {
				go drain(context.WithoutCancel(ctx), src)
				<-src.(*Slice).Blocked()
				<-ctx.Done()
				return ctx.Err()
			},
			everySinkCheck,
		},
		"data modified": {
			func(ctx context.Context, src sluice.Source) error {
				for {
					p, err := src.ReadPacket(ctx)
					if err == io.EOF {
						return nil
					}
					if err != nil {
						return err
					}
					if len(p.Data) > 0 {
						p.Data[0]++
					}
				}
			},
			[]string{cData},
		},
		"panics": {
			func(context.Context, sluice.Source) error { panic("boom") },
			everySinkCheck,
		},
	} {
		t.Run(name, func(t *testing.T) {
			impatient(t)
			var made []*Slice
			got := failing(t, sinkChecks(Packets(2)), func(t testing.TB) sluice.Sink {
				return sluice.SinkFunc(func(ctx context.Context, src sluice.Source) error {
					s := src.(*Slice)
					made = append(made, s)
					if name == "returns before it is done" {
						s.Block = true
						t.Cleanup(s.End)
					}
					return c.sink(ctx, src)
				})
			})
			for _, s := range made {
				s.End()
			}
			assert.Equal(t, c.fails, got)
		})
	}
}

func TestTransformSuitePassesWhatConforms(t *testing.T) {
	Transform(t, func(testing.TB) sluice.Transform {
		return sluice.TransformFunc(func(_ context.Context, src sluice.Source) (sluice.Source, error) {
			return struct{ sluice.Source }{src}, nil
		})
	})
	Transform(t, func(testing.TB) sluice.Transform {
		return sluice.TransformFunc(func(ctx context.Context, src sluice.Source) (sluice.Source, error) {
			return struct{ sluice.Source }{src}, ctx.Err()
		})
	})
}

func TestTransformSuiteSeesFaults(t *testing.T) {
	for name, c := range map[string]struct {
		transform sluice.TransformFunc
		fails     []string
	}{
		"source left open": {
			func(_ context.Context, src sluice.Source) (sluice.Source, error) {
				return &bent{Slice: src.(*Slice), close: func() error { return nil }}, nil
			},
			[]string{"closes what it wraps", "its Source " + cUnblocks, "its Source " + cClosed},
		},
		"source closed at once": {
			func(_ context.Context, src sluice.Source) (sluice.Source, error) {
				s := src.(*Slice)
				s.Close()
				return &Slice{Packets: s.Packets, Err: s.Err}, nil
			},
			[]string{"closes what it wraps", "its Source " + cCtx}, // as the copy does not wait
		},
		"source closed on failure": {
			func(ctx context.Context, src sluice.Source) (sluice.Source, error) {
				if ctx.Err() != nil {
					src.Close()
					return nil, ctx.Err()
				}
				return src, nil
			},
			[]string{"leaves the source to the caller when it fails"},
		},
		"error hidden": {
			func(_ context.Context, src sluice.Source) (sluice.Source, error) {
				src.(*Slice).Err = nil
				return src, nil
			},
			[]string{"passes the source's error on"},
		},
		"order lost": {
			func(_ context.Context, src sluice.Source) (sluice.Source, error) {
				s := src.(*Slice)
				s.Packets = swap(Packets(2), 10, 20)
				return src, nil
			},
			[]string{"its Source " + cOrder, "its Source " + cCtx},
		},
	} {
		t.Run(name, func(t *testing.T) {
			impatient(t)
			var made []*Slice
			got := failing(t, transformChecks(Packets(2)), func(testing.TB) sluice.Transform {
				return sluice.TransformFunc(func(ctx context.Context, src sluice.Source) (sluice.Source, error) {
					made = append(made, src.(*Slice))
					return c.transform(ctx, src)
				})
			})
			for _, s := range made {
				s.Close()
			}
			assert.Equal(t, c.fails, got)
		})
	}
}
