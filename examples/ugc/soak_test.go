package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/testmedia"
)

// TestSoak runs the platform with a ladder for SLUICE_SOAK (20m, say) while the
// encoder comes back every ten seconds, each time with another picture size:
// memory and open files of the server and its worker must not grow.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("SLUICE_SOAK"))
	if err != nil {
		t.Skip("set SLUICE_SOAK=20m")
	}
	program, err := filepath.Abs("../../bin/ugc")
	require.NoError(t, err)
	require.FileExists(t, program, "make build makes it")
	cmd := testmedia.Start(t.Context(), t, program, "--open", "--ladder", "--renditions", "240", "--http", "127.0.0.1:18080",
		"--rtmp", "127.0.0.1:11935", "--srt", "", "--rtc", "127.0.0.1:0", "--data", t.TempDir())
	clips := []string{
		testmedia.Clip(t, testmedia.Spec{Width: 640, Height: 360, VideoKbps: 600, Audio: "aac", Seconds: 20}),
		testmedia.Clip(t, testmedia.Spec{Width: 426, Height: 240, VideoKbps: 400, Audio: "aac", Seconds: 20, BFrames: 2}),
	}
	var samples []usage
	began := time.Now()
	for i := 0; time.Since(began) < length; i++ {
		publisher := testmedia.Publish(t.Context(), t, clips[i%2], "rtmp://127.0.0.1:11935/live/soak")
		for range 10 {
			time.Sleep(time.Second)
			samples = append(samples, usageOf(t, cmd.Process.Pid))
		}
		_ = publisher.Process.Signal(syscall.SIGKILL)
		_ = publisher.Wait()
	}
	quarter := len(samples) / 4
	early, late := median(samples[quarter:2*quarter]), median(samples[3*quarter:])
	t.Logf("after %v to %v: %+v; in the last quarter: %+v", length/4, length/2, early, late)
	assert.Less(t, float64(late.kilobytes), 1.1*float64(early.kilobytes)+4096, "memory grows")
	assert.LessOrEqual(t, late.files, early.files+4, "open files grow")
	assert.LessOrEqual(t, late.processes, 2, "workers are left behind")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
}

// usage is of a process and its children together.
type usage struct{ kilobytes, files, processes int }

func usageOf(t *testing.T, pid int) (u usage) {
	t.Helper()
	out, _ := exec.Command("pgrep", "-P", strconv.Itoa(pid)).Output() // fails where there is none
	for _, one := range append(strings.Fields(string(out)), strconv.Itoa(pid)) {
		status, err := os.ReadFile("/proc/" + one + "/status")
		if err != nil {
			continue // it has just ended
		}
		_, rest, _ := strings.Cut(string(status), "VmRSS:")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		kilobytes, err := strconv.Atoi(fields[0])
		require.NoError(t, err)
		files, err := os.ReadDir("/proc/" + one + "/fd")
		if err != nil {
			continue
		}
		u.kilobytes += kilobytes
		u.files += len(files)
		u.processes++
	}
	return u
}

func median(samples []usage) (m usage) {
	of := func(field func(usage) int) int {
		values := make([]int, 0, len(samples))
		for _, s := range samples {
			values = append(values, field(s))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return usage{of(func(u usage) int { return u.kilobytes }), of(func(u usage) int { return u.files }), of(func(u usage) int { return u.processes })}
}
