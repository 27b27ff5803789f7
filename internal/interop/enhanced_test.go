package interop

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/testmedia"
)

// newFFmpeg returns FFmpeg's programs of a version that speaks Enhanced RTMP,
// which internal/setup/ffmpeg-program.sh puts there.
func newFFmpeg(t *testing.T) (ffmpeg, ffprobe string) {
	t.Helper()
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	dir := filepath.Join(cache, "sluice", "ffmpeg-program", "bin")
	return testmedia.Need(t, filepath.Join(dir, "ffmpeg")), testmedia.Need(t, filepath.Join(dir, "ffprobe"))
}

// framePacket is a line of the framecrc format.
type framePacket struct {
	stream, dts, pts int64
	crc              string
}

// frames parses what ffmpeg -c copy -f framecrc writes.
func frames(t *testing.T, out string) (all [2][]framePacket) {
	t.Helper()
	for line := range strings.Lines(out) {
		f := strings.Split(strings.ReplaceAll(strings.TrimSpace(line), " ", ""), ",")
		if strings.HasPrefix(line, "#") || len(f) < 6 {
			continue
		}
		var p framePacket
		_, err := fmt.Sscan(f[0]+" "+f[1]+" "+f[2], &p.stream, &p.dts, &p.pts)
		require.NoError(t, err, line)
		p.crc = f[4] + "/" + f[5]
		all[p.stream] = append(all[p.stream], p)
	}
	return all
}

// TestFFmpegEnhanced has FFmpeg 7.1 publish what older ones cannot, without
// encoding it, and play it: every packet that it gets is that of the file, at
// the same distances. What FFmpeg and ffprobe read of the LL-HLS is that codec.
func TestFFmpegEnhanced(t *testing.T) {
	s := start(t)
	ffmpeg, _ := newFFmpeg(t)
	for name, c := range map[string]struct {
		codec, mime string
		encode      []string
	}{
		"hevc": {"hevc", `CODECS="hvc1.1.6.L60.90,mp4a.40.2"`, []string{"-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params", "log-level=error:keyint=50:open-gop=0:bframes=3"}},
		"av1":  {"av1", `CODECS="av01.0.00M.08,mp4a.40.2"`, []string{"-c:v", "libsvtav1", "-preset", "12", "-g", "50"}},
		"vp9":  {"vp9", `CODECS="vp09.00.11.08,mp4a.40.2"`, []string{"-c:v", "libvpx-vp9", "-cpu-used", "8", "-deadline", "realtime", "-g", "50"}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			file := filepath.Join(t.TempDir(), "clip.mp4")
			encode := append([]string{"-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=20", "-f", "lavfi", "-i", "sine=r=48000:d=20",
				"-c:a", "aac", "-ac", "2", "-pix_fmt", "yuv420p"}, c.encode...)
			out, err := exec.CommandContext(ctx, testmedia.Need(t, "ffmpeg"), append(encode, file)...).CombinedOutput()
			require.NoError(t, err, "%s", out)
			copied := func(input string, args ...string) [2][]framePacket {
				args = append([]string{"-nostdin", "-v", "error", "-i", input, "-map", "0:v", "-map", "0:a", "-c", "copy"}, args...)
				out, err := exec.CommandContext(ctx, ffmpeg, append(args, "-enc_time_base", "1:1000", "-f", "framecrc", "-")...).Output()
				require.NoError(t, err, "%s", out)
				return frames(t, string(out))
			}
			source := copied(file)

			testmedia.Start(ctx, t, ffmpeg, "-nostdin", "-v", "warning", "-re", "-i", file, "-c", "copy", "-f", "flv", s.publish(name))
			s.live(t, name)
			got := copied(s.play(name), "-t", "6")
			for i, media := range []string{"video", "audio"} {
				require.Greater(t, len(got[i]), 100, media)
				first := -1
				for n, p := range source[i] {
					if p.crc == got[i][0].crc && n+len(got[i]) <= len(source[i]) && p.crc != source[i][max(n-1, 0)].crc {
						first = n
						break
					}
				}
				require.NotEqual(t, -1, first, "%s: the first packet is none of the file's", media)
				ms := map[int]float64{0: 1000. / 12800, 1: 1000. / 48000}[i]
				for n, p := range got[i] {
					want, zero := source[i][first+n], source[i][first]
					require.Equal(t, want.crc, p.crc, "%s packet %d", media, n)
					require.InDelta(t, float64(want.dts-zero.dts)*ms, p.dts-got[i][0].dts, 1.1, "%s packet %d", media, n)
					require.InDelta(t, float64(want.pts-zero.pts)*ms, p.pts-got[i][0].pts, 1.1, "%s packet %d", media, n)
				}
			}

			resp, err := http.Get(s.hls(name))
			require.NoError(t, err)
			defer resp.Body.Close()
			playlist, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Contains(t, string(playlist), c.mime)
			out, err = exec.CommandContext(ctx, testmedia.Need(t, "ffprobe"), "-v", "error", "-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0", s.hls(name)).CombinedOutput()
			require.NoError(t, err, "%s", out)
			assert.Contains(t, string(out), c.codec+",320,180")
			out, err = exec.CommandContext(ctx, testmedia.Need(t, "ffmpeg"), "-nostdin", "-v", "error", "-i", s.hls(name), "-t", "3", "-f", "null", "-").CombinedOutput()
			require.NoError(t, err, "%s", out)
			assert.Empty(t, string(out), "FFmpeg decodes it without a complaint")
		})
	}
}

// TestFFmpegSaysWhatItTakes checks that a player which lists its codecs is not
// sent another.
func TestFFmpegSaysWhatItTakes(t *testing.T) {
	s := start(t)
	ffmpeg, _ := newFFmpeg(t)
	file := filepath.Join(t.TempDir(), "clip.mp4")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, testmedia.Need(t, "ffmpeg"), "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=4",
		"-f", "lavfi", "-i", "sine=r=48000:d=4", "-c:a", "aac", "-c:v", "libvpx-vp9", "-cpu-used", "8", "-deadline", "realtime", "-g", "50", "-pix_fmt", "yuv420p", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	testmedia.Start(ctx, t, ffmpeg, "-nostdin", "-v", "warning", "-re", "-stream_loop", "-1", "-i", file, "-c", "copy", "-f", "flv", s.publish("vp9"))
	s.live(t, "vp9")
	play := func(list string) ([]byte, error) {
		return exec.CommandContext(ctx, ffmpeg, "-nostdin", "-v", "error", "-rtmp_enhanced_codecs", list, "-i", s.play("vp9"), "-c", "copy", "-t", "1", "-f", "null", "-").CombinedOutput()
	}
	out, err = play("hvc1,av01")
	require.Error(t, err)
	assert.Contains(t, string(out), "VP9 video is not among the codecs")
	out, err = play("hvc1,vp09")
	require.NoError(t, err, "%s", out)
}
