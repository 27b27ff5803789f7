package transcode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

func TestTransformConforms(t *testing.T) {
	in := clip(t, "-f lavfi -i testsrc2=s=160x90:r=25 -f lavfi -i sine=r=44100 -video_track_timescale 90000 -c:v libx264 -bf 2 -g 25 -c:a aac -t 3")
	l := Ladder{Renditions: []Rendition{{Height: 60}, {Height: 40, FPS: 12.5}}, MaxDelay: -1}
	sluicetest.Transform(t, func(testing.TB) sluice.Transform { return l }, in...)
}

// held to its own result: a second run makes the same packets but for the Maker.
func TestSameAgain(t *testing.T) {
	in := clip(t, bars+"-c:v libx264 -g 25 -t 1")
	a, b := media(101, run(t, one, in)), media(101, run(t, one, in))
	require.Len(t, b, len(a))
	assert.NotEqual(t, a[0].Track.Maker, b[0].Track.Maker)
	for i := range a {
		assert.Equal(t, a[i].Data, b[i].Data)
	}
}

// Access units that are damaged, one in three, cost pictures and nothing else.
// SLUICE_SOAK=10m goes on with other damage for so long.
func TestCorruptAccessUnits(t *testing.T) {
	soak, _ := time.ParseDuration(os.Getenv("SLUICE_SOAK"))
	end := time.Now().Add(soak)
	for _, args := range []string{"-c:v libx264 -bf 2", "-c:v mpeg2video -q:v 3", "-c:v libx265 -tag:v hvc1 -x265-params log-level=none", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8", "-c:v libsvtav1 -preset 12"} {
		in := clip(t, picture30+args+" -g 15 -t 4")
		for seed := uint64(1); ; seed++ {
			damaged := damage(in, rand.New(rand.NewPCG(1, seed)))
			out, err := tryRun(t, one, damaged)
			require.NoError(t, err, args)
			of := media(101, out)
			if soak == 0 {
				require.NotEmpty(t, of, args)
			}
			for i := 1; i < len(of); i++ {
				require.Greater(t, of[i].DTS, of[i-1].DTS, "%s, seed %d", args, seed)
			}
			if len(of) > 0 {
				require.Equal(t, numbers(sluicetest.Of(1, in)), numbers(sluicetest.Of(101, out)), "%s, seed %d: segments are all there", args, seed)
			}
			if time.Until(end) <= 0 {
				end = time.Now().Add(soak)
				break
			}
		}
	}
}

// damage spoils a third of the packets: cut, bits turned, bytes shuffled.
func damage(in []sluice.Packet, r *rand.Rand) []sluice.Packet {
	in = append([]sluice.Packet(nil), in...)
	for i, p := range in {
		if p.Data == nil || r.IntN(3) > 0 {
			continue
		}
		b := append([]byte(nil), p.Data...)
		switch r.IntN(3) {
		case 0:
			b = b[:1+r.IntN(len(b))]
		case 1:
			for range 8 {
				b[r.IntN(len(b))] ^= byte(1 + r.IntN(255))
			}
		case 2:
			r.Shuffle(len(b), func(i, j int) { b[i], b[j] = b[j], b[i] })
		}
		in[i].Data = b
	}
	return in
}

// A stream that is not what it says ends with a word about it, and goes on
// alone where its source is passed.
func TestLies(t *testing.T) {
	hevc := clip(t, bars+"-c:v libx265 -tag:v hvc1 -x265-params log-level=none -g 25 -t 1")
	avc := clip(t, bars+"-c:v libx264 -g 25 -t 13")
	var lie []sluice.Packet
	for i, p := range avc {
		if p.Data != nil {
			p.Data = hevc[1+i%(len(hevc)-1)].Data
		}
		lie = append(lie, p)
	}
	_, err := tryRun(t, one, lie)
	require.ErrorContains(t, err, `is announced as "avc1", but nothing`)
	passing := one
	passing.Source = PassAuto
	out, err := tryRun(t, passing, lie)
	require.NoError(t, err)
	assert.Len(t, media(1, out), len(media(1, lie)))

	sound := clip(t, "-f lavfi -i sine=r=44100 -c:a libmp3lame -t 12")
	track := *sound[0].Track
	aac, err := codec.AAC([]byte{0x12, 0x10})
	require.NoError(t, err)
	track.Config, track.Codec = aac.Config, aac.Codec
	for i := range sound {
		sound[i].Track = &track
	}
	_, err = tryRun(t, Ladder{Audio: []AudioRendition{{Codec: sluice.Opus}}}, sound)
	require.ErrorContains(t, err, "could be decoded")
}

