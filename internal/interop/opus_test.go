package interop

import (
	"bytes"
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/bluenviron/gortmplib"
	gocodecs "github.com/bluenviron/gortmplib/pkg/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/testmedia"
)

// opusPackets returns what ffmpeg encodes of so many seconds of a tone, 20 ms
// each.
func opusPackets(t *testing.T, ffmpeg, seconds string) (packets [][]byte) {
	file := filepath.Join(t.TempDir(), "clip.mp4")
	out, err := exec.Command(ffmpeg, "-nostdin", "-v", "error", "-f", "lavfi", "-i", "sine=r=48000", "-t", seconds, "-ac", "2", "-c:a", "libopus", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	f, err := mp4.DecodeFile(bytes.NewReader(b))
	require.NoError(t, err)
	table := f.Moov.Trak.Mdia.Minf.Stbl
	var data bytes.Buffer
	require.NoError(t, f.CopySampleData(&data, bytes.NewReader(b), f.Moov.Trak, 1, table.Stsz.SampleNumber, nil))
	for n := uint32(1); n <= table.Stsz.SampleNumber; n++ {
		packets = append(packets, bytes.Clone(data.Next(int(table.Stsz.GetSampleSize(int(n))))))
	}
	return packets
}

// TestOpusOverRTMP has gortmplib publish Opus, which FFmpeg 7.1 cannot, and
// FFmpeg decode it from LL-HLS.
func TestOpusOverRTMP(t *testing.T) {
	s := start(t)
	ffmpeg, ffprobe := testmedia.Need(t, "ffmpeg"), testmedia.Need(t, "ffprobe")
	packets := opusPackets(t, ffmpeg, "60")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	u, err := url.Parse(s.publish("opus"))
	require.NoError(t, err)
	c := &gortmplib.Client{URL: u, Publish: true}
	require.NoError(t, c.Initialize(ctx))
	track := &gortmplib.Track{Codec: &gocodecs.Opus{IDHeader: &opus.IDHeader{Version: 1, ChannelCount: 2}}}
	w := &gortmplib.Writer{Conn: c, Tracks: []*gortmplib.Track{track}}
	require.NoError(t, w.Initialize())
	done := make(chan error, 1)
	go func() {
		defer c.Close()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n, p := range packets {
			select {
			case <-tick.C:
			case <-ctx.Done():
				done <- nil
				return
			}
			if err := w.WriteOpus(track, time.Duration(n)*20*time.Millisecond, p); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	defer func() { cancel(); require.NoError(t, <-done) }()
	var out []byte
	require.Eventually(t, func() bool {
		out, err = exec.CommandContext(ctx, ffprobe, "-v", "error", "-show_entries", "stream=codec_name,sample_rate,channels", "-of", "csv=p=0", s.hls("opus")).CombinedOutput()
		return err == nil && bytes.Contains(out, []byte("opus,48000,2"))
	}, time.Minute, time.Second)
	out, err = exec.CommandContext(ctx, ffmpeg, "-nostdin", "-v", "error", "-i", s.hls("opus"), "-t", "5", "-f", "null", "-").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Empty(t, string(out))
}
