package transcode

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

// halves is a picture that is red at the left and blue at the right.
func halves(w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	draw.Draw(img, image.Rect(0, 0, w/2, h), image.NewUniform(color.NRGBA{R: 255, A: 255}), image.Point{}, draw.Src)
	draw.Draw(img, image.Rect(w/2, 0, w, h), image.NewUniform(color.NRGBA{B: 255, A: 255}), image.Point{}, draw.Src)
	return img
}

func TestStillShowsItsPicture(t *testing.T) {
	var asPNG, asJPEG bytes.Buffer
	require.NoError(t, png.Encode(&asPNG, halves(201, 100)))
	require.NoError(t, jpeg.Encode(&asJPEG, halves(201, 100), &jpeg.Options{Quality: 95}))
	for name, picture := range map[string][]byte{"PNG": asPNG.Bytes(), "JPEG": asJPEG.Bytes()} {
		src, err := Still{Width: 320, Height: 180, FPS: 30, Length: 3 * time.Second}.Clip(t.Context(), picture)
		require.NoError(t, err, name)
		var all []sluice.Packet
		for {
			p, err := src.ReadPacket(t.Context())
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
			all = append(all, p)
		}
		require.Len(t, all, 90)
		assert.Equal(t, []int64{0, 2 * 90000}, keys(all))
		_, err = codec.Native(all[0].Track)
		require.NoError(t, err)
		shows := decodeVideo(t, all)
		require.Len(t, shows, 90)
		img := shows[89].img
		assert.Equal(t, image.Pt(320, 180), img.Rect.Size())
		left, right, top := img.YCbCrAt(80, 90), img.YCbCrAt(240, 90), img.YCbCrAt(160, 3)
		assert.InDelta(t, 240, left.Cr, 10, "red")
		assert.InDelta(t, 240, right.Cb, 10, "blue")
		assert.InDelta(t, 16, top.Y, 6, "padded")
	}
}

func TestStillSaysWhatIsWrong(t *testing.T) {
	_, err := Still{}.Clip(t.Context(), []byte("no picture"))
	assert.ErrorContains(t, err, "PNG or JPEG")
	var huge bytes.Buffer
	require.NoError(t, png.Encode(&huge, image.NewGray(image.Rect(0, 0, 1<<17, 1000))))
	_, err = Still{}.Clip(t.Context(), huge.Bytes())
	assert.ErrorContains(t, err, "pixels")
	_, err = Still{FPS: 1000}.Clip(t.Context(), huge.Bytes())
	assert.ErrorContains(t, err, "frames a second")
}

// A slate, or another encoder, of another size, frame rate and colours comes
// out of a steady ladder with the parameters that were there before.
func TestSteadyRenditionsDoNotChange(t *testing.T) {
	first := clip(t, "-f lavfi -i testsrc2=s=320x180:r=30 -video_track_timescale 90000 -c:v libx264 -color_primaries bt709 -color_trc bt709 -colorspace bt709 -t 2 -g 30")
	slate := clip(t, "-f lavfi -i smptebars=s=160x120:r=25 -video_track_timescale 90000 -c:v libx264 -t 2 -g 25")
	for _, steady := range []bool{false, true} {
		l := Ladder{Renditions: []Rendition{{Height: 144, Bitrate: 300_000}}, Source: PassNever, Steady: steady}
		out := media(101, run(t, l, stampEras(append(media(1, first), later(media(1, slate), 2)...))))
		a, b := out[0].Track, out[len(out)-1].Track
		require.Equal(t, a.Era+1, b.Era)
		require.Equal(t, a.Maker, b.Maker)
		if !steady {
			assert.NotEqual(t, a.Config, b.Config)
			continue
		}
		assert.Equal(t, a.Config, b.Config, "the same parameter sets")
		assert.Equal(t, [2]int{256, 144}, [2]int{b.Width, b.Height})
		shows := decodeVideo(t, out)
		require.Len(t, shows, len(out), "one decoder takes both")
		img := shows[len(shows)-1].img
		assert.InDelta(t, 16, img.YCbCrAt(5, 72).Y, 6, "black beside a picture of another shape")
		assert.InDelta(t, 180, img.YCbCrAt(32+12, 48).Y, 12, "the bars")
	}
}

// later moves packets by seconds, into the next era.
func later(in []sluice.Packet, seconds int64) (all []sluice.Packet) {
	track := *in[0].Track
	track.Era++
	for _, p := range in {
		p.Track = &track
		p.DTS += seconds * int64(track.Timescale)
		p.PTS += seconds * int64(track.Timescale)
		all = append(all, p)
	}
	return all
}

// A worker that begins while the slate is on makes renditions of the size that
// the one before it made.
func TestSteadyRenditionsKeepTheirSizeInAnotherWorker(t *testing.T) {
	slate := clip(t, "-f lavfi -i smptebars=s=160x120:r=25 -video_track_timescale 90000 -c:v libx264 -t 1 -g 25")
	l := Ladder{Renditions: []Rendition{{Height: 144, Bitrate: 300_000}, {Height: 60, Bitrate: 100_000}}, Source: PassNever, Steady: true, MaxDelay: -1}
	o := newOutput(l.withDefaults(), &sluicetest.Slice{Packets: slate})
	o.resume(resume{Video: 1, Standings: []standing{{ID: 101, Era: 6, Width: 256, Height: 144}}})
	o.start(t.Context())
	defer o.Close()
	out, err := drainAll(t, o)
	require.NoError(t, err)
	for id, want := range map[uint32][2]int{101: {256, 144}, 102: {80, 60}} {
		made := media(id, out)
		require.Len(t, made, 25)
		assert.Equal(t, want, [2]int{made[0].Track.Width, made[0].Track.Height})
	}
}
