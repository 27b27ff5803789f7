package sluicetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sluice-live/sluice"
)

// Recorder checks a Recorder, as a Sink too.
func Recorder(t *testing.T, open func(t testing.TB) sluice.Recorder) {
	t.Helper()
	runAll(t, open, recorderChecks())
}

// recorded is how many segments a Recorder is given to replay, all but the
// last of which it must have.
const recorded = 5

func recorderChecks() []check[sluice.Recorder] {
	checks := []check[sluice.Recorder]{
		{"replays whole tracks", replayCheck(FirstSegment, FirstSegment+recorded-1)},
		{"replays from the start of the segment that holds from", replayCheck(FirstSegment+1.5, FirstSegment+recorded-1)},
		{"replays until to", replayCheck(FirstSegment+1, FirstSegment+2.5)},
		{"replays to several readers at once", replaysCheck},
	}
	for _, c := range sinkChecks(nil) {
		checks = append(checks, check[sluice.Recorder]{c.name, func(t testing.TB, open func(testing.TB) sluice.Recorder) error {
			return c.run(t, func(t testing.TB) sluice.Sink { return open(t) })
		}})
	}
	for _, c := range sourceChecks {
		checks = append(checks, check[sluice.Recorder]{
			"its replay " + c.name,
			func(t testing.TB, open func(testing.TB) sluice.Recorder) error {
				return c.run(t, func(t testing.TB) Feed { return replayFeed(t, open(t)) })
			},
		})
	}
	return checks
}

func replayFeed(t testing.TB, r sluice.Recorder) Feed {
	if err := record(t, r, Packets(recorded)); err != nil {
		t.Fatal(err)
	}
	src, err := r.Replay(t.Context(), at(FirstSegment), at(FirstSegment+recorded))
	if err != nil {
		t.Fatalf("Replay: %v", err)
	}
	return Feed{Source: src}
}

func record(t testing.TB, r sluice.Recorder, packets []sluice.Packet) error {
	err, bad := drive(t, r, &Slice{Packets: packets})
	return errors.Join(err, bad)
}

// at is a time in seconds since the epoch, on a tick of every track here.
func at(seconds float64) time.Time {
	return time.UnixMilli(int64(seconds * 1000))
}

func replayCheck(from, to float64) func(testing.TB, func(testing.TB) sluice.Recorder) error {
	return func(t testing.TB, open func(testing.TB) sluice.Recorder) error {
		r, packets := open(t), Packets(recorded)
		if err := record(t, r, packets); err != nil {
			return err
		}
		return replay(t.Context(), r, packets, from, to)
	}
}

// replay compares the media that Replay yields with what was recorded.
func replay(ctx context.Context, r sluice.Recorder, packets []sluice.Packet, from, to float64) error {
	src, err := r.Replay(ctx, at(from), at(to))
	if err != nil {
		return fmt.Errorf("Replay: %w", err)
	}
	defer src.Close()
	got, err := readAll(ctx, src)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	for _, id := range []uint32{1, 2} {
		want := heldMedia(Of(id, packets), from, to)
		have := heldMedia(Of(id, got), 0, FirstSegment*2)
		if len(have) != len(want) {
			return fmt.Errorf("replay of [%g, %g) has %d packets of track %d, want %d", from, to, len(have), id, len(want))
		}
		for i, p := range want {
			g := have[i]
			if g.DTS != p.DTS || g.PTS != p.PTS || g.Dur != p.Dur || g.Segment != p.Segment || g.Key != p.Key || string(g.Data) != string(p.Data) {
				return fmt.Errorf("replay yields %s, want %s", brief(g), brief(p))
			}
		}
	}
	return nil
}

// heldMedia returns the media from the start of the segment that holds from until
// to. A segment here lasts a second, and begins on it.
func heldMedia(packets []sluice.Packet, from, to float64) (out []sluice.Packet) {
	first := uint64(from)
	for _, p := range packets {
		if p.Data != nil && p.Segment >= first && p.Track.Time(p.DTS).Before(at(to)) {
			out = append(out, p)
		}
	}
	return out
}

func replaysCheck(t testing.TB, open func(testing.TB) sluice.Recorder) error {
	r, packets := open(t), Packets(recorded)
	if err := record(t, r, packets); err != nil {
		return err
	}
	errs := make([]error, 4)
	var readers sync.WaitGroup
	for i := range errs {
		readers.Go(func() {
			errs[i] = replay(t.Context(), r, packets, FirstSegment+float64(i%3), FirstSegment+4)
		})
	}
	readers.Wait()
	return errors.Join(errs...)
}
