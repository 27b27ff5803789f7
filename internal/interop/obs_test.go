package interop

import (
	"cmp"
	"embed"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/testmedia"
)

// obsConfig is a home directory in which OBS asks nothing: no first-run wizard,
// one profile, one scene with a colour, a text, and a running clock with sound.
//
//go:embed testdata/obs
var obsConfig embed.FS

type obs struct {
	cmd     *exec.Cmd
	log     *output
	display string
}

// obsOptions are how OBS is set up: what a person would enter as custom server
// and stream key, and the picture's size.
type obsOptions struct {
	server, key   string
	width, height int    // 640 by 360 if 0
	trust         string // directory to be OBS's /etc/ssl/certs; "": the system's own
}

// startOBS starts OBS on a screen of its own, drawn in software; it streams by
// itself.
func startOBS(t *testing.T, c obsOptions) *obs {
	t.Helper()
	program, display := testmedia.Need(t, "obs"), startXvfb(t)
	home := t.TempDir()
	place := strings.NewReplacer("@SERVER@", c.server, "@KEY@", c.key,
		"@WIDTH@", strconv.Itoa(cmp.Or(c.width, 640)), "@HEIGHT@", strconv.Itoa(cmp.Or(c.height, 360)))
	const root = "testdata/obs"
	for from, to := range map[string]string{
		"global.ini": "global.ini", "basic.ini": "basic/profiles/sluice/basic.ini",
		"service.json": "basic/profiles/sluice/service.json", "scenes.json": "basic/scenes/sluice.json",
	} {
		text, err := obsConfig.ReadFile(root + "/" + from)
		require.NoError(t, err)
		to = filepath.Join(home, ".config", "obs-studio", to)
		require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o700))
		require.NoError(t, os.WriteFile(to, []byte(place.Replace(string(text))), 0o600))
	}
	o := &obs{log: &output{}, display: display}
	command := []string{
		program, "--startstreaming", "--multi", "--collection", "sluice",
		"--profile", "sluice", "--scene", "Scene", "--disable-updater", "--disable-missing-files-check",
	}
	if c.trust != "" {
		command = append([]string{testmedia.Need(t, "unshare"), "-m", "sh", "-c", `mount --bind "$0" /etc/ssl/certs && exec "$@"`, c.trust}, command...)
	}
	o.cmd = exec.Command(command[0], command[1:]...)
	o.cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home+"/.config", "XDG_RUNTIME_DIR="+home,
		"DISPLAY="+display, "QT_QPA_PLATFORM=xcb", "LIBGL_ALWAYS_SOFTWARE=1",
		// Nobody listens there: OBS is not to look for updates of its plugins.
		"http_proxy=http://127.0.0.1:9", "https_proxy=http://127.0.0.1:9")
	o.cmd.Stdout, o.cmd.Stderr = o.log, o.log
	require.NoError(t, o.cmd.Start())
	t.Cleanup(func() {
		if t.Failed() {
			screenshot(t, display)
			t.Log(last(o.log.String()))
		}
		o.end()
	})
	return o
}

// end kills OBS, which may be dead already.
func (o *obs) end() {
	_ = o.cmd.Process.Kill()
	_ = o.cmd.Wait()
}

// stop presses the hotkey that the profile gives to "stop streaming"; OBS sees
// keys that are down for some of its 25 ms ticks.
func (o *obs) stop(t *testing.T) {
	press := exec.Command(testmedia.Need(t, "xdotool"), "keydown", "F9", "sleep", "0.5", "keyup", "F9")
	press.Env = append(os.Environ(), "DISPLAY="+o.display)
	out, err := press.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Eventually(t, func() bool {
		return strings.Contains(o.log.String(), "==== Streaming Stop")
	}, 30*time.Second, 100*time.Millisecond, "OBS stops streaming")
}

// startXvfb starts an X server on a display that it chooses itself.
func startXvfb(t *testing.T) string {
	t.Helper()
	log := &output{}
	cmd := exec.Command(testmedia.Need(t, "Xvfb"), "-displayfd", "1", "-screen", "0", "1280x720x24", "-nolisten", "tcp")
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have died
		_ = cmd.Wait()
	})
	number := regexp.MustCompile(`(?m)^(\d+)$`)
	require.Eventually(t, func() bool { return number.MatchString(log.String()) }, 30*time.Second, 50*time.Millisecond, "Xvfb: %s", log)
	return ":" + number.FindString(log.String())
}

// screenshot keeps a picture of the screen for whoever looks into a failure.
func screenshot(t *testing.T, display string) {
	path := filepath.Join(os.TempDir(), "sluice-obs.png")
	out, err := exec.Command(testmedia.Need(t, "ffmpeg"), "-v", "error", "-f", "x11grab", "-video_size", "1280x720",
		"-i", display, "-frames:v", "1", "-y", path).CombinedOutput()
	t.Logf("screen: %s %s %v", path, out, err)
}
