package transcode

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
	"github.com/sluice-live/sluice/internal/testmedia"
)

// The ladder of the benchmarks: every size encoded.
func benchLadder(tune string) []Rendition {
	var all []Rendition
	for _, r := range []Rendition{{Height: 1080, Bitrate: 5_000_000}, {Height: 720, Bitrate: 2_800_000}, {Height: 480, Bitrate: 1_200_000}, {Height: 360, Bitrate: 700_000}} {
		r.Tune, r.MaxBitrate, r.Buffer = tune, r.Bitrate, r.Bitrate
		all = append(all, r)
	}
	return all
}

const benchChild = "SLUICE_TRANSCODE_CHILD" // the file to transcode, in a process of its own

// BenchmarkLadder transcodes 30 s of 1080p30 into 1080, 720, 480 and 360 in a
// process of its own, and lets ffmpeg do the same by split and scale. It reports
// processor time, elapsed time and peak memory, and their ratios.
//
//	go test -run '^$' -bench Ladder -benchtime 1x ./transcode
func BenchmarkLadder(b *testing.B) {
	if os.Getenv(benchChild) != "" {
		transcodeFile(b)
		return
	}
	source := filepath.Join(b.TempDir(), "in.mp4")
	makeClip(b, source, "-f lavfi -i testsrc2=s=1920x1080:r=30,noise=alls=8:allf=t -t 30 -c:v libx264 -preset veryfast -b:v 6M -maxrate 6M -bufsize 6M -g 60 -bf 0 -pix_fmt yuv420p -video_track_timescale 90000 -movflags +frag_keyframe+delay_moov+default_base_moof")
	packets := filepath.Join(b.TempDir(), "packets")
	writePackets(b, packets, source)
	for _, tune := range []string{"none", "zerolatency"} {
		b.Run(tune, func(b *testing.B) {
			for b.Loop() {
				a := measure(b, child(packets, tune, ""))
				f := measure(b, exec.Command(testmedia.Need(b, "ffmpeg"), ffmpegLadder(source, tune)...))
				p := measure(b, child(packets, tune, "yes"))
				b.ReportMetric(p.cpu.Seconds(), "passed-cpu-s")
				b.ReportMetric(float64(p.memory)/1e6, "passed-MB")
				b.ReportMetric(a.cpu.Seconds(), "cpu-s")
				b.ReportMetric(f.cpu.Seconds(), "ffmpeg-cpu-s")
				b.ReportMetric(a.cpu.Seconds()/f.cpu.Seconds(), "cpu-ratio")
				b.ReportMetric(a.real.Seconds()/f.real.Seconds(), "time-ratio")
				b.ReportMetric(float64(a.memory)/1e6, "MB")
				b.ReportMetric(float64(f.memory)/1e6, "ffmpeg-MB")
				b.ReportMetric(float64(a.memory)/float64(f.memory), "memory-ratio")
			}
		})
	}
}

// child is a process that transcodes a file; with passed its source goes along.
func child(packets, tune, passed string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "-test.run", "^$", "-test.bench", "^BenchmarkLadder$", "-test.benchtime", "1x")
	cmd.Env = append(os.Environ(), benchChild+"="+packets, benchChild+"_TUNE="+tune, benchChild+"_PASSED="+passed)
	return cmd
}

func ffmpegLadder(source, tune string) []string {
	args := []string{"-nostdin", "-loglevel", "error", "-y", "-i", source, "-filter_complex",
		"[0:v]split=4[a][b0][c0][d0];[b0]scale=1280:720[b];[c0]scale=854:480[c];[d0]scale=640:360[d]"}
	for i, r := range benchLadder(tune) {
		rate := fmt.Sprint(r.Bitrate)
		args = append(args, "-map", "["+string(rune('a'+i))+"]", "-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "60", "-sc_threshold", "0",
			"-b:v", rate, "-maxrate", rate, "-bufsize", rate)
		if tune != "none" {
			args = append(args, "-tune", tune)
		}
		args = append(args, "-f", "null", "-")
	}
	return args
}

type usage struct {
	cpu, real time.Duration
	memory    int64
}

func measure(b *testing.B, cmd *exec.Cmd) usage {
	began := time.Now()
	out, err := cmd.CombinedOutput()
	require.NoError(b, err, "%s\n%s", cmd, out)
	s := cmd.ProcessState
	return usage{s.SystemTime() + s.UserTime(), time.Since(began), s.SysUsage().(*syscall.Rusage).Maxrss << 10}
}

func makeClip(b *testing.B, path, args string) {
	all := append([]string{"-nostdin", "-loglevel", "error", "-y"}, strings.Fields(args)...)
	out, err := exec.Command(testmedia.Need(b, "ffmpeg"), append(all, path)...).CombinedOutput()
	require.NoError(b, err, "%s", out)
}

