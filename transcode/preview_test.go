package transcode

import (
	"bytes"
	"image/jpeg"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

func TestPreviewsConform(t *testing.T) {
	sluicetest.Sink(t, func(testing.TB) sluice.Sink { return new(Previews) })
}

// The newest key frame is there as a JPEG, in its colours, for every codec.
func TestPreview(t *testing.T) {
	for _, args := range []string{"-c:v libx264 -bf 2", "-c:v libx265 -tag:v hvc1 -x265-params log-level=none", "-c:v mpeg2video -q:v 3", "-c:v libsvtav1 -preset 12"} {
		in := clip(t, bars+args+" -g 25 -t 3")
		p := &Previews{Width: 160, Interval: time.Second}
		require.NoError(t, p.Consume(t.Context(), &sluicetest.Slice{Packets: in}))
		b, at := p.Latest()
		img, err := jpeg.Decode(bytes.NewReader(b))
		require.NoError(t, err, args)
		assert.Equal(t, 160, img.Bounds().Dx())
		assert.Equal(t, time.Unix(testStart+2, 0).UTC(), at.Truncate(time.Second), args)
		r, g, blue, _ := img.At(11, 30).RGBA()
		assert.InDelta(t, 191, r>>8, 12, args)
		assert.InDelta(t, 191, g>>8, 12, args)
		assert.InDelta(t, 191, blue>>8, 12, args)
		r, g, blue, _ = img.At(148, 30).RGBA()
		assert.Less(t, r>>8, uint32(40), args)
		assert.Less(t, g>>8, uint32(40), args)
		assert.Greater(t, blue>>8, uint32(150), args)
	}
}

// Sprites hold the pictures of a stream in order, and their index says where.
func TestStoryboard(t *testing.T) {
	in := clip(t, "-f lavfi -i color=black:s=320x180:r=25,geq=lum='16+T*40':cb=128:cr=128 -video_track_timescale 90000 -c:v libx264 -g 25 -t 5")
	var sprites []Sprite
	p := &Previews{Interval: time.Second, Columns: 2, Rows: 2, TileWidth: 64, OnSprite: func(s Sprite) { sprites = append(sprites, s) }}
	require.NoError(t, p.Consume(t.Context(), &sluicetest.Slice{Packets: in}))
	require.Len(t, sprites, 2)
	assert.Len(t, sprites[0].Start, 4)
	assert.Len(t, sprites[1].Start, 1)
	img, err := jpeg.Decode(bytes.NewReader(sprites[0].JPEG))
	require.NoError(t, err)
	assert.Equal(t, 128, img.Bounds().Dx())
	assert.Equal(t, 72, img.Bounds().Dy())
	for i := range 4 {
		r, _, _, _ := img.At(i%2*64+32, i/2*36+18).RGBA()
		assert.InDelta(t, float64(i)*40*255/219, r>>8, 8, "tile %d", i)
	}
	var index []byte
	for _, s := range sprites {
		index = s.AppendWebVTT(index, "sheet.jpg", time.Unix(testStart, 0))
	}
	assert.True(t, strings.HasPrefix(string(index), "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nsheet.jpg#xywh=0,0,64,36\n\n00:00:01.000 --> 00:00:02.000\nsheet.jpg#xywh=64,0,64,36\n"), "%s", index)
	assert.Equal(t, 5, strings.Count(string(index), "-->"))
}

// A picture that is all height makes no sheet of gigabytes.
func TestStoryboardOfATallPicture(t *testing.T) {
	in := clip(t, "-f lavfi -i color=white:s=64x4096:r=5 -video_track_timescale 90000 -c:v libx264 -g 5 -t 1")
	var sprites []Sprite
	p := &Previews{OnSprite: func(s Sprite) { sprites = append(sprites, s) }}
	require.NoError(t, p.Consume(t.Context(), &sluicetest.Slice{Packets: in}))
	require.Len(t, sprites, 1)
	assert.LessOrEqual(t, sprites[0].TileHeight, 4*sprites[0].TileWidth)
	img, err := jpeg.Decode(bytes.NewReader(sprites[0].JPEG))
	require.NoError(t, err)
	r, _, _, _ := img.At(2, sprites[0].TileHeight/2).RGBA()
	assert.Greater(t, r>>8, uint32(200))
}
