package transcode

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/asticode/go-astiav"
	"golang.org/x/image/font/gofont/goregular"
)

// Anchor is one of nine places of a picture.
type Anchor uint8

// The anchors, row by row.
const (
	TopLeft Anchor = iota
	Top
	TopRight
	Left
	Center
	Right
	BottomLeft
	Bottom
	BottomRight
)

// Overlay is a logo, a text or a clock that is burnt into the picture. Exactly
// one of PNG, Text and Clock is set.
type Overlay struct {
	// PNG is a picture in that format, with or without alpha, of up to 16
	// megapixels.
	PNG []byte
	// Text may have several lines.
	Text string
	// Clock shows the time of the picture in strftime's format ("%H:%M:%S"), in
	// UTC shifted by ClockOffset.
	Clock       string
	ClockOffset time.Duration

	// Anchor is the place, X and Y how far from it, inward from an edge, right
	// and down from the centre, as fractions of the picture's width and height.
	Anchor Anchor
	X, Y   float64
	// Size is the height of the logo or of a line of text, as a fraction of the
	// picture's height. Default: the logo's own pixels, and 0.05 for text.
	Size float64
	// Opacity of the whole, from above 0 to 1; default 1.
	Opacity float64
	// BeforeScaling puts it into the source's picture, to be scaled with it: once
	// for all renditions, and cut where they are. Default: into each rendition,
	// where it is sharp.
	BeforeScaling bool

	// Color of text, by FFmpeg's names or as 0xRRGGBB, and of a box behind it;
	// default white and no box. Font is a TrueType or OpenType file's content;
	// default Go Regular.
	Color, Box string
	Font       []byte
}

// Overlays is what is burnt in at the moment. It may be changed while ladders
// use it; the zero value is empty.
type Overlays struct {
	mu      sync.Mutex
	list    []Overlay
	version uint64
}

