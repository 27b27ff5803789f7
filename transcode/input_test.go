package transcode

import (
	"fmt"
	"image"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

// one is a ladder of one small H.264 rendition, whatever comes in.
var one = Ladder{Renditions: []Rendition{{Height: 90, Bitrate: 300_000}}, Source: PassNever}

// bars are eight columns of colour, the same in every picture.
const bars = "-f lavfi -i smptebars=s=320x180:r=25 -video_track_timescale 90000 "

// Everything that a publisher may send comes out as H.264 with the picture that
// went in.
func TestInputs(t *testing.T) {
	for _, c := range []struct {
		name, args string
		codec      string
		fps        int
	}{
		{"H.264", bars + "-c:v libx264", "avc1", 25},
		{"H.264 4:2:2 10 bit", bars + "-c:v libx264 -pix_fmt yuv422p10le", "avc1", 25},
		{"H.264 4:4:4", bars + "-c:v libx264 -pix_fmt yuv444p", "avc1", 25},
		{"H.264 full range", bars + "-c:v libx264 -pix_fmt yuvj420p", "avc1", 25},
		{"H.264 60 fps", "-f lavfi -i smptebars=s=320x180:r=60 -video_track_timescale 90000 -c:v libx264 -bf 3", "avc1", 60},
		{"odd size", "-f lavfi -i smptebars=s=321x181:r=25 -video_track_timescale 90000 -pix_fmt yuv444p -c:v libx264", "avc1", 25},
		{"HEVC", bars + "-c:v libx265 -tag:v hvc1 -x265-params log-level=none", "hvc1", 25},
		{"HEVC 10 bit", bars + "-c:v libx265 -pix_fmt yuv420p10le -tag:v hvc1 -x265-params log-level=none", "hvc1", 25},
		{"MPEG-2", bars + "-c:v mpeg2video -q:v 3 -bf 2", "mp4v", 25},
		{"VP9", bars + "-c:v libvpx-vp9 -deadline realtime -cpu-used 8", "vp09", 25},
		{"AV1", bars + "-c:v libsvtav1 -preset 12", "av01", 25},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := clip(t, c.args+" -t 2 -g 25")
			require.Equal(t, c.codec, in[0].Track.Codec.String())
			out := media(101, run(t, one, in))
			assert.Equal(t, "avc1", out[0].Track.Codec.String())
			assert.Equal(t, [2]int{160, 90}, [2]int{out[0].Track.Width, out[0].Track.Height})
			assert.InDelta(t, 2*c.fps, len(out), 2)
			shows := decodeVideo(t, out)
			checkBars(t, shows[len(shows)-1].img)
		})
	}
}

// VP8 has no place in ffmpeg's MP4; its packets are those of an IVF file.
func TestVP8(t *testing.T) {
	in := vp8(t)
	out := media(101, run(t, one, in))
	assert.InDelta(t, 50, len(out), 1)
	shows := decodeVideo(t, out)
	checkBars(t, shows[len(shows)-1].img)
}

// checkBars holds a picture to smptebars: light grey at the left, blue at the
// right of the upper part.
func checkBars(t *testing.T, img *image.YCbCr) {
	t.Helper()
	w, h := img.Rect.Dx(), img.Rect.Dy()
	for _, c := range []struct {
		name      string
		at        float64
		y, cb, cr float64
	}{{"grey", 0.07, 180, 128, 128}, {"yellow", 0.21, 168, 44, 136}, {"green", 0.5, 112, 72, 58}, {"blue", 0.93, 35, 212, 114}} {
		got := img.YCbCrAt(int(c.at*float64(w)), h/3)
		assert.InDelta(t, c.y, got.Y, 12, "%s Y", c.name)
		assert.InDelta(t, c.cb, got.Cb, 14, "%s Cb", c.name)
		assert.InDelta(t, c.cr, got.Cr, 14, "%s Cr", c.name)
	}
}

