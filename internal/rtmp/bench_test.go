//go:build linux

package rtmp

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkFanout plays a stream of 5 Mbit/s and 25 fps to 500 players in a
// process of their own, and counts this process's processor time. Twenty of the
// players measure the delay: each frame carries the time at which it was
// written into the stream.
//
//	go test -run '^$' -bench Fanout -benchtime 10s ./internal/rtmp
func BenchmarkFanout(b *testing.B) {
	for _, players := range []int{1, 50, 500} {
		b.Run(strconv.Itoa(players), func(b *testing.B) { benchmarkFanout(b, players) })
	}
}

const benchFrame = 25_000 // bytes: 5 Mbit/s at 25 fps

func benchmarkFanout(b *testing.B, players int) {
	s := newSite(b, FanoutConfig{})
	g := &generator{video: testVideo(b, 1280), audio: testAudio(b), began: time.Now(), gop: 50, size: benchFrame}
	write := func() {
		p := g.frame()
		binary.BigEndian.PutUint64(p.Data[9:], uint64(time.Now().UnixNano()))
		s.write(b, p)
		s.write(b, g.sound())
	}
	write()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("RTMP_PLAYERS=%s %d", s.addr, players))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	for s.fan.Stats().Players < players {
		time.Sleep(10 * time.Millisecond)
	}
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for range 25 { // the ramp does not count
		<-tick.C
		write()
	}
	before, cpu := s.fan.Stats(), processorTime()
	b.ResetTimer()
	started := time.Now()
	for b.Loop() {
		// One iteration is one frame.
		<-tick.C
		write()
	}
	elapsed := time.Since(started)
	b.StopTimer()
	after, cpu2 := s.fan.Stats(), processorTime()
	s.stream.End(nil)
	gbit := float64(after.Bytes-before.Bytes) * 8 / 1e9
	b.ReportMetric((cpu2-cpu).Seconds()/gbit, "cpu-s/Gbit")
	b.ReportMetric(gbit/elapsed.Seconds(), "Gbit/s")
	b.ReportMetric(float64(after.Dropped), "dropped")
	b.ReportMetric(float64(after.Congested-before.Congested), "congested")
	r := bufio.NewScanner(out)
	for r.Scan() {
		f := strings.Fields(r.Text())
		if len(f) == 2 {
			v, _ := strconv.ParseFloat(f[1], 64)
			b.ReportMetric(v, f[0])
		}
	}
	require.NoError(b, cmd.Wait())
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
