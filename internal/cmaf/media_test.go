package cmaf

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

// run runs a tool and returns what it prints on both outputs.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// clip returns the packets of one track of a file that ffmpeg encodes, as a
// timeline would stamp them: T = 2 s, a new segment on the first key frame of a
// cell.
func clip(t testing.TB, args ...string) []sluice.Packet {
	t.Helper()
	file := filepath.Join(t.TempDir(), "clip.mp4")
	run(t, "ffmpeg", append(append([]string{"-nostdin", "-v", "error"}, args...), file)...)
	f, err := mp4.ReadMP4File(file)
	require.NoError(t, err)
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	trak := f.Moov.Traks[0]
	track := trackOf(t, trak, data)
	return stamp(track, samplesOf(t, trak, track, data))
}

func trackOf(t testing.TB, trak *mp4.TrakBox, data []byte) *sluice.Track {
	stsd := trak.Mdia.Minf.Stbl.Stsd
	var track *sluice.Track
	var err error
	switch {
	case stsd.AvcX != nil:
		var avcC bytes.Buffer
		require.NoError(t, stsd.AvcX.AvcC.Encode(&avcC))
		track, err = codec.AVC(avcC.Bytes()[8:])
	case stsd.Mp4a.Esds.DecConfigDescriptor.ObjectType == 0x40:
		track, err = codec.AAC(stsd.Mp4a.Esds.DecConfigDescriptor.DecSpecificInfo.DecConfig)
	default:
		at, err1 := trak.GetRangesForSampleInterval(1, 1)
		require.NoError(t, err1)
		track, err = codec.MP3(data[at[0].Offset:])
	}
	require.NoError(t, err)
	track.ID, track.SegmentDur, track.PartTarget = 1, 2e9, int64(track.Timescale)*26/100
	return track
}

func samplesOf(t testing.TB, trak *mp4.TrakBox, track *sluice.Track, data []byte) (out []sluice.Packet) {
	stbl, scale := trak.Mdia.Minf.Stbl, int64(trak.Mdia.Mdhd.Timescale)
	for n := uint32(1); n <= stbl.Stsz.SampleNumber; n++ {
		ranges, err := trak.GetRangesForSampleInterval(n, n)
		require.NoError(t, err)
		dts, dur := stbl.Stts.GetDecodeTime(n)
		pts := int64(dts)
		if stbl.Ctts != nil {
			pts += int64(stbl.Ctts.GetCompositionTimeOffset(n))
		}
		out = append(out, sluice.Packet{
			Track: track, Key: stbl.Stss == nil || stbl.Stss.IsSyncSample(n),
			DTS:  sluice.Rescale(int64(dts), scale, int64(track.Timescale)),
			PTS:  sluice.Rescale(pts, scale, int64(track.Timescale)),
			Dur:  sluice.Rescale(int64(dur), scale, int64(track.Timescale)),
			Data: data[ranges[0].Offset : ranges[0].Offset+ranges[0].Size],
		})
	}
	return out
}

func stamp(track *sluice.Track, pkts []sluice.Packet) []sluice.Packet {
	first := int64(epoch) * int64(track.Timescale)
	cell, number := int64(-1), uint64(epoch/2)
	for i := range pkts {
		p := &pkts[i]
		if c := p.PTS / (2 * int64(track.Timescale)); p.Key && c > cell {
			cell, number = c, number+1
		}
		p.Segment, p.DTS, p.PTS = number, p.DTS+first, p.PTS+first
	}
	return announce(pkts)
}

var clips = map[string][]string{
	"h264 with B-frames": {"-f", "lavfi", "-i", "testsrc2=s=320x180:r=25", "-t", "5", "-c:v", "libx264", "-preset", "veryfast",
		"-bf", "3", "-g", "50", "-sc_threshold", "0", "-pix_fmt", "yuv420p"},
	"h264 29.97, no B-frames, odd size": {"-f", "lavfi", "-i", "testsrc2=s=322x182:r=30000/1001", "-t", "5", "-c:v", "libx264",
		"-preset", "ultrafast", "-bf", "0", "-g", "30", "-pix_fmt", "yuv420p"},
	"aac":            {"-f", "lavfi", "-i", "sine=r=48000", "-t", "5", "-c:a", "aac"},
	"aac mono 22.05": {"-f", "lavfi", "-i", "sine=r=22050", "-t", "5", "-c:a", "aac", "-ac", "1"},
	"mp3":            {"-f", "lavfi", "-i", "sine=r=44100", "-t", "5", "-c:a", "libmp3lame"},
}

// What real encoders make plays in ffmpeg without a word, from the start and
// from any segment, and every packet comes out as it went in.
func TestRealMedia(t *testing.T) {
	for name, args := range clips {
		t.Run(name, func(t *testing.T) {
			pkts := clip(t, args...)
			m := pack(t, pkts)
			require.GreaterOrEqual(t, len(m.segs), 3)
			init, err := Init(m.segs[0].Track)
			require.NoError(t, err)
			for from := range m.segs[:2] {
				media := bytes.Clone(init)
				n := 0
				for i := from; i < len(m.segs); i++ {
					media = append(media, m.bytes(i)...)
				}
				for _, p := range pkts[1:] {
					if p.Segment >= m.segs[from].Number {
						n++
					}
				}
				file := filepath.Join(t.TempDir(), "out.mp4")
				require.NoError(t, os.WriteFile(file, media, 0o600))
				require.Empty(t, run(t, "ffmpeg", "-nostdin", "-v", "warning", "-xerror", "-i", file, "-f", "null", "-"))
				checkProbe(t, file, pkts[len(pkts)-n:])
			}
			checkMedia(t, m, pkts)
		})
	}
}

func checkProbe(t testing.TB, file string, want []sluice.Packet) {
	var probe struct {
		Packets []struct {
			PTS, DTS, Duration int64
			Flags              string
		}
		Streams []struct {
			TimeBase string `json:"time_base"`
			Width    int
		}
	}
	out := run(t, "ffprobe", "-v", "warning", "-show_packets", "-show_streams", "-of", "json", file)
	require.NoError(t, json.Unmarshal([]byte(out), &probe), "%s", out)
	require.Len(t, probe.Packets, len(want))
	require.Equal(t, want[0].Track.Width, probe.Streams[0].Width)
	for i, p := range probe.Packets {
		require.Equal(t, [2]int64{want[i].DTS, want[i].PTS}, [2]int64{p.DTS, p.PTS}, "packet %d", i)
		require.Equal(t, want[i].Key, strings.HasPrefix(p.Flags, "K"), "packet %d", i)
	}
}
