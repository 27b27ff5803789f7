//go:build linux

package ingest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/rtmp"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

const benchPeers = 50

// BenchmarkPush compares the processor time of pushing one stream of 5 Mbit/s
// to 50 RTMP targets with that of playing it to 50 RTMP players, and with 50
// Targets that are sinks of their own. The peers are in another process.
//
//	go test -run '^$' -bench Push -benchtime 10s ./ingest
func BenchmarkPush(b *testing.B) {
	b.Run("players", func(b *testing.B) { benchmarkPush(b, benchPlayers) })
	b.Run("targets", func(b *testing.B) {
		benchmarkPush(b, func(b *testing.B, s *sluice.Stream) func() uint64 { return benchTargets(b, s, true) })
	})
	b.Run("sinks", func(b *testing.B) {
		benchmarkPush(b, func(b *testing.B, s *sluice.Stream) func() uint64 { return benchTargets(b, s, false) })
	})
}

// benchmarkPush writes the stream; one iteration is one picture and its sound.
func benchmarkPush(b *testing.B, start func(*testing.B, *sluice.Stream) func() uint64) {
	stream := &sluice.Stream{}
	video, audio := sluicetest.Video(1), sluicetest.Audio(2)
	n, began := int64(0), time.Now()
	write := func() {
		for _, t := range []*sluice.Track{video, audio} {
			dts := t.Ticks(began) + n*int64(t.Timescale)/25
			p := sluice.Packet{Track: t, DTS: dts, PTS: dts, Dur: int64(t.Timescale) / 25, Key: true, Data: make([]byte, 300)}
			if t.Kind == sluice.Video {
				p.Key, p.Data = n%50 == 0, make([]byte, 25_000)
			}
			require.NoError(b, stream.Write(b.Context(), p))
		}
		n++
	}
	write()
	sent := start(b, stream)
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for range 25 { // the ramp does not count
		<-tick.C
		write()
	}
	before, cpu := sent(), processorTime()
	b.ResetTimer()
	for b.Loop() {
		<-tick.C
		write()
	}
	gbit := float64(sent()-before) * 8 / 1e9
	b.ReportMetric((processorTime()-cpu).Seconds()/gbit, "cpu-s/Gbit")
	b.ReportMetric(gbit*1e9/8/float64(b.N)/benchPeers, "B/peer/op")
	stream.End(nil)
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchPlayers(b *testing.B, stream *sluice.Stream) func() uint64 {
	s := &Server{
		RTMP:      "127.0.0.1:0",
		Broadcast: func(context.Context, *Broadcast) error { return nil },
		Play:      func(context.Context, *Request) (*sluice.Stream, error) { return stream, nil },
	}
	require.NoError(b, s.Listen())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-done })
	startPeers(b, "play rtmp://"+s.RTMPAddr().String()+"/play/demo")
	eventually(b, "all play", func() bool { return s.PlayStats().Players == benchPeers })
	return func() uint64 { return s.PlayStats().Bytes }
}

func benchTargets(b *testing.B, stream *sluice.Stream, shared bool) func() uint64 {
	addr := strings.TrimSpace(startPeers(b, "listen"))
	set := &Targets{Max: benchPeers}
	var targets []*Target
	var attached []*sluice.Attachment
	for i := range benchPeers {
		t := Push("rtmp://" + addr + "/live/key")
		t.Name = fmt.Sprint(i)
		targets = append(targets, t)
		if shared {
			require.NoError(b, set.Add(t))
		} else {
			attached = append(attached, stream.Attach(context.Background(), t.Name, t, sluice.AttachConfig{}))
		}
	}
	if shared {
		attached = append(attached, stream.Attach(context.Background(), "push", set, sluice.AttachConfig{}))
	}
	b.Cleanup(func() {
		for _, a := range attached {
			a.Detach()
		}
	})
	eventually(b, "all are live", func() bool {
		for _, t := range targets {
			if t.Stats().State != TargetLive {
				return false
			}
		}
		return true
	})
	return func() (sum uint64) {
		for _, t := range targets {
			sum += t.Stats().Bytes
		}
		return sum
	}
}

// startPeers runs TestPeers in another process and returns its first line.
func startPeers(b *testing.B, spec string) string {
	cmd := exec.Command(os.Args[0], "-test.run=^TestPeers$")
	cmd.Env = append(os.Environ(), "INGEST_PEERS="+spec)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(b, err)
	return line
}

// TestPeers is the benchmark's other process: players, or a server that takes
// publishers. They read and discard.
func TestPeers(t *testing.T) {
	spec := os.Getenv("INGEST_PEERS")
	if spec == "" {
		t.Skip("part of BenchmarkPush")
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	discard := func(src sluice.Source) {
		for {
			if _, err := src.ReadPacket(context.Background()); err != nil {
				return
			}
		}
	}
	if url, ok := strings.CutPrefix(spec, "play "); ok {
		fmt.Println("playing")
		for range benchPeers {
			c, err := rtmp.Dial(t.Context(), url, rtmp.Config{})
			require.NoError(t, err)
			p, err := c.Play(t.Context())
			require.NoError(t, err)
			wg.Go(func() { discard(p) })
		}
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	fmt.Println(l.Addr())
	for {
		nc, err := l.Accept()
		require.NoError(t, err)
		wg.Go(func() {
			c, err := rtmp.Accept(context.Background(), nc, rtmp.Config{})
			if err != nil {
				return
			}
			if p, err := c.Publish(context.Background()); err == nil {
				discard(p)
			}
		})
	}
}
