package ingest

import (
	"bufio"
	"context"
	"fmt"
	"io"
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
	"github.com/sluice-live/sluice/internal/mpegts"
	"github.com/sluice-live/sluice/internal/rtmp"
	"github.com/sluice-live/sluice/internal/testmedia"
)

// restreamed is a server that we did not write, and the pictures that it got.
type restreamed struct {
	name   string
	target *Target
	start  func(ctx context.Context, seen func(ms int64)) *exec.Cmd

	cmd  *exec.Cmd
	stop context.CancelFunc
	mu   sync.Mutex
	last int64
	n    int   // pictures since it was started
	gap  int64 // the longest, in milliseconds
}

func (r *restreamed) run(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r.stop = cancel
	r.mu.Lock()
	r.n, r.gap = 0, 0
	r.mu.Unlock()
	r.cmd = r.start(ctx, func(ms int64) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.n++; r.n > 1 {
			r.gap = max(r.gap, ms-r.last)
		}
		r.last = ms
	})
}

func (r *restreamed) pictures() (n int, gap int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n, r.gap
}

// kill ends the server as power cuts do.
func (r *restreamed) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
	r.stop()
}

func freeTCPPort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

func startNginx(t *testing.T, port, key string) func(context.Context, func(int64)) *exec.Cmd {
	nginx := testmedia.Need(t, "nginx", "/usr/sbin/nginx")
	const module = "/usr/lib/nginx/modules/ngx_rtmp_module.so"
	if _, err := os.Stat(module); err != nil {
		testmedia.Need(t, module)
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "nginx.conf")
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, `load_module %[1]s; %[2]s
master_process off; daemon off; pid %[3]s/pid; error_log %[3]s/log warn;
events {}
rtmp { access_log off; server { listen 127.0.0.1:%[4]s; application live { live on; } } }
`, module, user, dir, port), 0o600))
	return func(ctx context.Context, seen func(int64)) *exec.Cmd {
		cmd := testmedia.Start(ctx, t, nginx, "-p", dir, "-c", conf)
		done := make(chan struct{})
		t.Cleanup(func() { <-done })
		go func() {
			defer close(done)
			for ctx.Err() == nil { // until somebody publishes
				watchRTMP(ctx, "rtmp://127.0.0.1:"+port+"/live/"+key, seen)
				_ = sleep(ctx, 100*time.Millisecond)
			}
		}()
		return cmd
	}
}

func watchRTMP(ctx context.Context, url string, seen func(int64)) {
	c, err := rtmp.Dial(ctx, url, rtmp.Config{})
	if err != nil {
		return
	}
	defer c.Close()
	pub, err := c.Play(ctx)
	if err != nil {
		return
	}
	defer pub.Close()
	watchSource(ctx, pub, 1, seen)
}

// watchSource tells of the pictures of a source whose clock has so many ticks a
// millisecond.
func watchSource(ctx context.Context, src sluice.Source, scale int64, seen func(int64)) {
	for {
		p, err := src.ReadPacket(ctx)
		if err != nil {
			return
		}
		if p.Data != nil && p.Track.Kind == sluice.Video {
			seen(p.DTS / scale)
		}
	}
}

// startPiped starts a program whose output is read.
func startPiped(t *testing.T, ctx context.Context, read func(io.Reader), name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	done := make(chan struct{})
	go func() {
		defer close(done)
		read(out)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be dead
		<-done
		_ = cmd.Wait()
	})
	return cmd
}

func startFFmpeg(t *testing.T, port string) func(context.Context, func(int64)) *exec.Cmd {
	ffmpeg := testmedia.Need(t, "ffmpeg")
	return func(ctx context.Context, seen func(int64)) *exec.Cmd {
		return startPiped(t, ctx, func(out io.Reader) {
			for lines := bufio.NewScanner(out); lines.Scan(); {
				f := strings.Split(lines.Text(), ",")
				if len(f) < 6 || strings.HasPrefix(f[0], "#") {
					continue
				}
				if ms, err := strconv.ParseInt(strings.TrimSpace(f[1]), 10, 64); err == nil {
					seen(ms)
				}
			}
		}, ffmpeg, "-nostdin", "-v", "error", "-listen", "1", "-f", "flv", "-i", "rtmp://127.0.0.1:"+port+"/live/S3CRETKEY",
			"-map", "0:v", "-c", "copy", "-flush_packets", "1", "-f", "framecrc", "-")
	}
}

