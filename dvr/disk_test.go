package dvr

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/cmaf"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

// faulty puts a disk in the place of the real one that refuses what do says,
// having written half of it.
func faulty(t *testing.T, do func(path string) error) {
	old := createFile
	t.Cleanup(func() { createFile = old })
	createFile = func(path string) (file, error) {
		if err := do(path); err != nil {
			return nil, err
		}
		f, err := old(path)
		if err != nil {
			return nil, err
		}
		return &faultyFile{f, path, do}, nil
	}
}

type faultyFile struct {
	file
	path string
	do   func(path string) error
}

func (f *faultyFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.do(f.path); err != nil {
		n, _ := f.file.WriteAt(b[:len(b)/2], off)
		return n, err
	}
	return f.file.WriteAt(b, off)
}

// A disk that is full for a while leaves counted gaps; before and after them
// all is there.
func TestDiskFullForAWhile(t *testing.T) {
	for _, c := range []struct{ from, to int }{{0, 30}, {1, 9}, {17, 60}, {40, 41}, {90, 120}} {
		var writes atomic.Int64
		faulty(t, func(string) error {
			if n := int(writes.Add(1)); n > c.from && n <= c.to {
				return &os.PathError{Op: "write", Path: "blob", Err: syscall.ENOSPC}
			}
			return nil
		})
		packets := sluicetest.Packets(40)
		want := packaged(t, packets)
		a := newArchive(t)
		s := a.Stream("demo")
		consume(t, s, packets)
		st := a.Stats()
		require.NotZero(t, st.DiskErrors)
		require.NotZero(t, st.DiskErrorGaps)
		for _, a := range []*Archive{a, reopened(t, a)} {
			s := a.Stream("demo")
			got := archived(t, s)
			for name, b := range got {
				require.Equal(t, want.files[name], b)
			}
			require.Len(t, got, len(want.files)-int(st.DiskErrorGaps), "writes %d to %d fail", c.from, c.to)
			all := listed(t, s, never, always)
			require.Len(t, all, len(want.segs), "the gaps are listed")
			for i, seg := range all {
				w := want.segs[i]
				require.Equal(t, [3]int64{w.Start, w.Dur, int64(w.Number)}, [3]int64{seg.Start, seg.Dur, int64(seg.Number)})
			}
			require.NotEmpty(t, played(t, s, never, always))
		}
	}
}

// A disk that stands still holds nothing up: what does not fit the queue is
// left out and counted.
func TestDiskStandsStill(t *testing.T) {
	stuck := make(chan struct{})
	var once sync.Once
	release := func() { once.Do(func() { close(stuck) }) }
	defer release()
	faulty(t, func(string) error { <-stuck; return nil })
	packets := sluicetest.Packets(60)
	a := newArchive(t)
	a.Queue = 64 << 10
	src := &sluicetest.Slice{Packets: packets, Block: true}
	done := make(chan error, 1)
	go func() { done <- a.Stream("demo").Consume(context.Background(), src) }()
	<-src.Blocked() // all packets were taken while nothing could be written
	require.LessOrEqual(t, a.Stats().Queued, 64<<10)
	require.NotZero(t, a.Stats().SlowDiskGaps)
	release()
	src.End()
	require.NoError(t, <-done)
	want := packaged(t, packets)
	got := archived(t, a.Stream("demo"))
	require.NotEmpty(t, got)
	for name, b := range got {
		require.Equal(t, want.files[name], b)
	}
	require.Len(t, got, len(want.files)-int(a.Stats().SlowDiskGaps))
}

// An archive whose disk is not there is not made anew, and not written to.
func TestDiskNotMounted(t *testing.T) {
	dir := t.TempDir()
	a := &Archive{Dir: dir}
	err := a.Open()
	require.ErrorIs(t, err, ErrNoArchive)
	require.ErrorContains(t, err, "mounted")
	a.Create = true
	require.NoError(t, a.Open())
	require.NoError(t, os.Rename(filepath.Join(dir, identityFile), filepath.Join(dir, "elsewhere")))
	require.ErrorContains(t, a.Stream("demo").Consume(t.Context(), &sluicetest.Slice{}), "unmounted")
	_, err = a.Expire(t.Context(), time.Now())
	require.Error(t, err)
	require.NoError(t, a.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, identityFile), []byte(`{"format":2,"id":"x"}`), 0o600))
	require.ErrorIs(t, a.Open(), ErrFormat)
}

// The clock is set forward and back by an hour: numbers rule.
func TestClockSetForwardAndBack(t *testing.T) {
	base := sluicetest.Packets(3)
	var packets []sluice.Packet
	for i, shift := range []int64{0, 3600, 6, 7200, 12} {
		// The numbers go on, whatever the clock says.
		for _, p := range moved(base, int64(3*i), inEra(uint32(i), 0)) {
			d := (shift - int64(3*i)) * int64(p.Track.Timescale)
			p.DTS, p.PTS = p.DTS+d, p.PTS+d
			packets = append(packets, p)
		}
	}
	a := newArchive(t)
	s := a.Stream("demo")
	consume(t, s, packets)
	s = reopened(t, a).Stream("demo")
	require.Greater(t, len(blobsOf(t, s)), 4)
	all := listed(t, s, never, always)
	require.Len(t, all, 30)
	holesInAll(t, all)
	for _, seg := range all {
		require.NotEmpty(t, body(t, s, seg))
	}
}

