package transcode

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

const gray = "-f lavfi -i color=gray:s=320x180:r=25 -video_track_timescale 90000 -c:v libx264 -g 25 "

// logoPNG is a white square, half of it transparent.
func logoPNG(t *testing.T) []byte {
	img := image.NewNRGBA(image.Rect(0, 0, 20, 20))
	for y := range 20 {
		for x := range 10 {
			img.Set(x, y, color.White)
		}
	}
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, img))
	return b.Bytes()
}

var twoSizes = []Rendition{{Height: 120, Bitrate: 2e6}, {Height: 60, Bitrate: 2e6}}

// A logo is where it should be in every rendition, and half of it is not.
func TestLogo(t *testing.T) {
	in := clip(t, gray+"-t 0.2")
	for anchor := TopLeft; anchor <= BottomRight; anchor++ {
		for _, before := range []bool{false, true} {
			o := new(Overlays)
			require.NoError(t, o.Set(Overlay{PNG: logoPNG(t), Anchor: anchor, X: 0.1, Y: 0.1, Size: 0.2, BeforeScaling: before}))
			out := run(t, Ladder{Renditions: twoSizes, Overlays: o}, in)
			require.Empty(t, media(1, out), "the source has no logo and stays behind")
			for _, id := range []uint32{101, 102} {
				img := decodeVideo(t, media(id, out))[2].img
				w, h := float64(img.Rect.Dx()), float64(img.Rect.Dy())
				side := 0.2 * h
				x := []float64{0.1 * w, (w-side)/2 + 0.1*w, w - side - 0.1*w}[anchor%3]
				y := []float64{0.1 * h, (h-side)/2 + 0.1*h, h - side - 0.1*h}[anchor/3]
				at := func(fx, fy float64) float64 { return float64(img.YCbCrAt(int(x+fx*side), int(y+fy*side)).Y) }
				assert.InDelta(t, 235, at(0.25, 0.5), 20, "white half; anchor %d, before %t, track %d", anchor, before, id)
				assert.InDelta(t, 126, at(0.75, 0.5), 20, "transparent half; anchor %d, before %t, track %d", anchor, before, id)
				assert.InDelta(t, 126, at(-0.4, 0.5), 20, "beside; anchor %d, before %t, track %d", anchor, before, id)
			}
		}
	}
}

// Opacity mixes with what is below.
func TestOpacity(t *testing.T) {
	o := new(Overlays)
	require.NoError(t, o.Set(Overlay{PNG: logoPNG(t), Opacity: 0.5, Size: 0.5}))
	out := run(t, Ladder{Renditions: twoSizes, Overlays: o}, clip(t, gray+"-t 0.2"))
	assert.InDelta(t, (235+126)/2, decodeVideo(t, media(101, out))[0].img.YCbCrAt(10, 10).Y, 12)
}

func brightest(img *image.YCbCr) (most uint8) {
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			most = max(most, img.Y[y*img.YStride+x])
		}
	}
	return most
}

// Text and clock are there, in every rendition, until they are removed, from
// one frame to the next.
func TestTextChangesWhileRunning(t *testing.T) {
	in := clip(t, gray+"-t 3")
	o := new(Overlays)
	require.NoError(t, o.Set(Overlay{Text: "Live: 100% 'it\\'s' on\nair", Size: 0.2}, Overlay{Clock: "%H:%M:%S", Size: 0.2, Anchor: BottomRight}))
	src, err := Ladder{Renditions: twoSizes, Audio: []AudioRendition{}, Overlays: o, MaxDelay: -1}.Transform(t.Context(), &sluicetest.Slice{Packets: in})
	require.NoError(t, err)
	defer src.Close()
	all := map[uint32][]sluice.Packet{}
	for n := 0; ; n++ {
		p, err := src.ReadPacket(t.Context())
		if err != nil {
			break
		}
		if p.Data != nil {
			all[p.Track.ID] = append(all[p.Track.ID], p)
		}
		if n == 10 {
			require.NoError(t, o.Set())
		}
	}
	for _, id := range []uint32{101, 102} {
		shows := decodeVideo(t, all[id])
		require.Len(t, shows, 75)
		assert.Greater(t, brightest(shows[0].img), uint8(190), "text is there")
		assert.Less(t, brightest(shows[74].img), uint8(150), "and gone")
	}
}

// The clock shows the picture's time: it differs from second to second only,
// and from another zone's.
func TestClock(t *testing.T) {
	in := clip(t, gray+"-t 2")
	look := func(offset time.Duration) []shown {
		o := new(Overlays)
		require.NoError(t, o.Set(Overlay{Clock: "%H:%M:%S", ClockOffset: offset, Size: 0.3, Anchor: Center}))
		return decodeVideo(t, media(101, run(t, Ladder{Renditions: twoSizes[:1], Overlays: o}, in)))
	}
	utc, other := look(0), look(7*time.Hour)
	assert.Less(t, difference(utc[5].img, utc[20].img), 20)
	assert.Greater(t, difference(utc[20].img, utc[30].img), 50, "the second changed")
	assert.Greater(t, difference(utc[20].img, other[20].img), 50, "another hour")
}

// difference counts pixels that differ much.
func difference(a, b *image.YCbCr) (n int) {
	for i := range a.Y {
		if d := int(a.Y[i]) - int(b.Y[i]); d > 40 || d < -40 {
			n++
		}
	}
	return n
}

func TestOverlayErrors(t *testing.T) {
	for name, o := range map[string]Overlay{
		"nothing":       {},
		"both":          {Text: "a", PNG: logoPNG(t)},
		"no PNG":        {PNG: []byte("GIF89a")},
		"cut PNG":       {PNG: logoPNG(t)[:60]},
		"anchor":        {Text: "a", Anchor: 9},
		"colour":        {Text: "a", Color: "red:x=1"},
		"no such color": {Text: "a", Color: "nocolour"},
		"font":          {Text: "a", Font: []byte("no font")},
		"opacity":       {Text: "a", Opacity: 2},
	} {
		assert.Error(t, new(Overlays).Set(o), name)
	}
}
