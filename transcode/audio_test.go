package transcode

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

// soundOnly is a ladder without picture.
var soundOnly = Ladder{Renditions: AudioOnly}

const beeps = `-f lavfi -i aevalsrc=0.5*sin(2*PI*1000*t)*lt(mod(t\,0.5)\,0.1):s=`

// Whatever sound comes in, AAC and Opus come out, each sample where it was.
func TestSoundInputs(t *testing.T) {
	for _, c := range []struct{ name, args, codec string }{
		{"AAC 48 kHz", beeps + "48000 -c:a aac -ac 2", "mp4a"},
		{"AAC 44.1 kHz", beeps + "44100 -c:a aac -ac 2", "mp4a"},
		{"AAC mono 22.05 kHz", beeps + "22050 -c:a aac", "mp4a"},
		{"AAC 5.1", beeps + "48000 -c:a aac -ac 6 -b:a 384k", "mp4a"},
		{"Opus", beeps + "48000 -c:a libopus -ac 2", "Opus"},
		{"MP3", beeps + "44100 -c:a libmp3lame -ac 2", "mp4a"},
		{"MP2", beeps + "48000 -c:a mp2 -ac 2", "mp4a"},
		{"AC-3", beeps + "48000 -c:a ac3 -ac 2", "ac-3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := clip(t, c.args+" -t 3")
			for i := range in { // MP4 leaves what is in front of the encoder's sound to its edit list
				require.Equal(t, c.codec, in[i].Track.Codec.String())
			}
			out := run(t, soundOnly, in)
			source, _ := decodeAudio(t, media(2, in))
			require.NotEmpty(t, source.left)
			want := beepTimes(t, media(2, in))
			for id, codec := range map[uint32]string{aacID(c.codec, c.name): "mp4a", opusID(c.codec): "Opus"} {
				of := media(id, out)
				require.NotEmpty(t, of, "%s is missing", codec)
				assert.Equal(t, codec, of[0].Track.Codec.String())
				got := beepTimes(t, of)
				require.GreaterOrEqual(t, len(got), 5)
				assert.InDeltaSlice(t, want[len(want)-5:], got[len(got)-5:], 0.002, codec)
				steady(t, of)
			}
		})
	}
}

func aacID(codec, name string) uint32 {
	if codec == "mp4a" && name[:2] == "AA" {
		return 2 // the source's own
	}
	return 201
}

func opusID(codec string) uint32 {
	if codec == "Opus" {
		return 2
	}
	return 202
}

// steady holds packets to an unbroken cadence.
func steady(t *testing.T, packets []sluice.Packet) {
	t.Helper()
	for i, p := range packets[1:] {
		require.Equal(t, packets[i].DTS+packets[i].Dur, p.DTS, "packet %d", i+1)
	}
}

// beepTimes returns where beeps begin, in seconds from testStart.
func beepTimes(t *testing.T, packets []sluice.Packet) (at []float64) {
	t.Helper()
	s, start := decodeAudio(t, packets)
	quiet := audioRate // samples since the last loud one
	for i, v := range s.left {
		if math.Abs(float64(v)) > 0.1 {
			if quiet > audioRate/10 {
				at = append(at, float64(start+int64(i)-testStart*audioRate)/audioRate)
			}
			quiet = 0
		}
		quiet++
	}
	return at
}

// Sound that changes its rate and channels goes on, in one cadence for each
// description.
func TestSoundChanges(t *testing.T) {
	var in []sluice.Packet
	for i, args := range []string{"44100 -c:a aac -ac 2", "48000 -c:a aac -ac 6", "22050 -c:a aac -ac 1", "48000 -c:a libopus -ac 2"} {
		part := demux(t, encodeMP4(t, beeps+args+" -t 2"))
		track := *part[0].Track
		track.Era = uint32(i + 1)
		for _, p := range part {
			p.Track = &track
			p.DTS += int64(i) * 3 * int64(track.Timescale)
			p.PTS = p.DTS
			in = append(in, p)
		}
	}
	in = stampEras(in)
	out := run(t, soundOnly, in)
	for _, id := range []uint32{2, 202} {
		of := media(id, out)
		eras := map[uint32]int{}
		for _, p := range of {
			eras[p.Track.Era]++
			assert.Equal(t, map[uint32]string{2: "mp4a", 202: "Opus"}[id], p.Track.Codec.String())
		}
		assert.Len(t, eras, 4, "track %d", id)
		assert.Equal(t, numbers(sluicetest.Of(2, in)), numbers(sluicetest.Of(id, out)), "track %d", id)
	}
}

