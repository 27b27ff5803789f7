package transcode

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

// livelike is a short stream with picture and sound, that keeps what comes in
// as H.264 and AAC.
func livelike(t testing.TB, seconds int) []sluice.Packet {
	return clip(t, fmt.Sprintf("-f lavfi -i testsrc2=s=160x90:r=25 -f lavfi -i sine=r=48000 -video_track_timescale 90000 "+
		"-c:v libx264 -preset ultrafast -bf 2 -g 25 -c:a aac -t %d", seconds))
}

var tiny = []Rendition{{Height: 60, Bitrate: 100_000}, {Height: 40, Bitrate: 50_000, FPS: 12.5}}

func TestIsolatedConforms(t *testing.T) {
	in := livelike(t, 2)
	i := Isolated{Ladder: Ladder{Renditions: tiny, MaxDelay: -1}}
	sluicetest.Transform(t, func(testing.TB) sluice.Transform { return i }, in...)
}

// A child makes the same as a ladder in this process.
func TestIsolatedSameAsInProcess(t *testing.T) {
	in := livelike(t, 3)
	l := Ladder{Renditions: tiny, MaxDelay: -1}
	want := run(t, l, in)
	src, err := Isolated{Ladder: l, Nice: 5, Memory: 1 << 30}.Transform(t.Context(), &sluicetest.Slice{Packets: in})
	require.NoError(t, err)
	defer src.Close()
	got, err := drainAll(t, src)
	require.NoError(t, err)
	for _, id := range []uint32{1, 2, 101, 102, 202} {
		w, g := sluicetest.Of(id, want), sluicetest.Of(id, got)
		require.NotEmpty(t, w, id)
		require.Len(t, g, len(w), "track %d", id)
		for k := range w {
			w[k].Track, g[k].Track = nil, nil
			require.Equal(t, w[k], g[k], "track %d", id)
		}
	}
}

func drainAll(t testing.TB, src sluice.Source) (all []sluice.Packet, err error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		p, err := src.ReadPacket(ctx)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, p)
	}
}

// children returns the processes that this one started and that run.
func children(t testing.TB) (pids []int) {
	dirs, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, path := range dirs {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(f) < 2 || f[1] != strconv.Itoa(os.Getpid()) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// syncBuilder is a log that goroutines share.
type syncBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuilder) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuilder) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// watched reads a transform's result, and measures how late the tracks are that
// go along.
type watched struct {
	all    []sluice.Packet
	latest time.Duration
}

// watch sends packets at their own pace, and calls at with the media time that
// has gone by since the first.
func watch(t testing.TB, tr sluice.Transform, in []sluice.Packet, at func(time.Duration)) (w watched) {
	src := &paced{Slice: &sluicetest.Slice{Packets: in}, speed: 1}
	out, err := tr.Transform(t.Context(), src)
	require.NoError(t, err)
	defer out.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		p, err := out.ReadPacket(ctx)
		if err == io.EOF {
			return w
		}
		require.NoError(t, err)
		w.all = append(w.all, p)
		if p.Track.ID < 100 {
			gone := p.Track.Time(p.DTS).Sub(src.first)
			w.latest = max(w.latest, time.Since(src.began)-gone)
			at(gone)
		}
	}
}

// requireWhole holds renditions to their source: every segment is there, begins
// with a key frame where the source's does, nothing is doubled or missing, and
// it decodes.
func requireWhole(t *testing.T, in, out []sluice.Packet) {
	t.Helper()
	require.Equal(t, media(1, in), media(1, out), "the source goes along untouched")
	for _, id := range []uint32{101, 102} {
		r := media(id, out)
		require.Equal(t, cuts(media(1, in)), cuts(r), "track %d", id)
		var segment uint64
		for i, p := range r {
			if i > 0 {
				require.Greater(t, p.DTS, r[i-1].DTS, "track %d", id)
				require.False(t, p.Discont, "track %d", id)
				require.Equal(t, r[0].Track.Maker, p.Track.Maker, "track %d", id)
			}
			require.True(t, p.Segment == segment || p.Key, "segment %d of track %d begins with a key frame", p.Segment, id)
			segment = p.Segment
		}
		require.Len(t, decodeVideo(t, r), len(r), "track %d", id)
	}
	require.ElementsMatch(t, times(media(1, in)), times(media(101, out)), "every picture is there")
	sound := media(202, out)
	for i, p := range sound {
		if i > 0 {
			require.Equal(t, sound[i-1].DTS+sound[i-1].Dur, p.DTS, "sound goes on sample for sample")
		}
	}
	require.Equal(t, numbers(sluicetest.Of(2, in)), numbers(sluicetest.Of(202, out)))
}

