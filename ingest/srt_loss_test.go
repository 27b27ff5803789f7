package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/mpegts"
	"github.com/sluice-live/sluice/internal/testmedia"
)

// TestSRTOverALossyPath has ffmpeg publish over paths that lose, delay and
// reorder, with a latency of eight round trips, and srt-live-transmit play what
// comes of it over the same path. Neither may miss anything. SLUICE_SRT_LOSS is
// how long each lasts.
func TestSRTOverALossyPath(t *testing.T) {
	if os.Getenv("SLUICE_INTEROP") == "" {
		t.Skip("takes long: make interop runs it")
	}
	length := 10 * time.Minute
	if v := os.Getenv("SLUICE_SRT_LOSS"); v != "" {
		var err error
		length, err = time.ParseDuration(v)
		require.NoError(t, err)
	}
	clip := testmedia.Clip(t, testmedia.Spec{Audio: "aac", VideoKbps: 1800})
	for _, rtt := range []time.Duration{40, 100, 250, 400} {
		rtt *= time.Millisecond
		for _, loss := range []float64{0.02, 0.05} {
			t.Run(fmt.Sprintf("%v/%v%%", rtt, loss*100), func(t *testing.T) {
				t.Parallel()
				lossyPath(t, clip, rtt, loss, length)
			})
		}
	}
}

func lossyPath(t *testing.T, clip string, rtt time.Duration, loss float64, length time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), length+2*time.Minute)
	defer cancel()
	r := serveSRT(t)
	relay := testmedia.NewRelay(t, r.SRTAddr(), testmedia.Path{Delay: rtt/2 - rtt/20, Jitter: rtt / 10, Loss: loss})
	through := func(streamID string, latency time.Duration) string {
		u := r.srtURL(streamID, "", "latency="+strconv.FormatInt(int64(latency), 10))
		return strings.Replace(u, r.SRTAddr().String(), relay.Addr(), 1)
	}
	testmedia.Start(ctx, t, testmedia.Need(t, "ffmpeg"), "-nostdin", "-loglevel", "warning", "-re", "-stream_loop", "-1",
		"-i", clip, "-c", "copy", "-f", "mpegts", through("publish:open", 8*rtt/time.Microsecond))
	var stream *sluice.Stream
	select {
	case stream = <-r.streams:
	case <-ctx.Done():
		t.Fatal("nobody published")
	}
	played := make(chan uint64, 1)
	go func() {
		played <- playThrough(ctx, t, through("read:open", 8*rtt/time.Millisecond), length-10*time.Second)
	}()
	missing := gaps(ctx, t, stream, int(length.Seconds()*30))
	st := r.SRTStats()
	require.NotEmpty(t, st)
	lost := <-played
	t.Logf("%d gaps, the player missed %d transport packets; the machine stood still for %v at most; publisher %+v",
		missing, lost, relay.Stall(), st[0].SRTStats)
	if relay.Stall() > rtt && missing+int(lost) > 0 {
		t.Skipf("something is missing, but the machine is too busy to tell: it stood still for %v", relay.Stall())
	}
	assert.Zero(t, missing)
	assert.Zero(t, st[0].Missing)
	assert.Equal(t, 8*rtt, st[0].Latency)
	assert.Positive(t, st[0].Lost)
	assert.Zero(t, lost)
}

// gaps reads a stream until it has had n frames of video and returns how often
// some are missing.
func gaps(ctx context.Context, t *testing.T, stream *sluice.Stream, n int) (missing int) {
	t.Helper()
	sub := stream.Subscribe(sluice.Subscription{})
	defer sub.Close()
	ends := make(map[uint32]int64)
	for video := 0; video < n; {
		p, err := sub.ReadPacket(ctx)
		require.NoError(t, err)
		if p.Data == nil {
			continue
		}
		if end, ok := ends[p.Track.ID]; ok && p.DTS-end > p.Dur/2 || p.Discont {
			missing++
		}
		ends[p.Track.ID] = p.DTS + p.Dur
		if p.Track.Kind == sluice.Video {
			video++
		}
	}
	return missing
}

// playThrough plays for some time and returns how many transport packets are
// missing.
func playThrough(ctx context.Context, t *testing.T, url string, length time.Duration) uint64 {
	out, in, err := os.Pipe()
	if !assert.NoError(t, err) {
		return 0
	}
	defer out.Close()
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	cmd := exec.CommandContext(ctx, testmedia.Need(t, "srt-live-transmit"), "-q", url, "file://con")
	cmd.Stdout = in
	err = cmd.Start()
	in.Close()
	if !assert.NoError(t, err) {
		return 0
	}
	defer func() { _ = cmd.Wait() }() // it is killed
	src := mpegts.NewReader(out, mpegts.Config{})
	defer src.Close()
	video := 0
	for {
		p, err := src.ReadPacket(ctx)
		if err != nil {
			break
		}
		if p.Track.Kind == sluice.Video && p.Data != nil {
			video++
		}
	}
	assert.Greater(t, video, int((length-10*time.Second).Seconds()*30)*9/10, "frames that the player got")
	return src.Stats().Lost
}

// TestSRTGapsAreSaid loses more than the latency makes good: the gaps are in
// the figures, in the metrics, on the packets and in the log.
func TestSRTGapsAreSaid(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	clip := testmedia.Clip(t, testmedia.Spec{Audio: "aac"})
	var log syncBuffer
	r := serve(t, &Server{SRT: "127.0.0.1:0", Log: slog.New(slog.NewTextHandler(&log, nil))})
	relay := testmedia.NewRelay(t, r.SRTAddr(), testmedia.Path{Delay: 40 * time.Millisecond, Loss: 0.1})
	address := strings.Replace(r.srtURL("publish:demo", "", "latency=120000"), r.SRTAddr().String(), relay.Addr(), 1)
	publisher := testmedia.Start(ctx, t, testmedia.Need(t, "ffmpeg"), "-nostdin", "-loglevel", "warning", "-re", "-stream_loop", "-1",
		"-i", clip, "-c", "copy", "-f", "mpegts", address)
	var stream *sluice.Stream
	select {
	case stream = <-r.streams:
	case <-ctx.Done():
		t.Fatal("nobody published")
	}
	sub := stream.Subscribe(sluice.Subscription{})
	defer sub.Close()
	for {
		p, err := sub.ReadPacket(ctx)
		require.NoError(t, err)
		if p.Discont && p.Data != nil {
			break
		}
	}
	require.Eventually(t, func() bool {
		st := r.SRTStats()
		return len(st) == 1 && st[0].Missing > 0 && st[0].Lost > 0
	}, 20*time.Second, 10*time.Millisecond)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(r.Collector())
	families, err := registry.Gather()
	require.NoError(t, err)
	found := false
	for _, f := range families {
		if f.GetName() == "sluice_ingest_srt_missing_packets_total" {
			found = true
			assert.Positive(t, f.GetMetric()[0].GetCounter().GetValue())
		}
	}
	assert.True(t, found)
	require.NoError(t, publisher.Process.Kill())
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "SRT publisher's stream had gaps") }, 20*time.Second, 10*time.Millisecond)
	assert.Contains(t, log.String(), "missing=")
}

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