// Interlaced pictures come out without combs: of two fields that show other
// things, no line differs much from the one below.
func TestInterlaced(t *testing.T) {
	in := clip(t, "-f lavfi -i testsrc2=s=320x180:r=50 -vf interlace=lowpass=0 -flags +ildct+ilme -x264-params tff=1 -c:v libx264 -video_track_timescale 90000 -t 2 -g 25")
	l := one
	l.Renditions = []Rendition{{Height: 180, Bitrate: 3_000_000}}
	out := media(101, run(t, l, in))
	assert.Len(t, out, 50)
	assert.Equal(t, keys(media(1, in)), keys(out))
	assert.Less(t, combs(decodeVideo(t, out)), combs(decodeVideo(t, media(1, in)))/2)
}

// combs sums how much lines differ from both neighbours in the same direction.
func combs(shows []shown) (sum int) {
	for _, s := range shows {
		y := func(x, l int) int { return int(s.img.Y[l*s.img.YStride+x]) }
		for l := 1; l < s.img.Rect.Dy()-1; l++ {
			for x := range s.img.Rect.Dx() {
				up, down := y(x, l)-y(x, l-1), y(x, l)-y(x, l+1)
				if up > 20 && down > 20 || up < -20 && down < -20 {
					sum++
				}
			}
		}
	}
	return sum
}

// A 720p source gets no 1080p rendition, and none is enlarged.
func TestNoUpscale(t *testing.T) {
	in := clip(t, "-f lavfi -i testsrc2=s=1280x720:r=10 -video_track_timescale 90000 -c:v libx264 -preset ultrafast -t 0.5")
	heights := func(l Ladder) (all []int) {
		l.Audio = []AudioRendition{}
		seen := map[uint32]bool{}
		for _, p := range run(t, l, in) {
			if !seen[p.Track.ID] {
				seen[p.Track.ID] = true
				all = append(all, p.Track.Height)
			}
		}
		return all
	}
	assert.ElementsMatch(t, []int{720, 480, 360, 240}, heights(Ladder{Renditions: FullHD}), "720 is the source itself")
	assert.ElementsMatch(t, []int{720, 480, 360, 240}, heights(Ladder{Renditions: FullHD, Source: PassNever}))
	assert.ElementsMatch(t, []int{720}, heights(Ladder{Renditions: []Rendition{{Height: 1080}}, Source: PassNever}), "all are larger: the smallest, in the source's size")
	assert.Empty(t, heights(Ladder{Renditions: AudioOnly}))
	assert.ElementsMatch(t, []int{720}, heights(Ladder{Renditions: AudioOnly, Source: PassAlways}))
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		r    Rendition
		w, h int
		want size
		fits bool
	}{
		{Rendition{Height: 720}, 1920, 1080, size{1280, 720, 1280, 720}, true},
		{Rendition{Height: 720}, 1080, 1920, size{720, 1280, 720, 1280}, true},
		{Rendition{Height: 480}, 1920, 1080, size{854, 480, 854, 480}, true},
		{Rendition{Width: 640}, 1920, 1080, size{640, 360, 640, 360}, true},
		{Rendition{Width: 640, Height: 640}, 1920, 1080, size{640, 360, 640, 360}, true},
		{Rendition{Width: 640, Height: 640, Fit: Pad}, 1920, 1080, size{640, 360, 640, 640}, true},
		{Rendition{Width: 640, Height: 640, Fit: Crop}, 1920, 1080, size{1138, 640, 640, 640}, true},
		{Rendition{Height: 1080}, 1280, 720, size{1920, 1080, 1920, 1080}, false},
		{Rendition{Height: 180}, 321, 181, size{320, 180, 320, 180}, true},
		{Rendition{Height: 720}, 1280, 720, size{1280, 720, 1280, 720}, true},
	} {
		got, fits := c.r.sizeFor(c.w, c.h)
		assert.Equal(t, c.want, got, "%+v of %dx%d", c.r, c.w, c.h)
		assert.Equal(t, c.fits, fits, "%+v of %dx%d", c.r, c.w, c.h)
	}
}