func times(packets []sluice.Packet) (all []int64) {
	for _, p := range packets {
		all = append(all, p.PTS-testStart*int64(p.Track.Timescale))
	}
	return all
}

func TestKilledAndStopped(t *testing.T) {
	in := livelike(t, 6)
	for _, c := range []struct {
		name   string
		signal syscall.Signal
		stall  time.Duration
	}{{"kill -9", syscall.SIGKILL, 5 * time.Second}, {"kill -STOP", syscall.SIGSTOP, 1500 * time.Millisecond}} {
		t.Run(c.name, func(t *testing.T) {
			var log syncBuilder
			m := new(Monitor)
			i := Isolated{Stall: c.stall, Ladder: Ladder{Name: "demo", Renditions: tiny, Monitor: m, Log: slog.New(slog.NewTextHandler(&log, nil))}}
			var hit bool
			registry := prometheus.NewPedanticRegistry()
			registry.MustRegister(m.Collector())
			var counted string
			var stats Stats
			w := watch(t, i, in, func(gone time.Duration) {
				if all := m.Stats(); len(all) > 0 {
					stats = all[0]
				}
				if gone > 5700*time.Millisecond && counted == "" {
					families, err := registry.Gather()
					require.NoError(t, err)
					counted = fmt.Sprint(families)
				}
				if gone < 2700*time.Millisecond || hit {
					return
				}
				hit = true
				for _, pid := range children(t) {
					require.NoError(t, syscall.Kill(pid, c.signal))
				}
			})
			require.True(t, hit)
			requireWhole(t, in, w.all)
			assert.Less(t, w.latest, 500*time.Millisecond, "the source is never late")
			assert.NotZero(t, stats.Restarts)
			assert.Zero(t, stats.Missed)
			assert.Contains(t, counted, "sluice_transcode_worker_restarts_total")
			assert.Equal(t, 1, strings.Count(log.String(), "transcoding worker failed and is started again"), log.String())
		})
	}
}

// A worker that fails at once, whatever is done, costs the renditions alone.
func TestCrashesAtOnce(t *testing.T) {
	t.Parallel()
	in := livelike(t, 3)
	var log syncBuilder
	i := Isolated{Command: []string{"false"}, Ladder: Ladder{Renditions: tiny, Log: slog.New(slog.NewTextHandler(&log, nil))}}
	w := watch(t, i, in, func(time.Duration) {})
	require.Equal(t, media(1, in), media(1, w.all))
	require.Equal(t, media(2, in), media(2, w.all))
	assert.Less(t, w.latest, 500*time.Millisecond)
	n := strings.Count(log.String(), "is started again")
	assert.Greater(t, n, 3)
	assert.Less(t, n, 12, "with backoff")
	assert.Contains(t, log.String(), "exit status 1")
}

