package mp4

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/testmedia"
)

func clip(t testing.TB) []byte {
	b, err := os.ReadFile("testdata/clip.mp4")
	require.NoError(t, err)
	return b
}

func TestReadSaysOfAClipWhatFFprobeSays(t *testing.T) {
	packets, err := Read(clip(t))
	require.NoError(t, err)
	assert.Equal(t, 64, packets[0].Track.Width)
	assert.Equal(t, 48, packets[0].Track.Height)
	checkAgainstFFprobe(t, "testdata/clip.mp4", packets)
}

func checkAgainstFFprobe(t *testing.T, file string, packets []sluice.Packet) {
	ffprobe := testmedia.Need(t, "ffprobe")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for kind, stream := range map[sluice.Kind]string{sluice.Video: "v", sluice.Audio: "a"} {
		out, err := exec.CommandContext(ctx, ffprobe, "-v", "error", "-select_streams", stream,
			"-show_entries", "packet=pts,dts,size", "-of", "csv=p=0", file).Output()
		require.NoError(t, err)
		var got strings.Builder
		for _, p := range packets {
			if p.Track.Kind == kind {
				fmt.Fprintf(&got, "%d,%d,%d\n", p.PTS, p.DTS, len(p.Data))
			}
		}
		// ffprobe says which packet's priming is to be skipped.
		assert.Equal(t, strings.ReplaceAll(strings.ReplaceAll(string(out), ",\n", "\n"), "\n\n", "\n"), got.String())
	}
}

// Files with the moov in front and with short lengths of sizes, as other
// programs write them.
func TestReadTakesWhatFFmpegWrites(t *testing.T) {
	ffmpeg := testmedia.Need(t, "ffmpeg")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for name, args := range map[string][]string{
		"moov in front": {"-c", "copy", "-movflags", "faststart"},
		"opus":          {"-c:v", "copy", "-c:a", "libopus"},
		"no sound":      {"-c", "copy", "-an"},
		"delayed":       {"-c", "copy", "-output_ts_offset", "1"},
	} {
		file := t.TempDir() + "/clip.mp4"
		out, err := exec.CommandContext(ctx, ffmpeg, append(append([]string{"-nostdin", "-v", "error", "-i", "testdata/clip.mp4"}, args...), file)...).CombinedOutput()
		require.NoError(t, err, "%s: %s", name, out)
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		packets, err := Read(b)
		require.NoError(t, err, name)
		if name != "no sound" {
			checkAgainstFFprobe(t, file, packets)
		}
	}
}

func TestReadRefusesWhatIsNoWholeFile(t *testing.T) {
	b := clip(t)
	for _, n := range []int{0, 7, 40, 600, len(b) / 2, len(b) - 100} {
		_, err := Read(b[:n])
		assert.ErrorIs(t, err, ErrFormat, "%d bytes", n)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(clip(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		packets, err := Read(b)
		if err != nil {
			return
		}
		total := 0
		for _, p := range packets {
			require.NotNil(t, p.Track)
			require.NotEmpty(t, p.Data)
			total += len(p.Data)
		}
		require.LessOrEqual(t, total, 8*len(b))
	})
}