// Cropped and padded renditions beside a whole one, which takes from the source
// and not from them.
func TestFit(t *testing.T) {
	in := clip(t, bars+"-c:v libx264 -t 0.4")
	out := run(t, Ladder{Source: PassNever, Renditions: []Rendition{
		{Width: 180, Height: 180, Fit: Crop, Bitrate: 1e6}, {Width: 160, Height: 160, Fit: Pad, Bitrate: 1e6}, {Height: 90, Bitrate: 1e6},
	}}, in)
	crop, pad, whole := decodeVideo(t, media(101, out)), decodeVideo(t, media(102, out)), decodeVideo(t, media(103, out))
	checkBars(t, whole[0].img)
	assert.Equal(t, image.Rect(0, 0, 180, 180), crop[0].img.Rect)
	assert.InDelta(t, 112, crop[0].img.YCbCrAt(90, 60).Y, 12, "green is in the middle")
	assert.InDelta(t, 72, crop[0].img.YCbCrAt(90, 60).Cb, 14)
	assert.InDelta(t, 16, pad[0].img.YCbCrAt(80, 5).Y, 4, "black above")
	assert.InDelta(t, 112, pad[0].img.YCbCrAt(80, 60).Y, 12)
}

// The stream goes on when the encoder changes size, codec and frame rate: each
// a new description with a new era.
func TestChangeMidStream(t *testing.T) {
	var in []sluice.Packet
	at := int64(0) // seconds
	for i, args := range []string{
		bars + "-c:v libx264 -bf 2",
		"-f lavfi -i smptebars=s=640x360:r=50 -video_track_timescale 90000 -c:v libx265 -tag:v hvc1 -x265-params log-level=none",
		"-f lavfi -i smptebars=s=180x320:r=25 -video_track_timescale 90000 -c:v mpeg2video -q:v 3",
		"-f lavfi -i smptebars=s=64x48:r=25 -video_track_timescale 90000 -c:v libx264 -pix_fmt yuv444p",
	} {
		part := demux(t, encodeMP4(t, args+" -t 2 -g 25"))
		track := *part[0].Track
		track.Era = uint32(i + 1)
		for _, p := range part {
			p.Track = &track
			p.DTS += at * 90000
			p.PTS += at * 90000
			in = append(in, p)
		}
		at += 3
	}
	in = stampEras(in)
	l := one
	l.Renditions = []Rendition{{Height: 90, Bitrate: 300_000}, {Height: 80, Bitrate: 200_000}}
	out := run(t, l, in)
	eras := map[uint32]int{}
	for _, p := range media(101, out) {
		eras[p.Track.Era]++
	}
	assert.Len(t, eras, 4)
	for era, n := range eras {
		assert.InDelta(t, map[uint32]int{1: 50, 2: 100, 3: 50, 4: 50}[era], n, 3, "era %d", era)
	}
	for era, want := range map[uint32][2]int{1: {160, 90}, 2: {160, 90}, 3: {90, 160}, 4: {64, 48}} {
		for _, p := range media(101, out) {
			if p.Track.Era == era {
				assert.Equal(t, want, [2]int{p.Track.Width, p.Track.Height}, "era %d", era)
				break
			}
		}
	}
	assert.Equal(t, numbers(sluicetest.Of(1, in)), numbers(sluicetest.Of(101, out)))
	assert.Equal(t, numbers(sluicetest.Of(1, in)), numbers(sluicetest.Of(102, out)))
}

// stampEras stamps each era by itself, each at the next number.
func stampEras(in []sluice.Packet) (all []sluice.Packet) {
	var number uint64
	for len(in) > 0 {
		n := 0
		for n < len(in) && in[n].Track == in[0].Track {
			n++
		}
		part := stampAll(in[:n], 1)
		if number != 0 {
			back := part[0].Segment - number - 1
			for i := range part {
				part[i].Segment -= back
			}
		}
		number = part[len(part)-1].Segment
		all, in = append(all, part...), in[n:]
	}
	return all
}