func TestUnknownCodec(t *testing.T) {
	in := clip(t, bars+"-c:v libx264 -t 0.2")
	track := *in[0].Track
	track.Codec = sluice.FourCC{'x', 'x', 'x', 'x'}
	for i := range in {
		in[i].Track = &track
	}
	_, err := tryRun(t, one, in)
	require.ErrorIs(t, err, codec.ErrUnsupported)
	out, err := tryRun(t, Ladder{Source: PassAlways}, in)
	require.NoError(t, err)
	assert.Len(t, media(1, out), 5)
}

// Without parameter sets nothing can be decoded; with sets in the stream alone
// all can.
func TestMissingSPS(t *testing.T) {
	in := clip(t, bars+"-c:v libx264 -bsf:v dump_extra -t 1")
	track := *in[0].Track
	track.Config = []byte("\x00\x00\x00\x65avc1" + strings.Repeat("\x00", 78) + "\x00\x00\x00\x0favcC\x01\x64\x00\x1f\xff\xe0\x00")
	for i := range in {
		in[i].Track = &track
	}
	out, err := tryRun(t, one, in)
	require.NoError(t, err)
	assert.NotEmpty(t, media(101, out))
}

// Dimensions are the bitstream's, whatever the track says.
func TestWrongDimensions(t *testing.T) {
	in := clip(t, bars+"-c:v libx264 -t 1")
	track := *in[0].Track
	track.Width, track.Height = 65535, 3
	for i := range in {
		in[i].Track = &track
	}
	out := media(101, run(t, one, in))
	assert.Len(t, out, 25)
	assert.Equal(t, 160, out[0].Track.Width)
}

// Times out of order: what comes late is left out, the rest in order.
func TestDisorder(t *testing.T) {
	in := clip(t, "-f lavfi -i testsrc2=s=160x90:r=25 -f lavfi -i sine=r=44100 -video_track_timescale 90000 -c:v libx264 -bf 0 -g 25 -c:a aac -t 3")
	r := rand.New(rand.NewPCG(3, 4))
	for i := range in {
		if in[i].Data != nil && r.IntN(10) == 0 {
			in[i].PTS += int64(r.IntN(40000) - 20000)
		}
		if in[i].Data != nil && r.IntN(50) == 0 {
			in[i].PTS, in[i].DTS = in[i].PTS-1<<40, in[i].DTS-1<<40
		}
	}
	out, err := tryRun(t, one, in)
	require.NoError(t, err)
	last := map[uint32]int64{}
	for _, p := range out {
		if dts, ok := last[p.Track.ID]; ok && p.Track.ID > 100 {
			require.GreaterOrEqual(t, p.DTS, dts)
		}
		last[p.Track.ID] = p.DTS
	}
	assert.Greater(t, len(media(101, out)), 25)
}

// A ladder upon a ladder would make tracks of the same numbers.
func TestLadderUponLadder(t *testing.T) {
	in := clip(t, bars+"-c:v libx264 -g 25 -t 1")
	first := one
	first.Source = PassAuto
	_, err := tryRun(t, one, run(t, first, in))
	require.ErrorContains(t, err, "is a ladder put upon another?")
}

