package codec

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/Eyevinn/mp4ff/avc"
	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// ffmpeg returns what it writes to a file called name.
func ffmpeg(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	cmd := exec.Command("ffmpeg", append(append([]string{"-nostdin", "-v", "error", "-y"}, args...), file)...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	return b
}

// sets returns the parameter sets of a byte stream.
func sets(b []byte) (sps, pps [][]byte) {
	for u := range AnnexBNALUs(b) {
		switch u[0] & 0x1f {
		case naluSPS:
			sps = append(sps, u)
		case naluPPS:
			pps = append(pps, u)
		}
	}
	return sps[:1], pps[:1]
}

var encodings = []struct {
	name string
	size string
	rate string
	args []string
	want [3]int64 // width, height, frame duration
	mime string
}{
	{"baseline", "640x360", "25", []string{"-profile:v", "baseline", "-pix_fmt", "yuv420p", "-x264-params", "force-cfr=1"},
		[3]int64{640, 360, 3600}, "avc1.42c01e"},
	{"main cropped", "426x238", "30000/1001", []string{"-profile:v", "main", "-pix_fmt", "yuv420p"},
		[3]int64{426, 238, 0}, "avc1.4d4015"},
	{"high 1080p", "1920x1080", "60", []string{"-profile:v", "high", "-pix_fmt", "yuv420p"},
		[3]int64{1920, 1080, 0}, "avc1.64002a"},
	{"high 10", "320x180", "24000/1001", []string{"-profile:v", "high10", "-pix_fmt", "yuv420p10le", "-x264-params", "force-cfr=1"},
		[3]int64{320, 180, 3754}, "avc1.6e000c"},
	{"high 4:2:2 cropped", "322x182", "50", []string{"-profile:v", "high422", "-pix_fmt", "yuv422p"},
		[3]int64{322, 182, 0}, "avc1.7a0015"},
	{"high 4:4:4 cropped odd", "321x181", "10", []string{"-profile:v", "high444", "-vf", "format=yuv444p,scale=321:181"},
		[3]int64{321, 181, 0}, "avc1.f4000c"},
	{"scaling lists", "640x360", "25", []string{"-pix_fmt", "yuv420p", "-x264-params", "cqm=jvt"},
		[3]int64{640, 360, 0}, "avc1.64001e"},
	{"interlaced", "720x576", "25", []string{"-pix_fmt", "yuv420p", "-flags", "+ildct+ilme", "-x264-params", "tff=1"},
		[3]int64{720, 576, 0}, "avc1.64001e"},
	{"interlaced cropped", "1920x1080", "30000/1001", []string{"-pix_fmt", "yuv420p", "-flags", "+ildct+ilme", "-x264-params", "tff=1"},
		[3]int64{1920, 1080, 0}, "avc1.640028"},
	{"aspect, colour, HRD", "704x480", "30", []string{"-pix_fmt", "yuv420p", "-aspect", "4:3", "-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709",
		"-x264-params", "nal-hrd=cbr:vbv-maxrate=2000:vbv-bufsize=2000:bitrate=2000"},
		[3]int64{704, 480, 0}, "avc1.64001e"},
	{"full range", "320x240", "15", []string{"-pix_fmt", "yuvj420p"},
		[3]int64{320, 240, 0}, "avc1.64000c"},
}

func encode(t testing.TB, size, rate string, args []string) []byte {
	return ffmpeg(t, "x.h264", append([]string{"-f", "lavfi", "-i", "testsrc2=s=" + size + ":r=" + rate, "-frames:v", "2",
		"-c:v", "libx264", "-preset", "veryfast"}, args...)...)
}

func rational(num, den int64) string {
	if den == 1 {
		return strconv.FormatInt(num, 10)
	}
	return fmt.Sprintf("%d/%d", num, den)
}

// What x264 writes, read by us and by two others.
func TestRealStreams(t *testing.T) {
	for _, c := range encodings {
		t.Run(c.name, func(t *testing.T) {
			stream := encode(t, c.size, c.rate, c.args)
			sps, pps := sets(stream)
			record, err := AVCRecord(sps, pps)
			require.NoError(t, err)
			track, err := AVC(record)
			require.NoError(t, err)
			assert.Equal(t, c.want, [3]int64{int64(track.Width), int64(track.Height), track.FrameDur})
			num, den := FrameRate(track)
			assert.Equal(t, c.rate, rational(num, den))
			mime, err := RFC6381(track)
			require.NoError(t, err)
			assert.Equal(t, c.mime, mime)
			crossCheck(t, sps[0])
			checkEntry(t, track, record)

			sample, err := FromAnnexB(stream)
			require.NoError(t, err)
			assert.True(t, AVCHasIDR(sample))
			back, err := FromAnnexB(AnnexB(sample))
			require.NoError(t, err)
			assert.Equal(t, sample, back)
		})
	}
}

func crossCheck(t testing.TB, sps []byte) {
	t.Helper()
	got, err := ParseSPS(sps)
	require.NoError(t, err)
	var mc h264.SPS
	require.NoError(t, mc.Unmarshal(sps))
	ff, err := avc.ParseSPSNALUnit(sps, true)
	require.NoError(t, err)

	assert.Equal(t, [2]int{mc.Width(), mc.Height()}, [2]int{got.Width, got.Height})
	assert.Equal(t, [2]uint{ff.Width, ff.Height}, [2]uint{uint(got.Width), uint(got.Height)})
	assert.Equal(t, [3]uint32{ff.Profile, ff.ProfileCompatibility, ff.Level},
		[3]uint32{uint32(got.Profile), uint32(got.Constraints), uint32(got.Level)})
	assert.Equal(t, !mc.FrameMbsOnlyFlag, got.Interlaced)
	assert.EqualValues(t, ff.BitDepthLumaMinus8+8, got.BitDepth)
	if mc.VUI == nil {
		return
	}
	if num, den, ok := got.FrameRate(); ok {
		assert.InDelta(t, mc.FPS(), float64(num)/float64(den), 1e-6)
	}
	if mc.VUI.TimingInfo != nil {
		assert.Equal(t, mc.VUI.TimingInfo.FixedFrameRateFlag, got.FixedRate)
		assert.Equal(t, mc.VUI.TimingInfo.TimeScale, got.TimeScale)
		assert.Equal(t, mc.VUI.TimingInfo.NumUnitsInTick, got.UnitsInTick)
	}
	assert.Equal(t, mc.VUI.ColourPrimaries, got.Colour.Primaries)
	assert.Equal(t, mc.VUI.VideoFullRangeFlag, got.Colour.FullRange)
	assert.Equal(t, [2]uint{ff.VUI.SampleAspectRatioWidth, ff.VUI.SampleAspectRatioHeight},
		[2]uint{uint(got.SARWidth), uint(got.SARHeight)})
}

// checkEntry reads the sample entry with mp4ff, and the record with ours.
func checkEntry(t testing.TB, track *sluice.Track, record []byte) {
	t.Helper()
	b, err := mp4.DecodeBox(0, bytes.NewReader(track.Config))
	require.NoError(t, err)
	entry := b.(*mp4.VisualSampleEntryBox)
	assert.Equal(t, [2]uint16{entry.Width, entry.Height}, [2]uint16{uint16(track.Width), uint16(track.Height)})
	var again bytes.Buffer
	require.NoError(t, entry.Encode(&again))
	assert.Equal(t, track.Config, again.Bytes())
	got, err := AVCConfig(track)
	require.NoError(t, err)
	assert.Equal(t, record, got)
}
