package testmedia

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Need returns the path of a program that the test runs, by the first of its
// names that is installed. If none is, the test is skipped; with CI=true in
// the environment it fails.
func Need(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const advice = "%s is not installed: make setup installs what the tests need"
	if os.Getenv("CI") == "true" {
		t.Fatalf(advice, strings.Join(names, " or "))
	}
	t.Skipf(advice, strings.Join(names, " or "))
	return ""
}

// Publish starts an ffmpeg that sends the clip to an RTMP URL at its own pace,
// in a loop and without encoding it again. args are further output options. It
// is killed at the end of the test, or of ctx; what it complained of is logged
// if the test failed. A test that wants it gone earlier kills or signals its
// Process and calls Wait.
func Publish(ctx context.Context, t testing.TB, clip, url string, args ...string) *exec.Cmd {
	t.Helper()
	all := []string{"-re", "-stream_loop", "-1", "-i", clip, "-c", "copy"}
	all = append(append(all, args...), "-f", "flv", url)
	return Start(ctx, t, Need(t, "ffmpeg"), append([]string{"-nostdin", "-hide_banner", "-loglevel", "warning"}, all...)...)
}

// Start runs a client in the background and kills it at the end of the test,
// or of ctx. Its output is kept (the last of it) and logged if the test failed.
func Start(ctx context.Context, t testing.TB, program string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(ctx, program, args...)
	var output tail
	cmd.Stdout, cmd.Stderr = &output, &output
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself,
		_ = cmd.Wait()         // and the test may have waited for it
		if t.Failed() {
			t.Logf("%s\n%s", cmd, output.String())
		}
	})
	return cmd
}

// tail keeps the last few kilobytes written to it.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const tailSize = 16 << 10

func (o *tail) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if over := o.buf.Len() + len(p) - tailSize; over > 0 {
		o.buf.Next(over)
	}
	return o.buf.Write(p)
}

func (o *tail) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