func startSRT(t *testing.T, port string) func(context.Context, func(int64)) *exec.Cmd {
	transmit := testmedia.Need(t, "srt-live-transmit")
	return func(ctx context.Context, seen func(int64)) *exec.Cmd {
		return startPiped(t, ctx, func(out io.Reader) {
			r := mpegts.NewReader(out, mpegts.Config{})
			defer r.Close()
			watchSource(context.WithoutCancel(ctx), r, 90, seen)
		}, transmit, "-q", "-chunk:1316", "srt://127.0.0.1:"+port+"?mode=listener&latency=100&passphrase=passpasspass", "file://con")
	}
}

// One publication goes to three servers that we did not write. Each is killed
// and comes back; the others miss no picture. A target comes and goes.
func TestRestream(t *testing.T) {
	clip := testmedia.Clip(t, testmedia.Spec{Audio: "aac", BFrames: 2, Seconds: 90})
	ports := []string{freeTCPPort(t), freePort(t), freePort(t)}
	all := []*restreamed{
		{name: "nginx", target: Push("rtmp://127.0.0.1:" + ports[0] + "/live/S3CRETKEY"), start: startNginx(t, ports[0], "S3CRETKEY")},
		{name: "ffmpeg", target: Push("rtmp://127.0.0.1:" + ports[1] + "/live/S3CRETKEY"), start: startFFmpeg(t, ports[1])},
		{name: "srt", target: Push("srt://127.0.0.1:" + ports[2] + "?streamid=publish:S3CRETKEY&passphrase=passpasspass"), start: startSRT(t, ports[2])},
	}
	set := new(Targets)
	for _, r := range all {
		r.target.Name = r.name
		r.target.Retry, r.target.MaxRetry = 200*time.Millisecond, 500*time.Millisecond
		r.run(t)
		require.NoError(t, set.Add(r.target))
	}
	s := &Server{RTMP: "127.0.0.1:0", Broadcast: func(ctx context.Context, b *Broadcast) error {
		return sluice.Pipeline{Source: b, Sinks: []sluice.Sink{set}}.Run(ctx)
	}}
	require.NoError(t, s.Listen())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() { cancel(); require.NoError(t, <-done) }()
	testmedia.Publish(ctx, t, clip, "rtmp://"+s.RTMPAddr().String()+"/live/demo")

	arrives := func(r *restreamed) {
		t.Helper()
		before, _ := r.pictures()
		eventually(t, r.name+" gets pictures", func() bool {
			n, _ := r.pictures()
			return r.target.Stats().State == TargetLive && n > before+30
		})
	}
	for _, r := range all {
		arrives(r)
	}
	for i, r := range all {
		connects := r.target.Stats().Connects
		r.kill()
		eventually(t, r.name+"'s death is noticed", func() bool { return r.target.Stats().State == TargetRetrying })
		r.run(t)
		arrives(r)
		assert.Greater(t, r.target.Stats().Connects, connects)
		for j, other := range all {
			arrives(other)
			_, gap := other.pictures()
			assert.LessOrEqual(t, gap, int64(34), "%s missed pictures while %s was away", other.name, r.name)
			if j > i {
				assert.EqualValues(t, 1, other.target.Stats().Connects, other.name)
			}
		}
	}
	late := Push("rtmp://127.0.0.1:" + ports[0] + "/live/another")
	late.Name = "late"
	require.NoError(t, set.Add(late))
	eventually(t, "live", is(late, TargetLive))
	assert.True(t, set.Remove("late"))
	for _, r := range all {
		arrives(r)
		_, gap := r.pictures()
		assert.LessOrEqual(t, gap, int64(34), r.name)
		t.Log(r.target.Stats())
	}
}
