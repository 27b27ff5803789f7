package mpegts

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/testmedia"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run returns what a program prints, and what it complains of.
func run(t testing.TB, program string, args ...string) (stdout, stderr []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, testmedia.Need(t, program), args...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	require.NoError(t, cmd.Run(), "%s: %s", cmd, &complaints)
	return out.Bytes(), complaints.Bytes()
}

// encode has ffmpeg make a transport stream.
func encode(t testing.TB, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.ts")
	all := []string{"-nostdin", "-v", "error", "-y"}
	all = append(append(all, args...), "-t", "2", "-f", "mpegts", path)
	run(t, "ffmpeg", all...)
	return path
}

func in(inputs ...string) (args []string) {
	for _, i := range inputs {
		args = append(args, "-f", "lavfi", "-i", i)
	}
	return args
}

const (
	picture = "testsrc2=s=320x180:r=25"
	tone    = "sine=r=48000:beep_factor=2"
	tone44  = "sine=r=44100:beep_factor=2"
)

func args(parts ...any) (all []string) {
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			all = append(all, strings.Fields(p)...)
		case []string:
			all = append(all, p...)
		}
	}
	return all
}

type probed struct {
	PTS, DTS int64
	Key      bool
}

// probe returns the packets that ffprobe finds, by PID.
func probe(t testing.TB, path string) map[string][]probed {
	t.Helper()
	out, _ := run(t, "ffprobe", "-v", "error", "-show_packets", "-show_streams", "-of", "json", path)
	var all struct {
		Packets []struct {
			Stream int `json:"stream_index"`
			PTS    int64
			DTS    int64
			Flags  string
		}
		Streams []struct {
			Index int
			Kind  string `json:"codec_type"`
		}
	}
	require.NoError(t, json.Unmarshal(out, &all), "%s", out)
	found := make(map[string][]probed)
	for _, p := range all.Packets {
		kind := all.Streams[p.Stream].Kind
		found[kind] = append(found[kind], probed{p.PTS, p.DTS, strings.Contains(p.Flags, "K")})
	}
	return found
}

// readAll returns the media and counters of a transport stream.
func readAll(t testing.TB, b []byte) ([]sluice.Packet, Stats) {
	t.Helper()
	r := NewReader(bytes.NewReader(b), Config{})
	defer r.Close()
	packets, err := drain(t.Context(), r)
	require.NoError(t, err)
	return packets, r.Stats()
}

var encodings = []struct {
	name  string
	args  []string
	codec string // of the first track, or its sample entry
}{
	{"H.264 with B-frames", args(in(picture), "-c:v libx264 -preset veryfast -bf 3 -g 25 -pix_fmt yuv420p"), "avc1"},
	{"H.264 intra refresh without B-frames", args(in(picture), "-c:v libx264 -tune zerolatency -g 25 -pix_fmt yuv420p"), "avc1"},
	{"H.264 with PES lengths", args(in(picture), "-c:v libx264 -preset veryfast -g 25 -pix_fmt yuv420p -omit_video_pes_length 0"), "avc1"},
	{"HEVC", args(in(picture), "-c:v libx265 -preset ultrafast -x265-params log-level=error:open-gop=0:keyint=25 -pix_fmt yuv420p"), "hvc1"},
	{"AAC", args(in(tone), "-c:a aac -ac 2"), "mp4a"},
	{"AAC at 44.1 kHz, a frame in a PES packet", args(in(tone44), "-c:a aac -ac 1 -pes_payload_size 0"), "mp4a"},
	{"AAC in LATM", args(in(tone44), "-c:a aac -ac 2 -mpegts_flags latm"), "mp4a"},
	{"Opus", args(in(tone), "-c:a libopus -ac 2"), "Opus"},
	{"Opus of 60 ms, mono", args(in(tone), "-c:a libopus -ac 1 -frame_duration 60"), "Opus"},
	{"MP2", args(in(tone), "-c:a mp2 -ac 2"), "mp4a"},
	{"MP2 at 22.05 kHz", args(in("sine=r=22050"), "-c:a mp2 -ac 1 -b:a 64k"), "mp4a"},
	{"MP3", args(in(tone44), "-c:a libmp3lame -ac 2"), ".mp3"},
	{"MP3 at 22.05 kHz", args(in("sine=r=22050"), "-c:a libmp3lame -ac 1"), ".mp3"},
	{"AC-3", args(in(tone), "-c:a ac3 -ac 2"), "ac-3"},
	{"AC-3 at 44.1 kHz", args(in(tone44), "-c:a ac3 -ac 2 -b:a 128k"), "ac-3"},
	{"H.264 and AAC", args(in(picture, tone), "-c:v libx264 -preset veryfast -g 25 -pix_fmt yuv420p -c:a aac -ac 2"), "avc1"},
}