func holesInAll(t *testing.T, all []sluice.Segment) {
	for i, s := range all[1:] {
		if p := all[i]; p.Track.ID == s.Track.ID {
			require.Equal(t, p.Number+1, s.Number)
		}
	}
}

// After numbers went back, because nobody knew the old ones, all is found by
// its name.
func TestNumbersWentBack(t *testing.T) {
	a := newArchive(t)
	s := a.Stream("demo")
	consume(t, s, moved(sluicetest.Packets(3), 100_000, inEra(5, 0)))
	consume(t, s, moved(sluicetest.Packets(3), 0, inEra(1, 0)))
	s = reopened(t, a).Stream("demo")
	all := listed(t, s, never, always)
	require.Len(t, all, 12)
	for _, seg := range all {
		s := reopened(t, a).Stream("demo")
		require.NotEmpty(t, body(t, s, seg))
	}
}

func TestPauseResumeAndSchedule(t *testing.T) {
	a := newArchive(t)
	s := a.Stream("demo")
	require.NoError(t, s.Pause())
	consume(t, s, sluicetest.Packets(3))
	require.Empty(t, listed(t, s, never, always))
	require.NoError(t, s.Resume())
	day := begin.Sub(begin.Truncate(24 * time.Hour))
	a.Policy.Windows = []Window{{day + 2*time.Second, day + 4*time.Second}}
	consume(t, s, sluicetest.Packets(6))
	var numbers []uint64
	for seg, err := range s.ListTrack(t.Context(), 1, never, always) {
		require.NoError(t, err)
		numbers = append(numbers, seg.Number-sluicetest.FirstSegment)
	}
	require.Equal(t, []uint64{2, 3}, numbers)
	night := Policy{Windows: []Window{{23 * time.Hour, time.Hour}}}
	for hour, want := range map[int]bool{0: true, 1: false, 12: false, 22: false, 23: true} {
		require.Equal(t, want, night.records(time.Date(2026, 1, 1, hour, 0, 0, 0, time.UTC)))
	}
}

// hoursOf records one segment of each of so many hours.
func hoursOf(t testing.TB, s *Stream, n int) {
	var all []sluice.Packet
	for h := range n {
		for _, p := range moved(sluicetest.Packets(1), int64(h)*3600, inEra(uint32(h), 0)) {
			p.Segment = sluicetest.FirstSegment + uint64(h)
			all = append(all, p)
		}
	}
	consume(t, s, all)
}

func TestExpire(t *testing.T) {
	a := newArchive(t)
	s := a.Stream("demo")
	hoursOf(t, s, 30)
	require.Len(t, blobsOf(t, s), 60)
	other := filepath.Join(s.trackDir(1), "2026", "note.txt")
	require.NoError(t, os.WriteFile(other, []byte("mine"), 0o600))
	hour := begin.Truncate(time.Hour)
	episode, err := s.Keep(Recording{Title: "Episode", From: begin.Add(2 * time.Hour), To: begin.Add(2*time.Hour + time.Second)})
	require.NoError(t, err)

	a.Policy.Age = 20 * time.Hour
	n, err := a.Expire(t.Context(), hour.Add(30*time.Hour))
	require.NoError(t, err)
	require.NotZero(t, n)
	require.Len(t, blobsOf(t, s), 2*21, "twenty hours and the episode's")
	require.FileExists(t, other)

	a.Policy = Policy{Bytes: 400_000}
	_, err = a.Expire(t.Context(), hour)
	require.NoError(t, err)
	size := int64(0)
	for _, path := range blobsOf(t, s) {
		size += diskSize(path)
	}
	require.LessOrEqual(t, size, int64(400_000))
	require.Greater(t, size, int64(300_000))
	require.NotEmpty(t, listed(t, s, episode.From, episode.To), "protected")

	damaged := filepath.Join(s.dir, recordingsDir, "x.json")
	require.NoError(t, os.WriteFile(damaged, []byte("{"), 0o600))
	a.Policy = Policy{Age: time.Nanosecond}
	before := len(blobsOf(t, s))
	_, err = a.Expire(t.Context(), hour.Add(1000*time.Hour))
	require.NoError(t, err)
	require.Len(t, blobsOf(t, s), before, "nothing goes while it is not known what is protected")
	require.NoError(t, os.Remove(damaged))
	require.NoError(t, s.Release(episode.ID))
	_, err = a.Expire(t.Context(), hour.Add(1000*time.Hour))
	require.NoError(t, err)
	require.Empty(t, blobsOf(t, s))
	require.FileExists(t, other)
}

