package sluicetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/sluice-live/sluice"
)

// Transform checks a Transform. It wraps a source of packets, or of Packets(3)
// where there are none. What it yields is held to the contract of a Source.
func Transform(t *testing.T, open func(t testing.TB) sluice.Transform, packets ...sluice.Packet) {
	t.Helper()
	runAll(t, open, transformChecks(packets))
}

func transformChecks(packets []sluice.Packet) []check[sluice.Transform] {
	if len(packets) == 0 {
		packets = Packets(3)
	}
	checks := []check[sluice.Transform]{
		{"closes what it wraps", transformCloseCheck(packets)},
		{"passes the source's error on", transformErrorCheck(packets)},
		{"leaves the source to the caller when it fails", transformFailCheck},
	}
	for _, c := range sourceChecks {
		checks = append(checks, check[sluice.Transform]{
			"its Source " + c.name,
			func(t testing.TB, open func(testing.TB) sluice.Transform) error {
				return c.run(t, func(t testing.TB) Feed { return wrappedFeed(t, open(t), packets) })
			},
		})
	}
	return checks
}

func wrappedFeed(t testing.TB, tr sluice.Transform, packets []sluice.Packet) Feed {
	src := &Slice{Packets: packets, Block: true}
	out, err := tr.Transform(t.Context(), src)
	if err != nil {
		t.Fatalf("Transform: %v", err)
	}
	return Feed{Source: out, End: src.End}
}

func transformCloseCheck(packets []sluice.Packet) func(testing.TB, func(testing.TB) sluice.Transform) error {
	return func(t testing.TB, open func(testing.TB) sluice.Transform) error {
		src := &Slice{Packets: packets, Block: true}
		out, err := open(t).Transform(t.Context(), src)
		if err != nil {
			return fmt.Errorf("Transform: %w", err)
		}
		if src.Closed() {
			err = errors.New("Transform closed the source before its result was closed")
		}
		err = errors.Join(err, within("Close", out.Close))
		if !src.Closed() {
			err = errors.Join(err, errors.New("Close of the result did not close the source"))
		}
		return err
	}
}

func transformErrorCheck(packets []sluice.Packet) func(testing.TB, func(testing.TB) sluice.Transform) error {
	return func(t testing.TB, open func(testing.TB) sluice.Transform) error {
		out, err := open(t).Transform(t.Context(), &Slice{Packets: packets, Err: errBoom})
		if err != nil {
			return fmt.Errorf("Transform: %w", err)
		}
		defer out.Close()
		if _, err := readAll(t.Context(), out); !errors.Is(err, errBoom) {
			return fmt.Errorf("the result ends with %w where the source ended with %w", orEOF(err), errBoom)
		}
		return nil
	}
}

func orEOF(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

// transformFailCheck gives it every reason to fail. Where it does not, its
// result's reads may.
func transformFailCheck(t testing.TB, open func(testing.TB) sluice.Transform) error {
	src := &Slice{Err: errBoom}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return within("Transform", func() error {
		out, err := open(t).Transform(ctx, src)
		if err == nil {
			return out.Close()
		}
		if src.Closed() {
			return fmt.Errorf("Transform failed (%w) and closed the source", err)
		}
		return nil
	})
}
