package sluicetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-live/sluice"
)

// Sink checks a Sink. It consumes packets, or Packets(3) where there are none.
// A Sink consumes once.
func Sink(t *testing.T, open func(t testing.TB) sluice.Sink, packets ...sluice.Packet) {
	t.Helper()
	runAll(t, open, sinkChecks(packets))
}

var errBoom = errors.New("boom")

func sinkChecks(packets []sluice.Packet) []check[sluice.Sink] {
	if len(packets) == 0 {
		packets = Packets(3)
	}
	// consume returns a check of what a Sink makes of a source.
	consume := func(name string, src func() *Slice, verdict func(src *Slice, err error) error) check[sluice.Sink] {
		return check[sluice.Sink]{name, func(t testing.TB, open func(testing.TB) sluice.Sink) error {
			s := src()
			err, bad := drive(t, open(t), s)
			return errors.Join(bad, verdict(s, err))
		}}
	}
	wrapped := fmt.Errorf("cut off: %w", io.EOF)
	return []check[sluice.Sink]{
		consume("consumes until the end", func() *Slice { return &Slice{Packets: packets} }, atEnd),
		consume("takes a source without packets", func() *Slice { return &Slice{} }, atEnd),
		consume("returns the source's error", func() *Slice { return &Slice{Packets: packets, Err: errBoom} }, with(errBoom)),
		consume("takes only a bare EOF for the end", func() *Slice { return &Slice{Packets: packets, Err: wrapped} }, with(wrapped)),
		{"ends with its ctx", sinkCtxCheck(packets)},
		{"never modifies Data", sinkDataCheck(packets)},
	}
}

func atEnd(src *Slice, err error) error {
	if err != nil {
		return fmt.Errorf("Consume returns %w at the source's end", err)
	}
	if n := src.Left(); n > 0 {
		return fmt.Errorf("Consume returned with %d packets unread", n)
	}
	return nil
}

func with(want error) func(*Slice, error) error {
	return func(_ *Slice, err error) error {
		if !errors.Is(err, want) {
			return fmt.Errorf("Consume returns %v where the source ended with %w", err, want)
		}
		return nil
	}
}

// drive lets a Sink consume a source; bad is what it did that no sink may do.
func drive(t testing.TB, sink sluice.Sink, src *Slice) (err, bad error) {
	return driveCtx(t.Context(), sink, src)
}

func driveCtx(ctx context.Context, sink sluice.Sink, src *Slice) (err, bad error) {
	before := goleak.IgnoreCurrent()
	err, bad = await("Consume", func() (error, error) { return sink.Consume(ctx, src), nil })
	if bad != nil {
		return nil, bad
	}
	if src.Closed() {
		bad = errors.New("Consume closed the source")
	}
	reading, crowded := src.reader()
	if reading {
		bad = errors.Join(bad, errors.New("Consume returned while it was reading the source"))
	}
	if crowded {
		bad = errors.Join(bad, errors.New("Consume read the source from two goroutines at once"))
	}
	if leaked := goleak.Find(before); leaked != nil {
		bad = errors.Join(bad, fmt.Errorf("Consume left goroutines: %w", leaked))
	}
	return err, bad
}

func sinkCtxCheck(packets []sluice.Packet) func(testing.TB, func(testing.TB) sluice.Sink) error {
	return func(t testing.TB, open func(testing.TB) sluice.Sink) error {
		src := &Slice{Packets: packets, Block: true}
		sink := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		blocked := src.Blocked()
		stop := make(chan struct{})
		defer close(stop)
		go func() {
			select {
			case <-blocked:
				cancel()
			case <-stop:
			}
		}()
		err, bad := driveCtx(ctx, sink, src)
		if bad == nil && !errors.Is(err, context.Canceled) {
			bad = fmt.Errorf("Consume returns %v where its ctx was cancelled", err)
		}
		return bad
	}
}

func sinkDataCheck(packets []sluice.Packet) func(testing.TB, func(testing.TB) sluice.Sink) error {
	return func(t testing.TB, open func(testing.TB) sluice.Sink) error {
		src := &Slice{}
		for _, p := range packets {
			p.Data = bytes.Clone(p.Data)
			src.Packets = append(src.Packets, p)
		}
		err, bad := drive(t, open(t), src)
		for i, p := range packets {
			if !bytes.Equal(p.Data, src.Packets[i].Data) {
				return fmt.Errorf("Consume modified Data of packet %d", i)
			}
		}
		return errors.Join(err, bad)
	}
}