// A full disk takes the oldest hours of all streams, whoever's they are.
func TestExpireByDiskShareIsFair(t *testing.T) {
	a := newArchive(t)
	hoursOf(t, a.Stream("long"), 20)
	consume(t, a.Stream("short"), moved(sluicetest.Packets(1), 19*3600, nil))
	old := diskUsed
	t.Cleanup(func() { diskUsed = old })
	diskUsed = func(string) (float64, error) {
		return float64(len(blobsOf(t, a.Stream("long")))+len(blobsOf(t, a.Stream("short")))) / 100, nil
	}
	a.DiskShare = 0.1
	_, err := a.Expire(t.Context(), time.Now())
	require.NoError(t, err)
	require.Len(t, blobsOf(t, a.Stream("long")), 8)
	require.Len(t, blobsOf(t, a.Stream("short")), 2)
}

func TestRecordings(t *testing.T) {
	a := newArchive(t)
	a.Policy.Keep = true
	s := a.Stream("demo")
	boom := errors.New("boom")
	packets := sluicetest.Packets(3)
	require.ErrorIs(t, s.Consume(t.Context(), &sluicetest.Slice{Packets: packets, Err: boom}), boom)
	all, err := s.Recordings(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.True(t, all[0].Live)
	require.NoError(t, s.Rename(all[0].ID, "My show"))

	consume(t, s, moved(sluicetest.Packets(3), 60, inEra(1, 0))) // the same broadcast, a moment later
	all, err = s.Recordings(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.False(t, all[0].Live)
	require.Equal(t, "My show", all[0].Title)
	require.Equal(t, begin, all[0].From)
	require.WithinDuration(t, begin.Add(63*time.Second), all[0].To, 100*time.Millisecond)

	consume(t, s, moved(sluicetest.Packets(1), 7200, inEra(2, 0)))
	all, err = s.Recordings(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.NoError(t, s.Release(all[0].ID))
	require.ErrorIs(t, s.Release(all[0].ID), os.ErrNotExist)
	for _, bad := range []string{"", "..", "../x", "A"} {
		_, err := s.FindRecording(bad)
		require.ErrorIs(t, err, os.ErrNotExist)
	}
	_, err = s.Keep(Recording{From: begin, To: begin})
	require.Error(t, err)
	from, to, err := s.Span()
	require.NoError(t, err)
	require.Equal(t, begin, from)
	require.WithinDuration(t, begin.Add(7201*time.Second), to, 100*time.Millisecond)
}

func TestErase(t *testing.T) {
	packets := sluicetest.Packets(5)
	want := packaged(t, packets)
	a := newArchive(t)
	s := a.Stream("demo")
	consume(t, s, packets)
	require.NoError(t, s.Erase(t.Context(), begin.Add(1500*time.Millisecond), begin.Add(1600*time.Millisecond)))
	blobs := blobsOf(t, s)
	for i, a := range []*Archive{a, reopened(t, a), reopened(t, a)} {
		s := a.Stream("demo")
		if i == 2 { // from the blob alone
			for _, b := range blobs {
				require.NoError(t, os.Remove(b[:len(b)-len(blobExt)]+indexExt))
			}
		}
		gone := 0
		for _, seg := range listed(t, s, never, always) {
			if seg.Gap {
				gone++
				require.EqualValues(t, sluicetest.FirstSegment+1, seg.Number)
				_, err := s.Open(t.Context(), seg)
				require.ErrorIs(t, err, os.ErrNotExist)
				continue
			}
			require.Equal(t, want.files[cmaf.SegmentName(seg).String()], string(body(t, s, seg)))
		}
		require.Equal(t, 2, gone)
		require.Zero(t, a.Stats().Damaged)
	}
}

// A Replay that is paced goes as fast as time does, an hour late.
func TestPaced(t *testing.T) {
	a := newArchive(t)
	consume(t, a.Stream("demo"), sluicetest.Packets(4))
	synctest.Test(t, func(t *testing.T) {
		src, err := a.Stream("demo").Replay(t.Context(), never, always)
		require.NoError(t, err)
		paced, err := Paced{}.Transform(t.Context(), src)
		require.NoError(t, err)
		defer paced.Close()
		start := time.Now()
		for n := 0; ; n++ {
			p, err := paced.ReadPacket(t.Context())
			if err != nil {
				break
			}
			require.WithinDuration(t, start.Add(p.Track.Time(p.DTS).Sub(begin)), time.Now(), time.Millisecond)
		}
		require.Greater(t, time.Since(start), 3900*time.Millisecond)
	})
}

func TestMetrics(t *testing.T) {
	a := newArchive(t)
	consume(t, a.Stream("demo"), sluicetest.Packets(3))
	st := a.Stats()
	require.NotZero(t, st.Bytes)
	require.EqualValues(t, 6, st.Segments)
}
