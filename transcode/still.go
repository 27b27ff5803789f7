package transcode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	_ "image/jpeg" // that pictures may be of
	_ "image/png"  // the same
	"time"

	"github.com/asticode/go-astiav"

	"github.com/sluice-live/sluice"
)

// Still makes a clip of a picture, such as a slate to be shown while an encoder
// is away. The zero value works.
type Still struct {
	// Width and Height of the clip; the picture is padded with black to their
	// shape. Default 1280 and 720.
	Width, Height int
	// FPS is the clip's frame rate, default 25: one like the streams' for which
	// it stands.
	FPS int
	// Length of the clip, default 4 s; a key frame each 2 s.
	Length time.Duration
	// Bitrate in bits a second, default 500,000: a picture that stands still
	// needs little.
	Bitrate int
}

const (
	stillScale  = 90000
	stillPixels = 64 << 20 // of the picture
	stillFrames = 10000
)

// Clip encodes a PNG or JPEG picture as H.264. The Source ends behind the clip.
func (s Still) Clip(ctx context.Context, picture []byte) (sluice.Source, error) {
	setDefault(&s.Width, 1280)
	setDefault(&s.Height, 720)
	setDefault(&s.FPS, 25)
	setDefault(&s.Length, 4*time.Second)
	setDefault(&s.Bitrate, 500_000)
	quietFFmpeg()
	packets, err := s.encode(ctx, picture)
	if err != nil {
		return nil, fmt.Errorf("transcode: clip of a picture: %w", err)
	}
	w, src := sluice.Pipe(len(packets))
	for _, p := range packets {
		if err := w.Write(ctx, p); err != nil {
			return nil, err
		}
	}
	w.Close(nil)
	return src, nil
}

func (s Still) encode(ctx context.Context, data []byte) (packets []sluice.Packet, err error) {
	r := Rendition{Width: s.Width, Height: s.Height, Fit: Pad, Bitrate: s.Bitrate, Buffer: 4 * s.Bitrate}
	frames := int(s.Length.Seconds()*float64(s.FPS) + 0.5)
	if err := r.check(); err != nil {
		return nil, err
	}
	if s.FPS < 1 || s.FPS > 120 || frames < 1 || frames > stillFrames {
		return nil, fmt.Errorf("%v at %d frames a second", s.Length, s.FPS)
	}
	img, err := opaque(data)
	if err != nil {
		return nil, err
	}
	fit, _ := r.sizeFor(img.Rect.Dx(), img.Rect.Dy())
	scaled, err := scaleStill(img, fit)
	if err != nil {
		return nil, err
	}
	defer scaled.Free()
	enc, err := openEncoder(r.encoder(), encoding{rendition: r, size: fit, fps: float64(s.FPS), fixed: true, timescale: stillScale, colour: scaled})
	if err != nil {
		return nil, err
	}
	defer enc.close()
	track := *enc.track
	track.ID, track.Timescale = 1, stillScale
	dur := int64(stillScale / s.FPS)
	take := func(e encoded) error {
		packets = append(packets, sluice.Packet{Track: &track, DTS: e.dts, PTS: e.pts, Dur: dur, Key: e.key, Data: e.data})
		return nil
	}
	for n := range frames {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		scaled.SetPts(int64(n) * dur)
		scaled.SetPictureType(astiav.PictureTypeNone)
		if n%(2*s.FPS) == 0 {
			scaled.SetPictureType(astiav.PictureTypeI)
		}
		if err := enc.send(scaled, take); err != nil {
			return nil, err
		}
	}
	return packets, enc.send(nil, take)
}

// opaque decodes a picture, on black where it is transparent.
func opaque(data []byte) (*image.NRGBA, error) {
	head, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("it is to be a PNG or JPEG picture: %w", err)
	}
	if head.Width < 1 || head.Height < 1 || head.Width*head.Height > stillPixels {
		return nil, fmt.Errorf("a picture of %d×%d pixels", head.Width, head.Height)
	}
	picture, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	img := image.NewNRGBA(image.Rectangle{Max: picture.Bounds().Size()})
	draw.Draw(img, img.Rect, image.NewUniform(color.Black), image.Point{}, draw.Src)
	draw.Draw(img, img.Rect, picture, picture.Bounds().Min, draw.Over)
	return img, nil
}

// scaleStill returns the picture in the clip's size and pixels.
func scaleStill(img *image.NRGBA, to size) (*astiav.Frame, error) {
	f, err := frameOf(img)
	if err != nil {
		return nil, err
	}
	defer f.Free()
	f.SetPts(0)
	g, err := newGraph(pictureOf(f, stillScale), []size{to}, nil, 0)
	if err != nil {
		return nil, err
	}
	defer g.close()
	var out *astiav.Frame
	err = g.push(f, func(_ int, _ int64, scaled *astiav.Frame) error {
		if out != nil {
			out.Free()
		}
		out = scaled
		return nil
	})
	if err == nil && out == nil {
		err = errors.New("its size could not be changed")
	}
	return out, err
}