// Every frame is there, at ffprobe's times.
func TestReadsWhatFFmpegWrites(t *testing.T) {
	for _, c := range encodings {
		t.Run(c.name, func(t *testing.T) {
			path := encode(t, c.args...)
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			packets, st := readAll(t, b)
			assert.Equal(t, Stats{Bytes: uint64(len(b)), Packets: uint64(len(b)) / packetSize}, st)
			require.NotEmpty(t, packets)
			assert.Equal(t, c.codec, packets[0].Track.Codec.String())
			want := probe(t, path)
			for kind, want := range want {
				var got []probed
				for _, p := range packets {
					if p.Track.Kind.String() == kind && p.Data != nil {
						assert.False(t, p.Discont)
						got = append(got, probed{p.PTS, p.DTS, p.Key})
					}
				}
				require.Len(t, got, len(want), kind)
				for i := range want {
					assert.InDelta(t, want[i].PTS, got[i].PTS, rounding(kind), "%s %d", kind, i)
					assert.InDelta(t, want[i].DTS, got[i].DTS, rounding(kind), "%s %d", kind, i)
					assert.Equal(t, want[i].Key, got[i].Key, "%s %d", kind, i)
				}
			}
		})
	}
}

// rounding is how far ffprobe may be off: it adds whole ticks from one sound
// frame of a PES packet to the next.
func rounding(kind string) float64 {
	if kind == "audio" {
		return 4
	}
	return 0
}

// decoded returns the hashes of a file's decoded frames, with what ffmpeg
// complained of.
func decoded(t testing.TB, path string) (hashes []string) {
	t.Helper()
	out, complaints := run(t, "ffmpeg", "-nostdin", "-v", "warning", "-i", path, "-map", "0", "-f", "framemd5", "-")
	assert.Empty(t, string(complaints))
	for line := range strings.Lines(string(out)) {
		if fields := strings.Split(line, ","); len(fields) == 6 && line[0] != '#' {
			hashes = append(hashes, fields[0]+strings.TrimSpace(fields[5]))
		}
	}
	return hashes
}

// What is read and written again decodes to the same, without a warning, and
// keeps its times.
func TestFFmpegReadsWhatIsWritten(t *testing.T) {
	began := time.Unix(1_790_000_000, 0)
	for _, c := range encodings {
		t.Run(c.name, func(t *testing.T) {
			path := encode(t, c.args...)
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			packets, _ := readAll(t, b)
			var out bytes.Buffer
			w, err := NewWriter(&out, tracksOf(packets), began)
			require.NoError(t, err)
			for _, p := range packets {
				p.DTS += p.Track.Ticks(began)
				p.PTS += p.Track.Ticks(began)
				require.NoError(t, w.WritePacket(p))
			}
			again := filepath.Join(t.TempDir(), "out.ts")
			require.NoError(t, os.WriteFile(again, out.Bytes(), 0o600))
			got, want := probe(t, again), probe(t, path)
			for kind := range want {
				require.Len(t, got[kind], len(want[kind]))
				for i, p := range want[kind] {
					assert.InDelta(t, p.PTS+clockLead, got[kind][i].PTS, rounding(kind), "%s %d", kind, i)
					assert.Equal(t, p.Key, got[kind][i].Key)
				}
			}
			assert.Equal(t, decoded(t, path), decoded(t, again))
		})
	}
}

// tracksOf returns the first track of each ID.
func tracksOf(packets []sluice.Packet) (tracks []*sluice.Track) {
	seen := make(map[uint32]bool)
	for _, p := range packets {
		if !seen[p.Track.ID] {
			seen[p.Track.ID] = true
			tracks = append(tracks, p.Track)
		}
	}
	return tracks
}

// drain reads to the end, which is to be io.EOF.
func drain(ctx context.Context, src sluice.Source) (all []sluice.Packet, err error) {
	for {
		p, err := src.ReadPacket(ctx)
		if err != nil {
			if err.Error() == "EOF" {
				return all, nil
			}
			return all, err
		}
		all = append(all, p)
	}
}
