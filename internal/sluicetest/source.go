package sluicetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluice-live/sluice"
)

// Feed is a Source under test and the test's hands on it.
type Feed struct {
	Source sluice.Source
	// More gives it all its packets, without waiting for them to be read; nil
	// where it has them from the start.
	More func()
	// End lets it end behind them; nil where it ends by itself. Without it the
	// Source is not seen waiting.
	End func()
	// Want is what it yields; nil where that is not known beforehand.
	Want []sluice.Packet
}

// Source checks a Source.
func Source(t *testing.T, open func(t testing.TB) Feed) {
	t.Helper()
	runAll(t, open, sourceChecks)
}

var sourceChecks = []check[Feed]{
	{"yields its packets in order", orderCheck},
	{"ends with a bare EOF that repeats", eofCheck},
	{"stamps segments", stampsCheck},
	{"never modifies Data", sourceDataCheck},
	{"changes Tracks only inside ReadPacket", tracksCheck},
	{"ends a read with its ctx and goes on", sourceCtxCheck},
	{"returns from ReadPacket when closed", closeCheck},
	{"closes twice and reads no more", closedCheck},
}

func (f Feed) more() {
	if f.More != nil {
		f.More()
	}
}

func (f Feed) end() {
	if f.End != nil {
		f.End()
	}
}

// readAll reads to the end, which is to be io.EOF.
func readAll(ctx context.Context, src sluice.Source) ([]sluice.Packet, error) {
	return await("reading to the end", func() (all []sluice.Packet, err error) {
		for {
			p, err := src.ReadPacket(ctx)
			if err == io.EOF {
				return all, nil
			}
			if err != nil {
				return all, fmt.Errorf("ReadPacket after %d packets: %w", len(all), err)
			}
			all = append(all, p)
		}
	})
}

// play opens a Feed and reads all of it.
func play(t testing.TB, open func(testing.TB) Feed) (Feed, []sluice.Packet, error) {
	f := open(t)
	t.Cleanup(func() { f.Source.Close() })
	f.more()
	f.end()
	all, err := readAll(t.Context(), f.Source)
	return f, all, err
}

func orderCheck(t testing.TB, open func(testing.TB) Feed) error {
	f, all, err := play(t, open)
	if err != nil {
		return err
	}
	return errors.Join(inOrder(all), f.compare(all))
}

func inOrder(packets []sluice.Packet) error {
	last := make(map[uint32]int64)
	for i, p := range packets {
		if p.Track == nil || p.Track.ID == 0 || p.Track.Timescale == 0 {
			return fmt.Errorf("packet %d: track without ID or timescale: %+v", i, p.Track)
		}
		if dts, ok := last[p.Track.ID]; ok && p.DTS < dts {
			return fmt.Errorf("packet %d of track %d: DTS %d after %d", i, p.Track.ID, p.DTS, dts)
		}
		last[p.Track.ID] = p.DTS
	}
	return nil
}

func (f Feed) compare(got []sluice.Packet) error {
	if f.Want == nil {
		return nil
	}
	for i, p := range f.Want {
		if i == len(got) {
			return fmt.Errorf("%d packets, want %d", len(got), len(f.Want))
		}
		if g := got[i]; !same(g, p) {
			return fmt.Errorf("packet %d is %v, want %v", i, brief(g), brief(p))
		}
	}
	if len(got) > len(f.Want) {
		return fmt.Errorf("%d packets, want %d", len(got), len(f.Want))
	}
	return nil
}

func same(a, b sluice.Packet) bool {
	return a.Track == b.Track && a.DTS == b.DTS && a.PTS == b.PTS && a.Dur == b.Dur && a.Segment == b.Segment &&
		a.Key == b.Key && a.Discont == b.Discont && (a.Data == nil) == (b.Data == nil) && bytes.Equal(a.Data, b.Data)
}

func brief(p sluice.Packet) string {
	return fmt.Sprintf("{track %d dts %d pts %d dur %d segment %d key %t discont %t, %d bytes}",
		p.Track.ID, p.DTS, p.PTS, p.Dur, p.Segment, p.Key, p.Discont, len(p.Data))
}

