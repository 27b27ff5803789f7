package dvr

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

func cpu(who int) time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(who, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRecord writes 200 streams of 5 Mbit/s, 20 s of each, as fast as it
// goes, and lets cat write as much: processor time by GB.
func BenchmarkRecord(b *testing.B) {
	const streams, seconds = 200, 20
	v := *sluicetest.Video(1)
	v.SegmentDur = 4 * time.Second
	frame := make([]byte, 25_000)
	var packets []sluice.Packet
	for i := range int64(seconds * 25) {
		dts := sluicetest.FirstSegment*90000 + i*3600
		p := sluice.Packet{Track: &v, DTS: dts, PTS: dts, Dur: 3600, Segment: uint64(1000 + i/100), Key: i%100 == 0}
		if i == 0 {
			packets = append(packets, p)
		}
		p.Data = frame
		packets = append(packets, p)
	}
	for b.Loop() {
		a := &Archive{Dir: b.TempDir(), Create: true}
		require.NoError(b, a.Open())
		at, start := cpu(syscall.RUSAGE_SELF), time.Now()
		var all sync.WaitGroup
		room := make(chan struct{}, 4) // as many at a time as keep the disk busy; a real stream waits for time
		for i := range streams {
			all.Go(func() {
				room <- struct{}{}
				defer func() { <-room }()
				if err := a.Stream(fmt.Sprint(i)).Consume(context.Background(), &patient{Slice: sluicetest.Slice{Packets: packets}, a: a}); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
		st := a.Stats()
		gb := float64(st.Bytes) / 1e9
		own, took := cpu(syscall.RUSAGE_SELF)-at, time.Since(start)
		require.NoError(b, a.Close())

		from := filepath.Join(a.Dir, "all")
		src, err := filepath.Glob(filepath.Join(a.Dir, "streams", "*", "1", "*", "*", "*", "*.blob"))
		require.NoError(b, err)
		at, start = cpu(syscall.RUSAGE_CHILDREN), time.Now()
		cmd := exec.Command("sh", append([]string{"-c", `out=$1; shift; cat "$@" > "$out"; sync "$out"`, "sh", from}, src...)...)
		require.NoError(b, cmd.Run())
		cat, catTook := cpu(syscall.RUSAGE_CHILDREN)-at, time.Since(start)
		b.ReportMetric(own.Seconds()/gb, "cpu-s/GB")
		b.ReportMetric(cat.Seconds()/gb, "cat-cpu-s/GB")
		b.ReportMetric(own.Seconds()/cat.Seconds(), "cpu/cat")
		b.ReportMetric(gb/took.Seconds(), "GB/s")
		b.ReportMetric(gb/catTook.Seconds(), "cat-GB/s")
		b.ReportMetric(float64(st.SlowDiskGaps), "gaps")
		os.RemoveAll(a.Dir)
	}
}

// patient waits while the queue is half full, as real streams wait for time.
type patient struct {
	sluicetest.Slice
	a *Archive
}

func (p *patient) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	for p.a.Stats().Queued > defaultQueue/2 {
		time.Sleep(100 * time.Microsecond)
	}
	return p.Slice.ReadPacket(ctx)
}

// lay makes an archive of so many days of a stream: sparse blobs of 4 s segments.
func lay(tb testing.TB, a *Archive, days int) (s *Stream, first time.Time) {
	s = a.Stream(fmt.Sprintf("days-%d", days))
	first = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, t := range []*sluice.Track{sluicetest.Video(1), sluicetest.Audio(2)} {
		c := *t
		c.SegmentDur = 4 * time.Second
		for h := range days * 24 {
			hour := first.Add(time.Duration(h) * time.Hour)
			n := blobName{day: folderOf(s.trackDir(c.ID), hour), hour: hour, first: uint64(hour.Unix() / 4)}
			head := blobHead{id: blobID(newID()), track: c.ID, hour: hour.Unix(), first: n.first}
			require.NoError(tb, os.MkdirAll(n.day, 0o750))
			begin := head.append(head.append(nil))
			body, err := trackBody(0, &c)
			require.NoError(tb, err)
			idx := head.id.appendRecord(head.append(nil), kindTrack, body)
			e := entry{off: int64(len(begin))}
			for i := range int64(900) {
				e = entry{number: n.first + uint64(i), start: (hour.Unix() + 4*i) * int64(c.Timescale), dur: 4 * int64(c.Timescale), off: e.end(), size: 2_500_000, crc: 0x12345678, flags: flagIndependent}
				idx = head.id.appendRecord(idx, kindSegment, e.body())
			}
			require.NoError(tb, os.WriteFile(n.path(), begin, 0o600))
			require.NoError(tb, os.Truncate(n.path(), e.end()))
			b := blob{name: n}
			require.NoError(tb, os.WriteFile(b.indexPath(), idx, 0o600))
		}
	}
	return s, first
}

// BenchmarkWindow lists 4 hours somewhere in an archive of 30 days, and in one
// of 300, none of them in memory, and opens a segment by its name alone.
func BenchmarkWindow(b *testing.B) {
	a := &Archive{Dir: b.TempDir(), Create: true, NoVerify: true}
	require.NoError(b, a.Open())
	defer a.Close()
	for _, days := range []int{30, 300} {
		s, first := lay(b, a, days)
		n := 0
		cold := func() {
			require.NoError(b, a.Close())
			require.NoError(b, a.Open())
			n++
		}
		at := func() time.Time { return first.Add(time.Duration(n*7919%(days*24-5))*time.Hour + 17*time.Minute) }
		b.Run(fmt.Sprintf("list4h/days=%d", days), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				cold()
				b.StartTimer()
				count := 0
				for _, err := range s.ListTrack(b.Context(), 1, at(), at().Add(4*time.Hour)) {
					if err != nil {
						b.Fatal(err)
					}
					count++
				}
				if count != 3600 && count != 3601 {
					b.Fatal(count)
				}
			}
		})
		b.Run(fmt.Sprintf("seek/days=%d", days), func(b *testing.B) {
			var one [1]byte
			for b.Loop() {
				b.StopTimer()
				cold()
				b.StartTimer()
				r, err := s.Open(b.Context(), sluice.Segment{Track: &sluice.Track{ID: 1}, Number: uint64(at().Unix() / 4)})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(r, one[:]); err != nil {
					b.Fatal(err)
				}
				r.Close()
			}
		})
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, a.Close())
			require.NoError(b, a.Open())
		}
	})
}

// BenchmarkHeld is what a stream that is being recorded holds in memory.
func BenchmarkHeld(b *testing.B) {
	const streams = 200
	for b.Loop() {
		a := &Archive{Dir: b.TempDir(), Create: true, NoSync: true}
		require.NoError(b, a.Open())
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var all sync.WaitGroup
		var sources []*sluicetest.Slice
		packets := sluicetest.Packets(600) // as many segments as 40 minutes have
		for i := range streams {
			src := &sluicetest.Slice{Packets: packets, Block: true}
			sources = append(sources, src)
			all.Go(func() { _ = a.Stream(fmt.Sprint(i)).Consume(context.Background(), src) })
		}
		for _, src := range sources {
			<-src.Blocked()
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/streams, "B/stream")
		for _, src := range sources {
			src.End()
		}
		all.Wait()
		require.NoError(b, a.Close())
	}
}
