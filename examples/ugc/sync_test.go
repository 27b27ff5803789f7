package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/testmedia"
)

// flashAndBeep makes a clip in which, once a second and at the same moment, the
// picture turns white and a tone begins, each for a fifth of a second.
func flashAndBeep(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "flash.flv")
	out, err := exec.Command(testmedia.Need(t, "ffmpeg"), "-v", "error",
		"-f", "lavfi", "-i", "color=black:s=640x360:r=30:d=60,format=yuv420p,drawbox=c=white:t=fill:enable='lt(mod(t,1),0.2)'",
		"-f", "lavfi", "-i", "aevalsrc='0.7*sin(2*PI*1000*t)*lt(mod(t,1),0.2)':s=48000:d=60",
		"-c:v", "libx264", "-preset", "ultrafast", "-g", "60", "-c:a", "aac", "-b:a", "128k", "-f", "flv", path).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// TestSoundAndPictureStayTogether measures, in what viewers get, how far the
// flash and the beep are apart: in the source that is passed on, in a rendition
// that was made of it, and with the sound that was.
func TestSoundAndPictureStayTogether(t *testing.T) {
	s := startWith(t, config{Ladder: true, Renditions: "240"})
	testmedia.Publish(t.Context(), t, flashAndBeep(t), s.rtmp("/live/demo"))
	s.live(t, "demo")
	pictures, sounds := s.mediaPlaylists(t, "demo")
	require.Len(t, pictures, 2, "the source and 240p")
	require.Len(t, sounds, 2, "AAC and Opus")
	time.Sleep(8 * time.Second) // so that there is something to read at once
	beeps := map[string][]float64{}
	for _, url := range sounds {
		beeps[url] = onsets(t, url, "0:a", "-af",
			"asetnsamples=48:p=0,astats=metadata=1:reset=1,ametadata=print:key=lavfi.astats.Overall.RMS_level:file=-", -30)
	}
	for _, picture := range pictures {
		flashes := onsets(t, picture, "0:v", "-vf", "signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-", 128)
		for sound, beeps := range beeps {
			apart := meanDistance(t, flashes, beeps)
			t.Logf("%s and %s: the beep comes %.1f ms after the flash", picture, sound, apart*1000)
			assert.InDelta(t, 0, apart, 0.020, "seconds apart")
		}
	}
}

// onsets returns the times, in seconds since the epoch, at which a level that
// ffmpeg prints goes above a threshold.
func onsets(t *testing.T, url, stream, kind, filter string, threshold float64) (times []float64) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	frames := map[string]string{"0:v": "210", "0:a": "7000"}[stream] // seven seconds
	cmd := exec.CommandContext(ctx, testmedia.Need(t, "ffmpeg"), "-v", "error", "-copyts", "-live_start_index", "0", "-i", url, "-map", stream, kind, filter,
		"-frames", frames, "-f", "null", "-")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	at, above := 0.0, true
	position := regexp.MustCompile(`pts:(\d+)`)
	scale := map[string]float64{"0:v": 90000, "0:a": 48000}[stream]
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if m := position.FindStringSubmatch(lines.Text()); m != nil {
			ticks, err := strconv.ParseFloat(m[1], 64)
			require.NoError(t, err)
			at = ticks / scale
			continue
		}
		_, value, ok := strings.Cut(lines.Text(), "=")
		level, err := strconv.ParseFloat(value, 64)
		if !ok || err != nil {
			continue // silence is "-inf", which parses; nothing else does not
		}
		if level > threshold && !above {
			times = append(times, at)
		}
		above = level > threshold
	}
	require.NoError(t, cmd.Wait())
	require.Greater(t, len(times), 3, "onsets in %s", url)
	return times
}

// meanDistance is how much later than the first the second times are, each
// matched with the nearest.
func meanDistance(t *testing.T, first, second []float64) float64 {
	sum, n := 0.0, 0
	for _, a := range first {
		for _, b := range second {
			if d := b - a; d > -0.5 && d < 0.5 {
				sum, n = sum+d, n+1
			}
		}
	}
	require.Greater(t, n, 2, "flashes with a beep")
	return sum / float64(n)
}

var audioURI = regexp.MustCompile(`(?m)^#EXT-X-MEDIA:TYPE=AUDIO.*URI="([^"]+)"`)

// mediaPlaylists returns the addresses of a stream's playlists.
func (s *server) mediaPlaylists(t *testing.T, name string) (pictures, sounds []string) {
	base := s.url("/live/" + name + "/")
	resp, err := http.Get(base + "index.m3u8")
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	seen := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' && !seen[line] {
			seen[line] = true
			pictures = append(pictures, base+line)
		}
	}
	for _, m := range audioURI.FindAllStringSubmatch(string(text), -1) {
		sounds = append(sounds, base+m[1])
	}
	return pictures, sounds
}
