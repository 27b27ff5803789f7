package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/examples/ugc/browser"
	"github.com/sluice-live/sluice/internal/testmedia"
)

// TestTwoMachines has ingest and origin here and the transcoder on another
// machine, a network namespace, and cuts the link between them for three
// seconds: nothing is lost, and the player stalls once at most.
func TestTwoMachines(t *testing.T) {
	if !thorough {
		t.Skip("it needs root and a network namespace: make interop runs it")
	}
	other := newMachine(t)
	other.start(t, "--open", "--roles", "transcode", "--m4s-token", "between-servers", "--http", other.addr, "--data", t.TempDir(),
		"--renditions", "480,240")
	s := startWith(t, config{Transcoder: "http://" + other.addr, M4S: "between-servers"})
	testmedia.Publish(t.Context(), t, testmedia.Clip(t, source720), s.rtmp("/live/demo"))
	s.live(t, "demo")
	require.Eventually(t, func() bool {
		pictures, _ := s.mediaPlaylists(t, "demo")
		return len(pictures) == 3
	}, 30*time.Second, 500*time.Millisecond, "the source and what the other machine makes")
	watched := browser.Start(t, s.url("/@demo"), browser.Options{
		Observe: 25 * time.Second, Quality: []browser.Change{{After: 0, Value: "240p"}},
	})
	time.Sleep(10 * time.Second)
	other.link(t, "down")
	time.Sleep(3 * time.Second)
	other.link(t, "up")
	r := watched()
	t.Log(r.Summary())
	assert.LessOrEqual(t, r.Stalls, 1)
	last := r.Samples[len(r.Samples)-1]
	assert.Equal(t, 240, last.Height)
	before := r.Samples[len(r.Samples)-1-int(5*time.Second/browser.Interval)]
	assert.Greater(t, last.CurrentTime-before.CurrentTime, 3.0, "the player goes on")
	s.complete(t, "demo", 3)
}

// machine is a network namespace, joined to this one by a pair of interfaces.
type machine struct {
	name string
	near string // interface on this side
	addr string // host:port
}

func newMachine(t *testing.T) *machine {
	m := &machine{name: "sluice-test", near: "sluice0", addr: "10.77.0.2:8080"}
	run := func(command string) {
		t.Helper()
		words := strings.Fields(command)
		out, err := exec.Command(testmedia.Need(t, words[0]), words[1:]...).CombinedOutput()
		require.NoError(t, err, "%s: %s", command, out)
	}
	run("ip netns add " + m.name)
	t.Cleanup(func() { run("ip netns del " + m.name) }) // and with it both interfaces
	run("ip link add " + m.near + " type veth peer name sluice1 netns " + m.name)
	run("ip addr add 10.77.0.1/24 dev " + m.near)
	run("ip link set " + m.near + " up")
	run("ip -n " + m.name + " addr add 10.77.0.2/24 dev sluice1")
	run("ip -n " + m.name + " link set sluice1 up")
	run("ip -n " + m.name + " link set lo up")
	return m
}

// start runs the platform there.
func (m *machine) start(t *testing.T, flags ...string) {
	program, err := filepath.Abs("../../bin/ugc")
	require.NoError(t, err)
	require.FileExists(t, program, "make build makes it")
	testmedia.Start(t.Context(), t, testmedia.Need(t, "ip"), append([]string{"netns", "exec", m.name, program}, flags...)...)
}

func (m *machine) link(t *testing.T, state string) {
	out, err := exec.Command("ip", "link", "set", m.near, state).CombinedOutput()
	require.NoError(t, err, "%s", out)
}