// Descriptors and processes do not pile up over restarts, and each goes on where
// the last was killed.
func TestRestartsLeaveNothing(t *testing.T) {
	in := livelike(t, 4)
	before := descriptors(t)
	m := new(Monitor)
	i := Isolated{Ladder: Ladder{Renditions: tiny, Monitor: m}}
	var most int
	var stats Stats
	next := 600 * time.Millisecond
	w := watch(t, i, in, func(gone time.Duration) {
		if all := m.Stats(); len(all) > 0 {
			stats = all[0]
		}
		most = max(most, descriptors(t))
		if gone < next {
			return
		}
		next = gone + 250*time.Millisecond
		for _, pid := range children(t) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	requireWhole(t, in, w.all)
	assert.Greater(t, stats.Restarts, uint64(2))
	assert.LessOrEqual(t, most, before+20, "while one worker runs and the next is started")
	assert.Less(t, w.latest, 500*time.Millisecond)
	assert.Eventually(t, func() bool { return descriptors(t) <= before+1 }, 3*time.Second, 10*time.Millisecond)
	assert.Empty(t, children(t))

	for range 10 { // closed while it starts, and in the middle
		src, err := i.Transform(t.Context(), &sluicetest.Slice{Packets: in, Block: true})
		require.NoError(t, err)
		for range 3 {
			_, err = src.ReadPacket(t.Context())
			require.NoError(t, err)
		}
		require.NoError(t, src.Close())
	}
	assert.LessOrEqual(t, descriptors(t), before+1)
	assert.Empty(t, children(t))
}

func descriptors(t testing.TB) int {
	all, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(all)
}

// Workers that do not begin at all cost nothing but time; those that begin and
// make nothing of the same media, thrice, are given the newest instead, and what
// is passed over is marked and counted.
func TestFailuresAndPoison(t *testing.T) {
	t.Parallel()
	in := livelike(t, 6)
	exe, err := os.Executable()
	require.NoError(t, err)
	for name, fails := range map[string]string{
		"do not begin": "exit 1",
		"make nothing": `(sleep 0.6; kill -9 $$) & exec "$0" 4>/dev/null`,
	} {
		var log syncBuilder
		m := new(Monitor)
		script := `echo x >>"$1"; if [ $(wc -l <"$1") -le 4 ]; then ` + fails + `; fi; exec "$0"`
		i := Isolated{Command: []string{"sh", "-c", script, exe, filepath.Join(t.TempDir(), "count")},
			Ladder: Ladder{Renditions: tiny, Monitor: m, Log: slog.New(slog.NewTextHandler(&log, nil))}}
		var stats Stats
		w := watch(t, i, in, func(time.Duration) {
			if all := m.Stats(); len(all) > 0 {
				stats = all[0]
			}
		})
		require.Equal(t, media(1, in), media(1, w.all), name)
		assert.Equal(t, uint64(4), stats.Restarts, log.String())
		if name == "do not begin" {
			requireWhole(t, in, w.all)
			assert.Zero(t, stats.Missed)
			continue
		}
		of := media(101, w.all)
		require.NotEmpty(t, of, log.String())
		assert.NotZero(t, stats.Missed)
		assert.Less(t, len(of), len(media(1, in)))
		assert.True(t, of[0].Key)
		for k, p := range of[1:] {
			require.LessOrEqual(t, p.Segment, of[k].Segment+1)
		}
	}
}

// A worker dies with its parent.
func TestWorkerDiesWithParent(t *testing.T) {
	if os.Getenv("SLUICE_TEST_PARENT") != "" {
		src, err := Isolated{Ladder: Ladder{Renditions: tiny}}.Transform(t.Context(), &sluicetest.Slice{Block: true})
		require.NoError(t, err)
		defer src.Close()
		for len(children(t)) == 0 {
			time.Sleep(time.Millisecond)
		}
		fmt.Printf("child %d\n", children(t)[0])
		time.Sleep(time.Minute)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestWorkerDiesWithParent$")
	cmd.Env = append(os.Environ(), "SLUICE_TEST_PARENT=1")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var pid int
	_, err = fmt.Fscanf(out, "child %d\n", &pid)
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	assert.Eventually(t, func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || bytes.Contains(b, []byte(") Z "))
	}, 5*time.Second, 10*time.Millisecond)
}

// A worker that takes more memory than it may is ended, and the log says why.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	in := livelike(t, 2)
	var log syncBuilder
	i := Isolated{Memory: 8 << 20, Ladder: Ladder{Renditions: tiny, Log: slog.New(slog.NewTextHandler(&log, nil))}}
	w := watch(t, i, in, func(time.Duration) {})
	require.Equal(t, media(1, in), media(1, w.all))
	assert.Contains(t, log.String(), "transcode: worker takes")
}

// Whatever a stream does to its worker, this process stays, and so does the
// source. SLUICE_SOAK=10m goes on with other damage for so long.
func TestMutatedStreams(t *testing.T) {
	t.Parallel()
	soak, _ := time.ParseDuration(os.Getenv("SLUICE_SOAK"))
	began := time.Now()
	for seed := uint64(6); ; seed++ {
		stats := mutated(t, seed)
		if seed == 6 { // of which it is known that some can be decoded
			assert.NotZero(t, stats.Damaged+stats.Lost, "the child's figures come back")
			assert.NotZero(t, stats.Renditions[0].Frames)
		}
		if t.Failed() || time.Since(began) >= soak {
			t.Logf("%d damaged streams", seed-5)
			return
		}
	}
}

func mutated(t *testing.T, seed uint64) (stats Stats) {
	in := livelike(t, 4)
	r := rand.New(rand.NewPCG(5, seed))
	for i, p := range in {
		if p.Data == nil || r.IntN(2) > 0 {
			continue
		}
		b := bytes.Clone(p.Data)
		for range 1 + r.IntN(20) {
			b[r.IntN(len(b))] ^= byte(1 + r.IntN(255))
		}
		in[i].Data = b[:1+r.IntN(len(b))]
	}
	var log syncBuilder
	m := new(Monitor)
	l := Ladder{Name: "demo", Renditions: tiny, Monitor: m, Log: slog.New(slog.NewTextHandler(&log, nil))}
	w := watch(t, Isolated{Ladder: l}, in, func(time.Duration) {
		if all := m.Stats(); len(all) > 0 {
			stats = all[0]
		}
	})
	require.Equal(t, media(1, in), media(1, w.all))
	assert.Contains(t, log.String(), `level=WARN msg="part of the stream cannot be decoded" stream=demo error=`, "the child's log comes back")
	return stats
}

// Overlays that change reach the child, however late it is up: the source goes
// on in step with what the child makes.
func TestIsolatedOverlays(t *testing.T) {
	t.Parallel()
	in := clip(t, "-f lavfi -i color=black:s=160x90:r=25 -video_track_timescale 90000 -c:v libx264 -g 25 -t 8")
	o := new(Overlays)
	src := &stepped{Slice: &sluicetest.Slice{Packets: in}, ahead: make(chan struct{}, 50)}
	out, err := Isolated{Ladder: Ladder{Renditions: tiny[:1], Overlays: o}}.Transform(t.Context(), src)
	require.NoError(t, err)
	defer out.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var made []sluice.Packet
	for {
		p, err := out.ReadPacket(ctx)
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		if p.Track.ID != 101 || p.Data == nil {
			continue
		}
		if made = append(made, p); len(made) == 20 {
			require.NoError(t, o.Set(Overlay{PNG: logoPNG(t), Size: 0.9, Anchor: Center}))
		}
		<-src.ahead
	}
	shows := decodeVideo(t, made)
	bright := func(s shown) (sum int) {
		for _, y := range s.img.Y {
			sum += int(y)
		}
		return sum
	}
	assert.Greater(t, bright(shows[len(shows)-1]), bright(shows[10])*3/2)
}

// stepped is a source that waits while as many packets as ahead holds have been
// read and not been taken from it.
type stepped struct {
	*sluicetest.Slice
	ahead chan struct{}
}

func (s *stepped) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	select {
	case s.ahead <- struct{}{}:
		return s.Slice.ReadPacket(ctx)
	case <-ctx.Done():
		return sluice.Packet{}, ctx.Err()
	}
}