// numbers lists the segments that packets are in, with their eras.
func numbers(packets []sluice.Packet) (all []string) {
	for _, p := range packets {
		s := fmt.Sprintf("%d/%d", p.Track.Era, p.Segment)
		if len(all) == 0 || all[len(all)-1] != s {
			all = append(all, s)
		}
	}
	return all
}

// A stream whose parameter sets change without a word keeps its renditions.
func TestChangeUnannounced(t *testing.T) {
	a := demux(t, encodeMP4(t, bars+"-c:v libx264 -bsf:v dump_extra -t 1"))
	b := demux(t, encodeMP4(t, "-f lavfi -i smptebars=s=256x144:r=25 -video_track_timescale 90000 -c:v libx264 -bsf:v dump_extra -t 1"))
	for _, p := range b {
		p.Track, p.DTS, p.PTS = a[0].Track, p.DTS+90000, p.PTS+90000
		a = append(a, p)
	}
	out := media(101, run(t, one, stampAll(a, 1)))
	assert.InDelta(t, 50, len(out), 3)
	shows := decodeVideo(t, out)
	checkBars(t, shows[len(shows)-1].img)
}

// Frames of irregular distance keep their times.
func TestVariableFrameRate(t *testing.T) {
	in := clip(t, "-f lavfi -i testsrc2=s=320x180:r=50 -vf select='not(mod(n,7))+not(mod(n,5))' -vsync vfr -video_track_timescale 90000 -c:v libx264 -bf 2 -t 3 -g 10")
	out := media(101, run(t, one, in))
	var want, got []int64
	for _, p := range media(1, in) {
		want = append(want, p.PTS)
	}
	for _, p := range out {
		got = append(got, p.PTS)
	}
	assert.ElementsMatch(t, want, got)
	assert.Equal(t, keys(media(1, in)), keys(out))
}

// A watermark reaches every rendition behind all that was before it, and one
// that opens a segment opens it everywhere.
func TestWatermarks(t *testing.T) {
	in := clip(t, "-f lavfi -i smptebars=s=320x180:r=25 -f lavfi -i sine=r=44100 -video_track_timescale 90000 -c:v libx264 -bf 2 -g 25 -c:a aac -t 2")
	last := map[uint32]sluice.Packet{}
	for _, p := range in {
		last[p.Track.ID] = p
	}
	for _, id := range []uint32{1, 2} {
		p := last[id]
		wm := sluice.Packet{Track: p.Track, Segment: p.Segment + 1, DTS: (testStart + 5) * int64(p.Track.Timescale)}
		wm.PTS = wm.DTS
		in = append(in, wm)
	}
	l := one
	l.Source = PassAuto
	out := run(t, l, in)
	for _, id := range []uint32{1, 101, 2, 202} {
		of := sluicetest.Of(id, out)
		require.NotEmpty(t, of, "track %d", id)
		first, end := of[0], of[len(of)-1]
		assert.Nil(t, first.Data, "track %d is announced", id)
		assert.Nil(t, end.Data, "track %d", id)
		assert.Equal(t, last[1].Segment+1, end.Segment, "track %d", id)
		assert.Equal(t, time.Unix(testStart+5, 0).UTC(), end.Track.Time(end.DTS), "track %d", id)
	}
}

// A picture that is to be turned comes out upright: the bars, which stand side
// by side, are laid one upon another.
func TestRotated(t *testing.T) {
	in := clip(t, bars+"-c:v libx264 -g 25 -t 1 -bsf:v h264_metadata=display_orientation=insert:rotate=90")
	l := one
	l.Renditions = []Rendition{{Height: 90, Bitrate: 1e6}}
	out := media(101, run(t, l, in))
	assert.Equal(t, [2]int{90, 160}, [2]int{out[0].Track.Width, out[0].Track.Height})
	img := decodeVideo(t, out)[5].img
	first, last := img.YCbCrAt(30, 150), img.YCbCrAt(30, 8) // as ffmpeg turns it
	assert.InDelta(t, 180, first.Y, 12, "grey below")
	assert.InDelta(t, 35, last.Y, 12, "blue above")
}