// Set replaces what is burnt in, from the next frame on; nothing removes it. On
// an error all stays as it was.
func (o *Overlays) Set(list ...Overlay) error {
	for i := range list {
		if err := list[i].check(); err != nil {
			return fmt.Errorf("transcode: overlay %d: %w", i+1, err)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = slices.Clone(list)
	o.version++
	return nil
}

func (o *Overlays) now() (list []Overlay, version uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.list, o.version
}

const maxLogoPixels = 16 << 20

var colorName = regexp.MustCompile(`^(0x|#)?[0-9A-Za-z]{1,32}(@[0-9.]{1,8})?$`)

func (o *Overlay) check() error {
	set := 0
	for _, is := range []bool{len(o.PNG) > 0, o.Text != "", o.Clock != ""} {
		if is {
			set++
		}
	}
	switch {
	case set != 1:
		return errors.New("set one of PNG, Text and Clock")
	case o.Anchor > BottomRight:
		return fmt.Errorf("there is no anchor %d", o.Anchor)
	case !(o.Size >= 0 && o.Size <= 1 && o.Opacity >= 0 && o.Opacity <= 1 && o.X > -2 && o.X < 2 && o.Y > -2 && o.Y < 2):
		return errors.New("sizes, opacity and offsets are fractions")
	case len(o.Text)+len(o.Clock) > 4096 || strings.ContainsRune(o.Text+o.Clock, 0):
		return errors.New("text is longer than 4,096 bytes, or has a zero in it")
	case o.Color != "" && !colorName.MatchString(o.Color) || o.Box != "" && !colorName.MatchString(o.Box):
		return errors.New("colours are names or 0xRRGGBB")
	}
	if len(o.PNG) > 0 {
		c, err := png.DecodeConfig(bytes.NewReader(o.PNG))
		if err != nil {
			return fmt.Errorf("PNG: %w", err)
		}
		if c.Width*c.Height > maxLogoPixels {
			return fmt.Errorf("PNG of %dx%d pixels is too large", c.Width, c.Height)
		}
		_, err = png.Decode(bytes.NewReader(o.PNG))
		return err
	}
	return o.tryText()
}

// tryText finds out whether FFmpeg takes font and colours.
func (o *Overlay) tryText() error {
	quietFFmpeg()
	p := picture{w: 64, h: 64, format: astiav.PixelFormatYuv420P, aspect: astiav.NewRational(1, 1), timescale: 1}
	g, err := newGraph(p, []size{sourceSize(64, 64)}, []Overlay{*o}, 0)
	if err == nil {
		g.close()
	}
	return err
}

// place writes a coordinate: at is 0 for the near edge, 1 for the middle, 2 for
// the far one.
func place(at Anchor, offset float64, whole, own string, pixels int) string {
	d := int(offset*float64(pixels) + 0.5)
	switch at {
	case 0:
		return strconv.Itoa(d)
	case 1:
		return fmt.Sprintf("(%s-%s)/2+%d", whole, own, d)
	}
	return fmt.Sprintf("%s-%s-%d", whole, own, d)
}

func (o *Overlay) opacity() float64 {
	if o.Opacity == 0 {
		return 1
	}
	return o.Opacity
}

// overlay adds to the picture from, of the given size, what belongs before or
// after scaling, and returns the label of the result.
func (b *builder) overlay(from string, list []Overlay, before bool, w, h int) (string, error) {
	for i := range list {
		o := &list[i]
		if o.BeforeScaling != before {
			continue
		}
		to := b.label()
		if len(o.PNG) > 0 {
			if err := b.logo(from, to, o, w, h); err != nil {
				return "", err
			}
		} else if err := b.text(from, to, o, w, h); err != nil {
			return "", err
		}
		from = to
	}
	return from, nil
}

func (b *builder) text(from, to string, o *Overlay, w, h int) error {
	font, text := o.Font, o.Text
	if len(font) == 0 {
		font = goregular.TTF
	}
	expansion := "none"
	if o.Clock != "" {
		expansion = "normal"
		offset := b.base/int64(b.timescale) + int64(o.ClockOffset/time.Second)
		text = fmt.Sprintf("%%{pts:gmtime:%d:%s}", offset, strings.NewReplacer(`\`, `\\`, ":", `\:`, "}", `\}`).Replace(o.Clock))
	}
	fontFile, err := b.file(font)
	if err != nil {
		return err
	}
	textFile, err := b.file([]byte(text))
	if err != nil {
		return err
	}
	height, colour := o.Size, o.Color
	if height == 0 {
		height = 0.05
	}
	if colour == "" {
		colour = "white"
	}
	filter := fmt.Sprintf("drawtext=fontfile=%s:textfile=%s:expansion=%s:fontsize=%d:fontcolor=%s:alpha=%.3f:x=%s:y=%s",
		fontFile, textFile, expansion, max(4, int(height*float64(h)+0.5)), colour, o.opacity(),
		place(o.Anchor%3, o.X, "w", "text_w", w), place(o.Anchor/3, o.Y, "h", "text_h", h))
	if o.Box != "" {
		filter += ":box=1:boxborderw=4:boxcolor=" + o.Box
	}
	b.chain(from, filter, to)
	return nil
}

// file writes what drawtext reads from a file while it is configured.
func (b *builder) file(content []byte) (string, error) {
	f, err := os.CreateTemp("", "sluice-overlay-")
	if err != nil {
		return "", err
	}
	b.files = append(b.files, f.Name())
	_, err = f.Write(content)
	return f.Name(), errors.Join(err, f.Close())
}

// logo is a picture that a graph gets through an input of its own.
type logo struct {
	name  string
	image *image.NRGBA
}

func (b *builder) logo(from, to string, o *Overlay, w, h int) error {
	img, err := png.Decode(bytes.NewReader(o.PNG))
	if err != nil {
		return fmt.Errorf("PNG: %w", err)
	}
	l := &logo{name: fmt.Sprintf("logo%d", len(b.logos)), image: image.NewNRGBA(image.Rectangle{Max: img.Bounds().Size()})}
	draw.Draw(l.image, l.image.Rect, img, img.Bounds().Min, draw.Src)
	for i := 3; i < len(l.image.Pix); i += 4 {
		l.image.Pix[i] = byte(float64(l.image.Pix[i])*o.opacity() + 0.5)
	}
	b.logos = append(b.logos, l)
	in := "[" + l.name + "]"
	if o.Size > 0 {
		scaled := b.label()
		b.chain(in, fmt.Sprintf("scale=-1:%d", max(1, int(o.Size*float64(h)+0.5))), scaled)
		in = scaled
	}
	b.chain(from+in, fmt.Sprintf("overlay=eof_action=repeat:x=%s:y=%s",
		place(o.Anchor%3, o.X, "W", "w", w), place(o.Anchor/3, o.Y, "H", "h", h)), to)
	return nil
}

// logoInputs returns the graph's inputs: its own and one for each logo.
func (b *builder) logoInputs(g *graph) (*astiav.FilterInOut, []*astiav.BuffersrcFilterContext, error) {
	inputs := linkTo(g.src.FilterContext(), "in", nil)
	var srcs []*astiav.BuffersrcFilterContext
	for _, l := range b.logos {
		src, err := bufferSource(g.g, l.name, picture{
			w: l.image.Rect.Dx(), h: l.image.Rect.Dy(), format: astiav.PixelFormatRgba,
			aspect: astiav.NewRational(1, 1), timescale: b.timescale,
		})
		if err != nil {
			inputs.Free()
			return nil, nil, err
		}
		srcs = append(srcs, src)
		inputs = linkTo(src.FilterContext(), l.name, inputs)
	}
	return inputs, srcs, nil
}

// feedLogos gives each logo its only frame, which is repeated.
func feedLogos(srcs []*astiav.BuffersrcFilterContext, logos []*logo) error {
	for i, l := range logos {
		if err := feedLogo(srcs[i], l.image); err != nil {
			return fmt.Errorf("logo: %w", err)
		}
	}
	return nil
}

func feedLogo(src *astiav.BuffersrcFilterContext, img *image.NRGBA) error {
	f, err := frameOf(img)
	if err != nil {
		return err
	}
	defer f.Free()
	f.SetPts(0)
	if err := src.AddFrame(f, astiav.NewBuffersrcFlags()); err != nil {
		return err
	}
	return src.AddFrame(nil, astiav.NewBuffersrcFlags())
}

// frameOf returns a picture as a frame, which is the caller's to free.
func frameOf(img *image.NRGBA) (_ *astiav.Frame, err error) {
	f := astiav.AllocFrame()
	defer func() {
		if err != nil {
			f.Free()
		}
	}()
	f.SetWidth(img.Rect.Dx())
	f.SetHeight(img.Rect.Dy())
	f.SetPixelFormat(astiav.PixelFormatRgba)
	f.SetSampleAspectRatio(astiav.NewRational(1, 1))
	if err := f.AllocBuffer(0); err != nil {
		return nil, err
	}
	return f, f.Data().FromImage(img)
}
