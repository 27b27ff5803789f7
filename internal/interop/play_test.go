package interop

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/testmedia"
)

// clip is longer than any test takes: where ffmpeg begins it again, it leaves
// a hole.
var clip = testmedia.Spec{Width: 320, Height: 180, VideoKbps: 300, Audio: "aac", BFrames: 2, Seconds: 300}

// TestPlayers has every player play one stream over HLS and over RTMP.
func TestPlayers(t *testing.T) {
	s := start(t)
	testmedia.Publish(t.Context(), t, testmedia.Clip(t, clip), s.publish("demo"))
	s.live(t, "demo")
	players := map[string]func(*testing.T, string){
		"ffprobe": probe, "ffmpeg": decode, "mpv": mpv, "gstreamer": gstreamer, "vlc": vlc,
	}
	for name, play := range players {
		t.Run(name, func(t *testing.T) {
			t.Run("hls", func(t *testing.T) { play(t, s.hls("demo")) })
			t.Run("rtmp", func(t *testing.T) { play(t, s.play("demo")) })
		})
	}
}

// probe counts the packets that ffprobe decodes in five seconds.
func probe(t *testing.T, url string) {
	out := run(t, time.Minute, "ffprobe", "-v", "error", "-count_frames", "-read_intervals", "%+5",
		"-show_entries", "stream=codec_name,nb_read_frames", "-of", "csv=p=0", url)
	for _, codec := range []string{"h264", "aac"} {
		m := regexp.MustCompile(codec + `,(\d+)`).FindStringSubmatch(out)
		require.NotNil(t, m, out)
		assert.GreaterOrEqual(t, number(t, m[1]), 100, "%s frames: %s", codec, out)
	}
}

// decode has ffmpeg decode six seconds and say nothing but how many frames.
func decode(t *testing.T, url string) {
	out := run(t, time.Minute, "ffmpeg", "-nostdin", "-v", "warning", "-progress", "pipe:1", "-i", url, "-t", "6", "-f", "null", "-")
	frames := ""
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, "=")
		switch {
		case key == "frame":
			frames = value
		case strings.Contains(line, "Found duplicated MOOV Atom"), strings.Contains(line, "Last message repeated"):
			// It says so of every live playlist with EXT-X-MAP, its own too.
		case line == "", ok && regexp.MustCompile(`^[a-z_0-9]+$`).MatchString(key), strings.Contains(line, "Skip ('#EXT-X-"):
			// The rest of the progress report; tags of LL-HLS, which it does not know.
		default:
			t.Errorf("ffmpeg of %s says: %s", url, line)
		}
	}
	assert.GreaterOrEqual(t, number(t, frames), 120, "frames of %s", url)
}

// mpv plays four seconds without a screen and prints the frame it is at.
func mpv(t *testing.T, url string) {
	out := run(t, time.Minute, "mpv", "--no-config", "--vo=null", "--ao=null", "--frames=120",
		"--msg-level=all=error,statusline=status", "--term-status-msg=frame ${estimated-frame-number} sound ${audio-pts}", url)
	seen := regexp.MustCompile(`frame (\d+) sound ([\d.:]+)`).FindAllStringSubmatch(out, -1)
	require.NotEmpty(t, seen, last(out))
	assert.GreaterOrEqual(t, number(t, seen[len(seen)-1][1]), 100, last(out))
	assert.NotEqual(t, seen[0][2], seen[len(seen)-1][2], "sound goes on")
	assert.NotContains(t, strings.ToLower(out), "error", last(out))
}

// gstreamer plays until both sinks had their frames, in time.
func gstreamer(t *testing.T, url string) {
	const sink = "fakesink sync=true num-buffers=120"
	args := []string{"-q", "playbin3", "uri=" + url, "video-sink=" + sink, "audio-sink=" + sink}
	if strings.HasPrefix(url, "rtmp:") {
		args = strings.Fields("-q rtmp2src location=" + url + " ! flvdemux name=d " +
			"d.video ! queue ! h264parse ! avdec_h264 ! " + sink + " d.audio ! queue ! aacparse ! avdec_aac ! " + sink)
	}
	// It ends by itself, without an error, only when both have had them.
	out := run(t, time.Minute, "gst-launch-1.0", args...)
	assert.NotContains(t, out, "ERROR", out)
	assert.NotContains(t, out, "WARNING", out)
}

// vlc plays until its statistics say that frames are decoded and shown, and
// then more of them. It refuses to run as root.
func vlc(t *testing.T, url string) {
	program, args := testmedia.Need(t, "cvlc"), []string{
		"--intf", "rc", "--rc-fake-tty", "--no-media-library", "--vout=dummy", "--aout=adummy", url,
	}
	home := t.TempDir()
	if os.Geteuid() == 0 {
		program, args = testmedia.Need(t, "runuser"), append([]string{"-u", "nobody", "--", "cvlc"}, args...)
		var err error
		home, err = os.MkdirTemp("", "sluice-vlc") // t.TempDir's parents are root's alone
		require.NoError(t, err)
		t.Cleanup(func() { _ = os.RemoveAll(home) })
		require.NoError(t, exec.Command("chown", "nobody", home).Run())
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_RUNTIME_DIR="+home)
	log := &output{}
	cmd.Stdout, cmd.Stderr = log, log
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	stats := func(name string) int {
		m := regexp.MustCompile(`\| `+name+`\s*:\s*(\d+)`).FindAllStringSubmatch(log.String(), -1)
		if m == nil {
			return 0
		}
		return number(t, m[len(m)-1][1])
	}
	more := func(name string, than int) {
		assert.Eventually(t, func() bool {
			_, err := in.Write([]byte("stats\n"))
			return err == nil && stats(name) > than
		}, time.Minute, time.Second, "%s beyond %d", name, than)
	}
	for _, name := range []string{"video decoded", "frames displayed", "audio decoded"} {
		more(name, 60)
		more(name, stats(name)+60)
	}
	played := log.String()
	_, err = in.Write([]byte("quit\n"))
	assert.NoError(t, err)
	assert.NoError(t, cmd.Wait(), last(log.String()))
	assert.NotContains(t, played, "decode_slice", "the decoder complained")
	assert.NotContains(t, played, "unable to open", "the input failed")
	if t.Failed() {
		t.Log(last(played))
	}
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	require.NoError(t, err)
	return n
}