func eofCheck(t testing.TB, open func(testing.TB) Feed) error {
	f, _, err := play(t, open)
	if err != nil {
		return err
	}
	for range 3 {
		if err := within("ReadPacket after the end", func() error {
			if p, err := f.Source.ReadPacket(t.Context()); err != io.EOF {
				return fmt.Errorf("ReadPacket after the end returns %v, %w, not io.EOF", p, err)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

func stampsCheck(t testing.TB, open func(testing.TB) Feed) error {
	_, all, err := play(t, open)
	if err != nil {
		return err
	}
	return stamped(all)
}

// stamped holds packets to the rules of numbering. Only a reader that missed
// something, which Discont says, sees a number left out.
func stamped(packets []sluice.Packet) error {
	last := make(map[uint32]sluice.Packet)
	for i, p := range packets {
		old, ok := last[p.Track.ID]
		last[p.Track.ID] = p
		if !ok {
			continue
		}
		what := fmt.Sprintf("packet %d of track %d", i, p.Track.ID)
		switch {
		case p.Segment < old.Segment:
			return fmt.Errorf("%s: segment %d after %d", what, p.Segment, old.Segment)
		case old.Segment != 0 && p.Segment > old.Segment+1 && !p.Discont:
			return fmt.Errorf("%s: segment %d after %d, and no Discont", what, p.Segment, old.Segment)
		case p.Track.Era < old.Track.Era:
			return fmt.Errorf("%s: era %d after %d", what, p.Track.Era, old.Track.Era)
		case p.Segment != 0 && p.Track.Era > old.Track.Era && p.Segment == old.Segment:
			return fmt.Errorf("%s: era %d opens no segment", what, p.Track.Era)
		}
	}
	return nil
}

func sourceDataCheck(t testing.TB, open func(testing.TB) Feed) error {
	f := open(t)
	t.Cleanup(func() { f.Source.Close() })
	f.more()
	f.end()
	type data struct{ kept, was []byte }
	all, err := await("reading to the end", func() (all []data, err error) {
		for {
			p, err := f.Source.ReadPacket(t.Context())
			if err == io.EOF {
				return all, nil
			}
			if err != nil {
				return nil, err
			}
			all = append(all, data{p.Data, bytes.Clone(p.Data)})
		}
	})
	if err != nil {
		return err
	}
	f.Source.Close()
	for i, d := range all {
		if !bytes.Equal(d.kept, d.was) {
			return fmt.Errorf("the Data of packet %d was modified after ReadPacket returned it", i)
		}
	}
	return nil
}

func tracksCheck(t testing.TB, open func(testing.TB) Feed) error {
	f := open(t)
	t.Cleanup(func() { f.Source.Close() })
	src := f.Source
	held := src.Tracks()
	known := slices.Clone(held)
	unchanged := func(when string) error {
		if now := src.Tracks(); !slices.Equal(now, known) || !slices.Equal(held, known) {
			return fmt.Errorf("Tracks changed %s", when)
		}
		return nil
	}
	f.more()
	f.end()
	if err := unchanged("before ReadPacket was called"); err != nil {
		return err
	}
	return within("reading to the end", func() error {
		for {
			p, err := src.ReadPacket(t.Context())
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if !slices.Equal(held, known) {
				return errors.New("ReadPacket modified the slice that Tracks had returned")
			}
			held = src.Tracks()
			known = slices.Clone(held)
			if err := lists(known, p.Track); err != nil {
				return err
			}
			if err := unchanged("between two calls"); err != nil {
				return err
			}
		}
	})
}

func lists(tracks []*sluice.Track, t *sluice.Track) error {
	ids := make(map[uint32]bool)
	for _, k := range tracks {
		if ids[k.ID] {
			return fmt.Errorf("Tracks has two of ID %d", k.ID)
		}
		ids[k.ID] = true
	}
	if !slices.Contains(tracks, t) {
		return fmt.Errorf("a packet's track %d is not among Tracks once the packet is read", t.ID)
	}
	return nil
}

func sourceCtxCheck(t testing.TB, open func(testing.TB) Feed) error {
	f := open(t)
	t.Cleanup(func() { f.Source.Close() })
	f.more()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	time.AfterFunc(idle, cancel)
	first, err := readUntil(ctx, f)
	if err != nil {
		return err
	}
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	second, err := readUntil(late, f)
	if err != nil {
		return err
	}
	f.end()
	rest, err := readAll(t.Context(), f.Source)
	if err != nil {
		return fmt.Errorf("after a read that its ctx ended: %w", err)
	}
	all := slices.Concat(first, second, rest)
	return errors.Join(inOrder(all), stamped(all), f.compare(all))
}

// readUntil reads until ctx ends a read, or the Source ends by itself.
func readUntil(ctx context.Context, f Feed) ([]sluice.Packet, error) {
	return await("reading until ctx ends", func() (all []sluice.Packet, err error) {
		for {
			p, err := f.Source.ReadPacket(ctx)
			switch {
			case err == nil:
				all = append(all, p)
			case err == io.EOF && f.End == nil, ctx.Err() != nil && errors.Is(err, ctx.Err()):
				return all, nil
			default:
				return all, fmt.Errorf("ReadPacket whose ctx ended (%v) returns %w", ctx.Err(), err)
			}
		}
	})
}

func closeCheck(t testing.TB, open func(testing.TB) Feed) error {
	f := open(t)
	t.Cleanup(func() { f.Source.Close() })
	f.more()
	defer time.AfterFunc(idle, func() { f.Source.Close() }).Stop()
	return within("ReadPacket, while the Source was closed,", func() error {
		for {
			if _, err := f.Source.ReadPacket(context.Background()); err != nil {
				return nil
			}
		}
	})
}

func closedCheck(t testing.TB, open func(testing.TB) Feed) error {
	f := open(t)
	f.more()
	if len(f.Want) > 0 {
		if _, err := f.Source.ReadPacket(t.Context()); err != nil {
			return fmt.Errorf("first packet: %w", err)
		}
	}
	var closers sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		closers.Go(func() { errs[i] = f.Source.Close() })
	}
	if err := within("Close", func() error {
		closers.Wait()
		return errors.Join(append(errs, f.Source.Close())...)
	}); err != nil {
		return err
	}
	return within("ReadPacket after Close", func() error {
		if p, err := f.Source.ReadPacket(context.Background()); err == nil {
			return fmt.Errorf("ReadPacket after Close yields %s", brief(p))
		}
		return nil
	})
}
