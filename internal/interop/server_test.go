package interop

import (
	"bufio"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/hlstest"
	"github.com/sluice-live/sluice/internal/testmedia"
)

// server is a running bin/ugc.
type server struct{ http, rtmp, rtmps, srt string } // host:port

var (
	rtmpAt  = regexp.MustCompile(`rtmp://(127\.0\.0\.1:\d+)/live`)
	rtmpsAt = regexp.MustCompile(`rtmps://YOUR\.HOST:(\d+)/live`)
	srtAt   = regexp.MustCompile(`srt://(127\.0\.0\.1:\d+)\?streamid=publish:`)
	watchAt = regexp.MustCompile(`http://(127\.0\.0\.1:\d+)/@`)
)

// start runs the platform on free ports, which it prints, and stops it with
// SIGTERM, on which it must end by itself.
func start(t *testing.T, flags ...string) *server {
	t.Helper()
	if os.Getenv("SLUICE_INTEROP") == "" {
		t.Skip("tests with real clients: make interop runs them")
	}
	program, err := filepath.Abs("../../bin/ugc")
	require.NoError(t, err)
	require.FileExists(t, program, "make build makes it")
	cmd := exec.Command(program, append([]string{"--http", "127.0.0.1:0", "--rtmp", "127.0.0.1:0", "--srt", "127.0.0.1:0", "--rtc", "127.0.0.1:0", "--data", t.TempDir(), "--open"}, flags...)...)
	log := &output{}
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		err := cmd.Wait()
		if t.Failed() {
			t.Logf("%s", log)
		}
		require.NoError(t, err, "%s", log)
	})
	s := &server{}
	lines := bufio.NewScanner(stdout)
	for s.http == "" { // which it says last
		require.True(t, lines.Scan(), "the platform ended before it said where it is: %s", log)
		for at, address := range map[*regexp.Regexp]*string{rtmpAt: &s.rtmp, rtmpsAt: &s.rtmps, srtAt: &s.srt, watchAt: &s.http} {
			if m := at.FindStringSubmatch(lines.Text()); m != nil {
				*address = m[1]
			}
		}
	}
	if s.rtmps != "" {
		s.rtmps = "127.0.0.1:" + s.rtmps
	}
	return s
}

func (s *server) publish(name string) string { return "rtmp://" + s.rtmp + "/live/" + name }

func (s *server) hls(name string) string { return "http://" + s.http + "/live/" + name + "/index.m3u8" }

func (s *server) play(name string) string { return "rtmp://" + s.rtmp + "/play/" + name }

// live waits until a stream's playlist lists both a picture and sound.
func (s *server) live(t *testing.T, name string) {
	t.Helper()
	require.Eventually(t, func() bool {
		resp, err := http.Get(s.hls(name))
		if err != nil {
			return false
		}
		defer func() { _ = resp.Body.Close() }()
		var b strings.Builder
		if _, err := bufio.NewReader(resp.Body).WriteTo(&b); err != nil {
			return false
		}
		return strings.Contains(b.String(), "mp4a") && strings.Contains(b.String(), "RESOLUTION=")
	}, time.Minute, 200*time.Millisecond, "stream %s is live, with picture and sound", name)
}

// check is what every publisher's stream must pass: the conformance walk, and
// a decoder that finds nothing to say about it.
func (s *server) check(t *testing.T, name string) {
	t.Helper()
	s.live(t, name)
	report, err := hlstest.Walk(t.Context(), http.DefaultClient, s.hls(name), hlstest.Options{For: 30 * time.Second, Slack: 3 * time.Second})
	require.NoError(t, err)
	t.Log(report)
	require.True(t, report.OK(), "the conformance walk found violations")
	for _, url := range []string{s.hls(name), s.play(name)} {
		decode(t, url)
	}
}

// run runs a program to its end and returns what it wrote.
func run(t *testing.T, limit time.Duration, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	out, err := exec.CommandContext(ctx, testmedia.Need(t, program), args...).CombinedOutput()
	require.NoError(t, err, "%s %q: %s", program, args, last(string(out)))
	return string(out)
}

// last is the end of a long text.
func last(s string) string { return s[max(0, len(s)-4000):] }
