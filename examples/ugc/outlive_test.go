package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/ingest"
	"github.com/sluice-live/sluice/internal/rtmp"
	"github.com/sluice-live/sluice/internal/testmedia"
)

// restreamed is a server that a stream is pushed to, and what came.
type restreamed struct {
	addr string

	mu     sync.Mutex
	conns  int
	last   map[uint32]int64
	back   []string
	frames map[int]int // pictures, by their lines
}

// newRestreamed starts one.
func newRestreamed(t *testing.T) *restreamed {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &restreamed{addr: l.Addr().String(), last: make(map[uint32]int64), frames: make(map[int]int)}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { r.serve(ctx, nc) })
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		wg.Wait()
	})
	return r
}

func (r *restreamed) serve(ctx context.Context, nc net.Conn) {
	defer func() { _ = nc.Close() }()
	r.mu.Lock()
	r.conns++
	r.mu.Unlock()
	c, err := rtmp.Accept(ctx, nc, rtmp.Config{})
	if err != nil {
		return
	}
	pub, err := c.Publish(ctx)
	if err != nil {
		return
	}
	defer func() { _ = pub.Close() }()
	for {
		p, err := pub.ReadPacket(ctx)
		if err != nil {
			return
		}
		r.took(p)
	}
}

func (r *restreamed) took(p sluice.Packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := p.Track.ID
	if p.Data == nil {
		return
	}
	if last, ok := r.last[id]; ok && p.DTS <= last {
		r.back = append(r.back, fmt.Sprintf("track %d: %d ms behind %d", id, p.DTS, last))
	}
	r.last[id] = p.DTS
	if p.Track.Kind == sluice.Video {
		r.frames[p.Track.Height]++
	}
}

// pictures returns how many of so many lines came.
func (r *restreamed) pictures(lines int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.frames[lines]
}

// startRecorder starts an nginx that records what is published to it, and
// returns its address and where the recording is.
func startRecorder(t *testing.T) (addr, recording string) {
	nginx := testmedia.Need(t, "nginx", "/usr/sbin/nginx")
	const module = "/usr/lib/nginx/modules/ngx_rtmp_module.so"
	if _, err := os.Stat(module); err != nil {
		testmedia.Need(t, module)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr = l.Addr().String()
	require.NoError(t, l.Close())
	dir, user := t.TempDir(), ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	conf := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, `load_module %[1]s; %[2]s
master_process off; daemon off; pid %[3]s/pid; error_log %[3]s/log warn;
events {}
rtmp { access_log off; server { listen %[4]s; application live { live on; record all; record_path %[3]s; } } }
`, module, user, dir, addr), 0o600))
	testmedia.Start(t.Context(), t, nginx, "-p", dir, "-c", conf)
	return addr, filepath.Join(dir, "demo.flv")
}

// The encoder is killed; after a while another comes, with another picture size.
// What the stream is pushed to sees one connection, with picture, slate, picture
// and time stamps that only rise; the playlist's numbers only rise; all of it is
// one broadcast.
func TestTargetsOutliveTheEncoder(t *testing.T) {
	away := 5 * time.Second
	if thorough {
		away = 20 * time.Second
	}
	nginx, recording := startRecorder(t)
	far := newRestreamed(t)
	red, blue := coloured(t, "red", "640x360", "red.flv"), coloured(t, "blue", "320x180", "blue.flv")
	s := startWith(t, config{
		Slate: coloured(t, "green", "480x270", "slate.mp4"),
		Push:  []string{"demo=rtmp://" + nginx + "/live/demo demo=rtmp://" + far.addr + "/live/demo"},
	})
	first := testmedia.Publish(t.Context(), t, red, s.rtmp("/live/demo"))
	s.live(t, "demo")
	comes := func(lines int) {
		t.Helper()
		require.Eventually(t, func() bool { return far.pictures(lines) > 75 }, time.Minute, 50*time.Millisecond, "pictures of %d lines", lines)
	}
	comes(360)
	numbers := s.followNumbers(t)
	require.NoError(t, first.Process.Kill())
	_ = first.Wait()
	time.Sleep(away)
	comes(270)
	b := s.server.Broadcasts()[0]
	assert.True(t, b.Stats().Slate)
	testmedia.Publish(t.Context(), t, blue, s.rtmp("/live/demo"))
	comes(180)

	assert.GreaterOrEqual(t, numbers(), 2, "discontinuities")
	require.Equal(t, []*ingest.Broadcast{b}, s.server.Broadcasts(), "one broadcast")
	assert.EqualValues(t, 2, b.Stats().Connections)
	all := s.targets.stats("demo")
	require.Len(t, all, 2)
	for _, target := range all {
		assert.Equal(t, ingest.TargetLive, target.State, target.URL)
		assert.EqualValues(t, 1, target.Connects, target.URL)
		assert.Zero(t, target.Failures, target.URL)
		assert.Zero(t, target.Dropped, target.URL)
	}
	require.NoError(t, s.stop())
	far.mu.Lock()
	assert.Equal(t, 1, far.conns)
	assert.Empty(t, far.back, "time stamps that do not rise")
	t.Log(far.frames)
	far.mu.Unlock()
	checkRecording(t, recording, away)
}

// checkRecording decodes what was recorded, picture, slate, picture, and looks
// at its time stamps.
func checkRecording(t *testing.T, path string, away time.Duration) {
	probe := func(entries, stream string) []string {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, testmedia.Need(t, "ffprobe"), "-v", "error", "-select_streams", stream, "-show_entries", entries, "-of", "csv=p=0", path)
		var complaints strings.Builder
		cmd.Stderr = &complaints
		out, err := cmd.Output()
		require.NoError(t, err)
		assert.Empty(t, complaints.String())
		return strings.Fields(string(out))
	}
	for _, stream := range []string{"v", "a"} {
		last, first := int64(-1), int64(-1)
		for _, line := range probe("packet=dts", stream) {
			dts, err := strconv.ParseInt(strings.Trim(line, ","), 10, 64)
			require.NoError(t, err)
			require.Greater(t, dts, last, "time stamps of %s", stream)
			if last = dts; first < 0 {
				first = dts
			}
		}
		assert.Greater(t, last-first, away.Milliseconds(), stream)
	}
	var sizes []string
	for _, line := range probe("frame=height", "v") {
		if line = strings.Trim(line, ","); line != "" && (len(sizes) == 0 || sizes[len(sizes)-1] != line) {
			sizes = append(sizes, line)
		}
	}
	assert.Equal(t, []string{"360", "270", "180"}, sizes, "decoded pictures")
}