func TestConfiguration(t *testing.T) {
	src := &sluicetest.Slice{}
	for name, l := range map[string]Ladder{
		"no size":      {Renditions: []Rendition{{}}},
		"huge":         {Renditions: []Rendition{{Height: 100000}}},
		"encoder":      {Renditions: []Rendition{{Height: 90, Encoder: "nosuch"}}},
		"not packaged": {Renditions: []Rendition{{Height: 90, Encoder: "png"}}},
		"crop":         {Renditions: []Rendition{{Height: 90, Fit: Crop}}},
		"audio":        {Audio: []AudioRendition{{Codec: sluice.MP3}}},
		"HW":           {HW: "gpu"},
	} {
		_, err := l.Transform(t.Context(), src)
		assert.ErrorContains(t, err, "transcode: ladder", name)
		assert.False(t, src.Closed(), name)
	}
}

// Options and presets that the encoder refuses end the stream with its name.
func TestEncoderRefuses(t *testing.T) {
	in := clip(t, bars+"-c:v libx264 -t 0.2")
	for _, r := range []Rendition{{Height: 90, Preset: "nosuch"}, {Height: 90, Options: map[string]string{"nosuch": "1"}}} {
		_, err := tryRun(t, Ladder{Renditions: []Rendition{r}}, in)
		assert.ErrorContains(t, err, "libx264")
	}
}

// Where there is no GPU the CPU encodes, and the log says so once.
func TestHardwareFallsBack(t *testing.T) {
	var log strings.Builder
	l := one
	l.HW, l.Log, l.Name = "auto", slog.New(slog.NewTextHandler(&log, nil)), "demo"
	l.Renditions = []Rendition{{Height: 90, Bitrate: 300_000}, {Height: 60}}
	if out := media(101, run(t, l, clip(t, bars+"-c:v libx264 -t 1"))); assert.Len(t, out, 25) {
		assert.Equal(t, "avc1", out[0].Track.Codec.String())
	}
	assert.Equal(t, 1, strings.Count(log.String(), "the CPU does"), "%s", log.String())
}

// Other encoders by name.
func TestEncoders(t *testing.T) {
	in := clip(t, bars+"-c:v libx264 -g 25 -bf 2 -t 2")
	for name, want := range map[string]string{"libx265": "hvc1", "libsvtav1": "av01"} {
		if checkEncoder(name) != nil {
			t.Log("not built in: ", name)
			continue
		}
		out := media(101, run(t, Ladder{Source: PassNever, Renditions: []Rendition{{Height: 90, Bitrate: 300_000, Encoder: name}}}, in))
		require.Len(t, out, 50, name)
		assert.Equal(t, want, out[0].Track.Codec.String())
		assert.Equal(t, keys(media(1, in)), keys(out), name)
		mime, err := codec.RFC6381(out[0].Track)
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(mime, want), mime)
		shows := decodeVideo(t, out)
		checkBars(t, shows[len(shows)-1].img)
	}
}

// B-frames, and x264's look-ahead, in the renditions.
func TestBFramesOut(t *testing.T) {
	in := clip(t, picture30+"-c:v libx264 -g 25 -bf 2 -t 3")
	out := media(101, run(t, Ladder{Source: PassNever, Renditions: []Rendition{{Height: 120, BFrames: 3, Tune: "none"}}}, in))
	require.Len(t, out, 90)
	reordered := 0
	for i, p := range out {
		assert.LessOrEqual(t, p.DTS, p.PTS)
		if i > 0 {
			assert.Greater(t, p.DTS, out[i-1].DTS)
			if p.PTS < out[i-1].PTS {
				reordered++
			}
		}
	}
	assert.Greater(t, reordered, 10)
	for _, key := range keys(media(1, in)) {
		assert.Contains(t, keys(out), key)
	}
	assert.Len(t, decodeVideo(t, out), 90)
}

// paced is a source that keeps its packets' pace, however fast it is read.
type paced struct {
	*sluicetest.Slice
	speed   float64
	began   time.Time
	first   time.Time
	waiting atomic.Int64 // the longest that a packet was read late
}