// writePackets stores a clip so that it can be read packet by packet, without
// holding the whole.
func writePackets(b *testing.B, path, mp4 string) {
	content, err := os.ReadFile(mp4)
	require.NoError(b, err)
	f, err := os.Create(path)
	require.NoError(b, err)
	w := bufio.NewWriter(f)
	put := func(v ...any) {
		for _, v := range v {
			require.NoError(b, binary.Write(w, binary.BigEndian, v))
		}
	}
	packets := stampAll(demux(b, content), 2)
	entry := packets[0].Track.Config
	put(uint32(len(entry)), entry)
	for _, p := range packets {
		put(p.DTS, p.PTS, p.Dur, p.Segment, p.Key, uint32(len(p.Data)), p.Data)
	}
	require.NoError(b, w.Flush())
	require.NoError(b, f.Close())
}

// fileSource is a Source of what writePackets stored.
type fileSource struct {
	r     *bufio.Reader
	track *sluice.Track
}

func (s *fileSource) Tracks() []*sluice.Track { return nil }
func (s *fileSource) Close() error            { return nil }
func (s *fileSource) ReadPacket(context.Context) (sluice.Packet, error) {
	var h struct {
		DTS, PTS, Dur int64
		Segment       uint64
		Key           bool
		Size          uint32
	}
	if err := binary.Read(s.r, binary.BigEndian, &h); err != nil {
		return sluice.Packet{}, err
	}
	p := sluice.Packet{Track: s.track, DTS: h.DTS, PTS: h.PTS, Dur: h.Dur, Segment: h.Segment, Key: h.Key}
	if h.Size > 0 {
		p.Data = make([]byte, h.Size)
	}
	_, err := io.ReadFull(s.r, p.Data)
	return p, err
}

func transcodeFile(b *testing.B) {
	f, err := os.Open(os.Getenv(benchChild))
	require.NoError(b, err)
	defer f.Close()
	r := bufio.NewReader(f)
	var size uint32
	require.NoError(b, binary.Read(r, binary.BigEndian, &size))
	entry := make([]byte, size)
	_, err = io.ReadFull(r, entry)
	require.NoError(b, err)
	track := &sluice.Track{ID: 1, Kind: sluice.Video, Codec: sluice.AVC1, Timescale: 90000, Config: entry, Width: 1920, Height: 1080, FrameDur: 3000, SegmentDur: 2 * time.Second}
	source := PassNever
	if os.Getenv(benchChild+"_PASSED") != "" {
		source = PassAlways
	}
	out, err := Ladder{Renditions: benchLadder(os.Getenv(benchChild + "_TUNE")), Source: source, MaxDelay: -1}.Transform(b.Context(), &fileSource{r, track})
	require.NoError(b, err)
	defer out.Close()
	n := 0
	for {
		p, err := out.ReadPacket(b.Context())
		if err == io.EOF {
			break
		}
		require.NoError(b, err)
		if p.Data != nil {
			n++
		}
	}
	require.Equal(b, 4*900, n)
}

// BenchmarkDelay plays 720p30 at its own pace through a ladder of three and
// reports the time from packet in to packet out, per rendition, beside the mean
// time in the encoder.
//
//	go test -run '^$' -bench Delay -benchtime 1x ./transcode
func BenchmarkDelay(b *testing.B) {
	path := filepath.Join(b.TempDir(), "in.mp4")
	makeClip(b, path, "-f lavfi -i testsrc2=s=1280x720:r=30 -t 10 -c:v libx264 -preset veryfast -g 60 -bf 0 -pix_fmt yuv420p -video_track_timescale 90000 -movflags +frag_keyframe+delay_moov+default_base_moof")
	content, err := os.ReadFile(path)
	require.NoError(b, err)
	in := stampAll(demux(b, content), 2)
	for b.Loop() {
		m := new(Monitor)
		src := &paced{Slice: &sluicetest.Slice{Packets: in}, speed: 1}
		out, err := Ladder{Monitor: m, Renditions: []Rendition{{Height: 480}, {Height: 360}, {Height: 240}}, Audio: []AudioRendition{}}.Transform(b.Context(), src)
		require.NoError(b, err)
		arrived, delays := map[int64]time.Time{}, map[uint32][]time.Duration{}
		var stats Stats
		for {
			p, err := out.ReadPacket(b.Context())
			if err == io.EOF {
				break
			}
			require.NoError(b, err)
			switch {
			case p.Data == nil:
			case p.Track.ID == 1: // the source goes along at once
				arrived[p.PTS] = time.Now()
			default:
				delays[p.Track.ID] = append(delays[p.Track.ID], time.Since(arrived[p.PTS]))
			}
			if s := m.Stats(); len(s) > 0 {
				stats = s[0]
			}
		}
		out.Close()
		for i, r := range stats.Renditions {
			d := delays[uint32(101+i)]
			slices.Sort(d)
			ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
			b.ReportMetric(ms(d[len(d)/2]), r.Name+"-median-ms")
			b.ReportMetric(ms(d[len(d)*99/100]), r.Name+"-p99-ms")
			b.ReportMetric(ms(r.Encode)/float64(r.Frames), r.Name+"-encode-ms")
		}
	}
}