// A hole in the sound becomes silence of its length, and sound that comes
// doubled is left out: neither moves what follows.
func TestSoundHoles(t *testing.T) {
	in := clip(t, beeps+"48000 -c:a aac -ac 2 -t 4")
	var holed []sluice.Packet
	for i, p := range in {
		if i < 60 || i > 75 {
			holed = append(holed, p)
		}
	}
	out := media(202, run(t, soundOnly, holed))
	steady(t, out)
	want, got := beepTimes(t, media(2, in)), beepTimes(t, out)
	assert.InDelta(t, want[len(want)-1], got[len(got)-1], 0.002)

	late := append([]sluice.Packet(nil), in...)
	for i := range late {
		if i >= 60 { // the encoder's clock steps back by three frames: they overlap
			late[i].DTS, late[i].PTS = late[i].DTS-3*1024, late[i].PTS-3*1024
		}
	}
	out = media(202, run(t, soundOnly, late))
	steady(t, out)
	got = beepTimes(t, out)
	assert.InDelta(t, want[len(want)-1]-3*1024/48000.0, got[len(got)-1], 0.002)
}

// Sound whose clock is a little fast or slow stays within the drift of it.
func TestSoundDrift(t *testing.T) {
	in := clip(t, beeps+"48000 -c:a aac -ac 2 -t 10")
	for i := range in {
		in[i].DTS += int64(i) // 1,000 ppm
		in[i].PTS = in[i].DTS
	}
	out := media(202, run(t, soundOnly, in))
	want, got := beepTimes2(t, in), beepTimes(t, out)
	assert.InDelta(t, want, got[len(got)-1], 0.006)
}

// beepTimes2 is where the last beep begins by the packets' own times.
func beepTimes2(t *testing.T, in []sluice.Packet) float64 {
	of := media(2, in)
	even := append([]sluice.Packet(nil), of...)
	for i := range even {
		even[i].DTS -= int64(i + 1)
		even[i].PTS = even[i].DTS
	}
	at := beepTimes(t, even)
	last := at[len(at)-1]
	for i, p := range even {
		if float64(p.PTS-testStart*48000)/48000 <= last && float64(p.PTS+1024-testStart*48000)/48000 > last {
			return last + float64(i+1)/48000
		}
	}
	return 0
}

// A flash and a beep every half second are together in every rendition.
func TestFlashAndBeep(t *testing.T) {
	in := clip(t, `-f lavfi -i color=black:s=160x90:r=50,drawbox=t=fill:c=white:enable=lt(mod(t\,0.5)\,0.1) `+beeps+
		"44100 -video_track_timescale 90000 -c:v libx264 -bf 2 -g 50 -c:a aac -ac 2 -t 4")
	out := run(t, Ladder{Renditions: []Rendition{{Height: 80}, {Height: 60, FPS: 25}}, Source: PassNever}, in)
	for _, sound := range []uint32{2, 202} {
		at := beepTimes(t, media(sound, out))
		for _, picture := range []uint32{101, 102} {
			flashes := flashTimes(t, media(picture, out))
			require.GreaterOrEqual(t, len(flashes), 7)
			for i, f := range flashes[1:] {
				assert.InDelta(t, f, at[len(at)-len(flashes)+1+i], 0.010, "flash %d of %d against %d", i, picture, sound)
			}
		}
	}
}

func flashTimes(t *testing.T, packets []sluice.Packet) (at []float64) {
	dark := true
	for _, s := range decodeVideo(t, packets) {
		bright := s.img.YCbCrAt(s.img.Rect.Dx()/2, s.img.Rect.Dy()/2).Y > 128
		if bright && dark {
			at = append(at, float64(s.pts-testStart*90000)/90000)
		}
		dark = !bright
	}
	return at
}

// Silence goes with a picture that has no sound.
func TestSilence(t *testing.T) {
	in := clip(t, bars+"-c:v libx264 -t 4 -g 25")
	l := one
	l.Silence = true
	out := run(t, l, in)
	for _, id := range []uint32{191, 192} {
		of := media(id, out)
		require.NotEmpty(t, of, "track %d", id)
		steady(t, of)
		assert.InDelta(t, 3, float64(of[len(of)-1].PTS-of[0].PTS)/48000, 0.1)
		s, _ := decodeAudio(t, of)
		for _, v := range s.left {
			require.Less(t, math.Abs(float64(v)), 0.001)
		}
	}
	assert.NotEmpty(t, media(101, out))
	assert.Empty(t, media(191, run(t, one, in)), "unless asked for")
}

// Every rendition begins where the source does: its announcement is true.
func TestSoundBeginsAtOnce(t *testing.T) {
	for _, args := range []string{beeps + "44100 -c:a aac -ac 2", beeps + "44100 -c:a libmp3lame -ac 2"} {
		in := clip(t, args+" -t 1")
		out := run(t, soundOnly, in)
		begin := in[0].Track.Time(in[0].PTS)
		seen := map[uint32]bool{}
		for _, p := range out {
			if p.Data != nil && !seen[p.Track.ID] {
				seen[p.Track.ID] = true
				assert.WithinDuration(t, begin, p.Track.Time(p.PTS), 30*time.Microsecond, "track %d of %s", p.Track.ID, args)
			}
		}
		assert.Len(t, seen, 2)
	}
}