func (p *paced) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	pkt, err := p.Slice.ReadPacket(ctx)
	if err != nil {
		return pkt, err
	}
	at := pkt.Track.Time(pkt.DTS)
	if p.began.IsZero() {
		p.began, p.first = time.Now(), at
	}
	due := p.began.Add(time.Duration(float64(at.Sub(p.first)) / p.speed))
	if late := time.Since(due); late > 0 {
		p.waiting.Store(max(p.waiting.Load(), int64(late)))
	}
	select {
	case <-time.After(time.Until(due)):
		return pkt, nil
	case <-ctx.Done():
		return pkt, ctx.Err()
	}
}

// When the machine cannot keep up, frames of the largest rendition go first;
// nothing is later than the bound, the source never waits, and the log says it
// once.
func TestOverload(t *testing.T) {
	if raceEnabled {
		t.Skip("measures time")
	}
	in := clip(t, "-f lavfi -i testsrc2=s=640x360:r=60 -video_track_timescale 90000 -c:v libx264 -preset ultrafast -bf 0 -g 60 -t 4")
	var log strings.Builder
	m := new(Monitor)
	l := Ladder{Name: "demo", Source: PassNever, MaxDelay: 600 * time.Millisecond, Monitor: m, Log: slog.New(slog.NewTextHandler(&log, nil)),
		Renditions: []Rendition{{Height: 360, Preset: "placebo", Threads: 1}, {Height: 60, Preset: "ultrafast"}}}
	src := &paced{Slice: &sluicetest.Slice{Packets: in}, speed: 1}
	out, err := l.Transform(t.Context(), src)
	require.NoError(t, err)
	defer out.Close()
	var all []sluice.Packet
	var stats Stats
	for {
		p, err := out.ReadPacket(t.Context())
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		all = append(all, p)
		if s := m.Stats(); len(s) > 0 {
			stats = s[0]
			assert.Less(t, s[0].Renditions[0].Delay, 3*time.Second)
		}
	}
	large, little := stats.Renditions[0], stats.Renditions[1]
	assert.NotZero(t, large.Dropped)
	assert.Less(t, little.Dropped, large.Dropped)
	assert.Less(t, time.Duration(src.waiting.Load()), 2*time.Second, "the source waits for nobody")
	assert.Equal(t, 1, strings.Count(log.String(), "frames are dropped"), log.String())
	assert.Equal(t, numbers(sluicetest.Of(1, in)), numbers(sluicetest.Of(101, all)), "segments are all there")
	assert.Equal(t, keys(media(1, in)), keys(media(101, all)))
}

// Memory stays where it is over many starts, and over changes of the source.
func TestNoLeak(t *testing.T) {
	if raceEnabled {
		t.Skip("measures memory")
	}
	in := clip(t, "-f lavfi -i testsrc2=s=640x360:r=25 -f lavfi -i sine=r=44100 -video_track_timescale 90000 -c:v libx264 -preset ultrafast -g 25 -c:a aac -t 0.4")
	o := new(Overlays)
	require.NoError(t, o.Set(Overlay{PNG: logoPNG(t)}, Overlay{Clock: "%H:%M:%S"}))
	l := Ladder{Renditions: twoSizes, Overlays: o, Source: PassAlways}
	round := func() {
		for i := range 20 {
			if i%2 == 0 {
				run(t, l, in)
				continue
			}
			src, err := l.Transform(t.Context(), &sluicetest.Slice{Packets: in, Block: true})
			require.NoError(t, err)
			for range 3 {
				_, err = src.ReadPacket(t.Context())
				require.NoError(t, err)
			}
			require.NoError(t, src.Close(), "in the middle of it")
		}
		runtime.GC()
	}
	round()
	round()
	before := resident(t)
	for range 4 {
		round()
	}
	assert.Less(t, resident(t)-before, int64(24<<20), "bytes more over 80 starts")
}

func resident(t *testing.T) int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("no /proc here")
	}
	require.NoError(t, err)
	var size, pages int64
	_, err = fmt.Sscan(string(b), &size, &pages)
	require.NoError(t, err)
	return pages * int64(os.Getpagesize())
}
