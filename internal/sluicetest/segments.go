package sluicetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"testing"
	"time"

	"github.com/sluice-live/sluice"
)

// Segments checks Segments that hold two segments or more and do not change
// while a check runs.
func Segments(t *testing.T, open func(t testing.TB) sluice.Segments) {
	t.Helper()
	runAll(t, open, segmentsChecks)
}

var segmentsChecks = []check[sluice.Segments]{
	{"lists by number", listCheck},
	{"lists what overlaps", rangeCheck},
	{"stops listing when told", breakCheck},
	{"opens by ID, Era, Maker and Number alone", openCheck},
	{"says what does not exist", existCheck},
	{"seeks", seekCheck},
	{"reads independently", independentCheck},
	{"is safe for concurrent use", concurrentCheck},
}

var (
	longAgo = time.Unix(0, 0)
	farOff  = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

func list(ctx context.Context, s sluice.Segments, from, to time.Time) ([]sluice.Segment, error) {
	return await("List", func() (all []sluice.Segment, err error) {
		for seg, err := range s.List(ctx, from, to) {
			if err != nil {
				return nil, fmt.Errorf("List: %w", err)
			}
			all = append(all, seg)
		}
		return all, nil
	})
}

func listAll(t testing.TB, s sluice.Segments) ([]sluice.Segment, error) {
	all, err := list(t.Context(), s, longAgo, farOff)
	if err == nil && len(all) < 2 {
		err = fmt.Errorf("List of all yields %d segments, and the suite needs two", len(all))
	}
	return all, err
}

// name is what Open knows a segment by.
type name struct {
	id, era, maker uint32
	number         uint64
}

func nameOf(s sluice.Segment) name {
	return name{s.Track.ID, s.Track.Era, s.Track.Maker, s.Number}
}

func (n name) segment() sluice.Segment {
	return sluice.Segment{Track: &sluice.Track{ID: n.id, Era: n.era, Maker: n.maker}, Number: n.number}
}

func listCheck(t testing.TB, open func(testing.TB) sluice.Segments) error {
	all, err := listAll(t, open(t))
	if err != nil {
		return err
	}
	seen := make(map[name]bool)
	last := make(map[uint32]sluice.Segment)
	for _, s := range all {
		n := nameOf(s)
		old, ok := last[n.id]
		last[n.id] = s
		switch {
		case seen[n]:
			return fmt.Errorf("segment %+v is listed twice", n)
		case s.Dur <= 0:
			return fmt.Errorf("segment %+v has a length of %d", n, s.Dur)
		case s.Gap != (s.Size == 0):
			return fmt.Errorf("segment %+v: gap %t, size %d", n, s.Gap, s.Size)
		case ok && s.Number < old.Number:
			return fmt.Errorf("track %d: segment %d is listed after %d", n.id, s.Number, old.Number)
		case ok && s.Track.Era == old.Track.Era && s.Number > old.Number && s.Start < old.Start+old.Dur:
			return fmt.Errorf("track %d: segment %d begins before the end of %d", n.id, s.Number, old.Number)
		}
		seen[n] = true
	}
	return nil
}

// rangeCheck asks for ranges that begin and end at, inside, and a tick beside
// the segments' borders.
func rangeCheck(t testing.TB, open func(testing.TB) sluice.Segments) error {
	segs := open(t)
	all, err := listAll(t, segs)
	if err != nil {
		return err
	}
	var times []time.Time
	for _, s := range []sluice.Segment{all[0], all[len(all)/2], all[len(all)-1]} {
		start, end := span(s)
		times = append(times, start, start.Add(end.Sub(start)/2), end, s.Track.Time(s.Start-1), s.Track.Time(s.Start+1))
	}
	for _, from := range times {
		for _, to := range times {
			if !from.Before(to) {
				continue
			}
			got, err := list(t.Context(), segs, from, to)
			if err != nil {
				return err
			}
			if err := overlapping(all, got, from, to); err != nil {
				return fmt.Errorf("List(%v, %v): %w", from, to, err)
			}
		}
	}
	return nil
}

func span(s sluice.Segment) (start, end time.Time) {
	return s.Track.Time(s.Start), s.Track.Time(s.Start + s.Dur)
}

func overlapping(all, got []sluice.Segment, from, to time.Time) error {
	listed := make(map[name]bool)
	for _, s := range got {
		listed[nameOf(s)] = true
	}
	for _, s := range all {
		start, end := span(s)
		want := start.Before(to) && end.After(from)
		if n := nameOf(s); listed[n] != want {
			return fmt.Errorf("segment %+v of [%v, %v): listed %t, want %t", n, start, end, listed[n], want)
		}
	}
	if len(listed) > len(all) {
		return errors.New("more segments than there are")
	}
	return nil
}

func breakCheck(t testing.TB, open func(testing.TB) sluice.Segments) error {
	segs := open(t)
	all, err := listAll(t, segs)
	if err != nil {
		return err
	}
	err = within("List that is broken off", func() error {
		for _, err := range segs.List(t.Context(), longAgo, farOff) {
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	again, err := listAll(t, segs)
	if err == nil && len(again) != len(all) {
		err = fmt.Errorf("after a List that was broken off there are %d segments, before %d", len(again), len(all))
	}
	return err
}

// withMedia returns the segments that are no gaps.
func withMedia(t testing.TB, s sluice.Segments) (out []sluice.Segment, err error) {
	all, err := listAll(t, s)
	for _, seg := range all {
		if !seg.Gap {
			out = append(out, seg)
		}
	}
	if err == nil && len(out) < 2 {
		err = errors.New("the suite needs two segments that are no gaps")
	}
	return out, err
}

// body reads a segment that is opened by its name alone.
func body(ctx context.Context, s sluice.Segments, n name) ([]byte, error) {
	return await("Open", func() ([]byte, error) {
		r, err := s.Open(ctx, n.segment())
		if err != nil {
			return nil, fmt.Errorf("Open %+v: %w", n, err)
		}
		b, err := io.ReadAll(r)
		return b, errors.Join(err, r.Close())
	})
}

func openCheck(t testing.TB, open func(testing.TB) sluice.Segments) error {
	segs := open(t)
	all, err := withMedia(t, segs)
	if err != nil {
		return err
	}
	for _, s := range all {
		b, err := body(t.Context(), segs, nameOf(s))
		if err != nil {
			return err
		}
		if int64(len(b)) != s.Size {
			return fmt.Errorf("segment %+v has %d bytes, and %d by its Size", nameOf(s), len(b), s.Size)
		}
	}
	return nil
}

func existCheck(t testing.TB, open func(testing.TB) sluice.Segments) error {
	segs := open(t)
	all, err := withMedia(t, segs)
	if err != nil {
		return err
	}
	there := nameOf(all[0])
	for _, n := range []name{
		{there.id + 1000, there.era, there.maker, there.number},
		{there.id, there.era + 1000, there.maker, there.number},
		{there.id, there.era, there.maker + 1000, there.number},
		{there.id, there.era, there.maker, there.number + 1_000_000},
	} {
		if _, err := body(t.Context(), segs, n); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("Open of %+v, which is not there, returns %v, not fs.ErrNotExist", n, err)
		}
	}
	return nil
}

func seekCheck(t testing.TB, open func(testing.TB) sluice.Segments) error {
	segs := open(t)
	all, err := withMedia(t, segs)
	if err != nil {
		return err
	}
	whole, err := body(t.Context(), segs, nameOf(all[0]))
	if err != nil {
		return err
	}
	r, err := segs.Open(t.Context(), nameOf(all[0]).segment())
	if err != nil {
		return err
	}
	defer r.Close()
	size := int64(len(whole))
	for _, c := range []struct {
		offset int64
		whence int
		want   int64
	}{
		{size / 2, io.SeekStart, size / 2}, {-size, io.SeekEnd, 0}, {-1, io.SeekEnd, size - 1},
		{0, io.SeekEnd, size}, {0, io.SeekStart, 0}, {1, io.SeekCurrent, 1},
	} {
		pos, err := r.Seek(c.offset, c.whence)
		if err != nil || pos != c.want {
			return fmt.Errorf("Seek(%d, %d) is %d, %v; want %d", c.offset, c.whence, pos, err, c.want)
		}
		rest, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(rest, whole[c.want:]) {
			return fmt.Errorf("after Seek(%d, %d): %d bytes that are not the last %d of the segment (%v)", c.offset, c.whence, len(rest), size-c.want, err)
		}
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("Seek back: %w", err)
		}
	}
	return nil
}

// independentCheck reads a segment with two readers in turns, and closes one.
func independentCheck(t testing.TB, open func(testing.TB) sluice.Segments) error {
	segs := open(t)
	all, err := withMedia(t, segs)
	if err != nil {
		return err
	}
	n := nameOf(all[0])
	whole, err := body(t.Context(), segs, n)
	if err != nil {
		return err
	}
	first, err := segs.Open(t.Context(), n.segment())
	if err != nil {
		return err
	}
	defer first.Close()
	second, err := segs.Open(t.Context(), n.segment())
	if err != nil {
		return err
	}
	half := make([]byte, len(whole)/2)
	for _, r := range []io.Reader{first, second} {
		if _, err := io.ReadFull(r, half); err != nil || !bytes.HasPrefix(whole, half) {
			return fmt.Errorf("two readers at once: not the first half (%v)", err)
		}
	}
	if err := second.Close(); err != nil {
		return fmt.Errorf("Close: %w", err)
	}
	rest, err := io.ReadAll(first)
	if err != nil || !bytes.Equal(rest, whole[len(half):]) {
		return fmt.Errorf("after another reader was closed: not the second half (%v)", err)
	}
	return nil
}

func concurrentCheck(t testing.TB, open func(testing.TB) sluice.Segments) error {
	segs := open(t)
	want, err := withMedia(t, segs)
	if err != nil {
		return err
	}
	bodies := make([][]byte, len(want))
	for i, s := range want {
		if bodies[i], err = body(t.Context(), segs, nameOf(s)); err != nil {
			return err
		}
	}
	errs := make([]error, 8)
	var readers sync.WaitGroup
	for g := range errs {
		readers.Go(func() {
			for i := range want {
				i = (i + g) % len(want)
				b, err := body(t.Context(), segs, nameOf(want[i]))
				if err == nil && !bytes.Equal(b, bodies[i]) {
					err = fmt.Errorf("segment %+v has other bytes when several read", nameOf(want[i]))
				}
				if _, lerr := list(t.Context(), segs, longAgo, farOff); err == nil {
					err = lerr
				}
				if err != nil {
					errs[g] = err
					return
				}
			}
		})
	}
	readers.Wait()
	return errors.Join(errs...)
}