// An encoder that begins to send another size, another codec of sound, in an era
// of its own: the worker is killed before, at, and behind the change.
func TestKilledAtAChange(t *testing.T) {
	first := livelike(t, 3)
	second := clip(t, "-f lavfi -i testsrc2=s=128x72:r=25 -f lavfi -i sine=r=44100 -video_track_timescale 90000 "+
		"-c:v libx264 -preset ultrafast -g 25 -c:a libmp3lame -t 3")
	tracks := map[*sluice.Track]*sluice.Track{}
	for i, p := range second {
		if tracks[p.Track] == nil {
			n := *p.Track
			n.Era++
			tracks[p.Track] = &n
		}
		shift := 4 * int64(p.Track.Timescale)
		second[i].Track, second[i].DTS, second[i].PTS, second[i].Segment = tracks[p.Track], p.DTS+shift, p.PTS+shift, p.Segment+3
	}
	in := append(first, second...)
	l := Ladder{Renditions: tiny}
	at := []time.Duration{2900 * time.Millisecond, 4050 * time.Millisecond, 4600 * time.Millisecond}
	w := watch(t, Isolated{Ladder: l}, in, func(gone time.Duration) {
		if len(at) == 0 || gone < at[0] {
			return
		}
		at = at[1:]
		for _, pid := range children(t) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	require.Empty(t, at)
	l.MaxDelay = -1
	want := run(t, l, in)
	for _, id := range []uint32{1, 2, 101, 102, 202} {
		require.Equal(t, cuts(media(id, want)), cuts(media(id, w.all)), "track %d", id)
		if id < 200 {
			require.Equal(t, times(media(id, want)), times(media(id, w.all)), "track %d", id)
		}
		r := media(id, w.all)
		for k, p := range r[1:] {
			require.True(t, p.Track.Time(p.DTS).After(r[k].Track.Time(r[k].DTS)), "track %d", id)
		}
	}
}
