package transcode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/asticode/go-astiav"

	"github.com/sluice-live/sluice"
)

// Previews is a Sink that keeps the newest key frame of a stream's first video
// track as a JPEG, and makes sprites of them for the seek bar. It decodes key
// frames alone, and of these no more than one in each Interval. The zero value
// works; attach it to the Stream of what it should show, the smallest rendition
// being the cheapest.
type Previews struct {
	// Width of the picture in pixels; default 640. It is never enlarged.
	Width int
	// Interval is the least time between two pictures; default 2 s.
	Interval time.Duration
	// OnSprite gets each sheet of the storyboard when it is full, and the last at
	// the stream's end; it must not block for long. nil makes none.
	OnSprite func(Sprite)
	// Columns, Rows and TileWidth lay the sheets out; default 10, 10 and 160.
	Columns, Rows, TileWidth int

	mu   sync.Mutex
	jpeg []byte
	at   time.Time
}

// Sprite is a sheet of small pictures, row by row.
type Sprite struct {
	JPEG []byte
	// Start of each picture; it stands for the time until the next one, the last
	// until End.
	Start                 []time.Time
	End                   time.Time
	Columns               int
	TileWidth, TileHeight int
}

// Latest returns the newest picture and its time, nil before the first.
func (p *Previews) Latest() (picture []byte, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.jpeg, p.at
}

const (
	defaultPreview  = 640
	defaultInterval = 2 * time.Second
	maxSheet        = 64 // columns and rows
	tallest         = 4  // times the width of a tile, is its height
)

// Consume implements sluice.Sink.
func (p *Previews) Consume(ctx context.Context, src sluice.Source) error {
	quietFFmpeg()
	s := &previewer{p: p, interval: p.Interval, width: p.Width,
		sheet: sheet{columns: p.Columns, rows: p.Rows, tileWidth: p.TileWidth}}
	setDefault(&s.interval, defaultInterval)
	setDefault(&s.width, defaultPreview)
	setDefault(&s.sheet.columns, 10)
	setDefault(&s.sheet.rows, 10)
	setDefault(&s.sheet.tileWidth, 160)
	if s.width < 2 || s.width > maxSide || s.sheet.columns < 1 || s.sheet.columns > maxSheet || s.sheet.rows < 1 || s.sheet.rows > maxSheet ||
		s.sheet.tileWidth < 2 || s.sheet.tileWidth > 1024 {
		return errors.New("transcode: previews: a size is out of range")
	}
	defer release(&s.dec)
	for {
		pkt, err := src.ReadPacket(ctx)
		if err == io.EOF {
			return s.finish()
		}
		if err != nil {
			return err
		}
		if err := s.packet(pkt); err != nil {
			return err
		}
	}
}

func setDefault[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// previewer is one run of Previews.
type previewer struct {
	p        *Previews
	interval time.Duration
	width    int
	track    *sluice.Track
	dec      *decoder
	last     time.Time
	sheet    sheet
}

func (s *previewer) packet(p sluice.Packet) error {
	if p.Track.Kind != sluice.Video || s.track != nil && p.Track.ID != s.track.ID || !p.Key || p.Data == nil {
		return nil
	}
	at := p.Track.Time(p.PTS)
	if !s.last.IsZero() && at.Sub(s.last) < s.interval && at.After(s.last) {
		return nil
	}
	if s.track != p.Track {
		release(&s.dec)
		s.track = p.Track
		var err error
		if s.dec, err = openDecoder(p.Track, p.PTS, 1); err != nil {
			return fmt.Errorf("transcode: previews: %w", err)
		}
	}
	show := func(f *astiav.Frame) error { return s.show(f, at) }
	err := s.dec.send(p, show)
	if derr := s.dec.drain(show); err == nil {
		err = derr
	}
	if errors.Is(err, errDamaged) {
		return nil // the next one will do
	}
	return err
}

// show makes pictures of a frame.
func (s *previewer) show(f *astiav.Frame, at time.Time) error {
	s.last = at
	w, _ := pictureOf(f, 1).display()
	img, err := shrink(f, Rendition{Width: min(s.width, w)})
	if err != nil {
		return fmt.Errorf("transcode: previews: %w", err)
	}
	picture, err := encodeJPEG(img)
	if err != nil {
		return err
	}
	s.p.mu.Lock()
	s.p.jpeg, s.p.at = picture, at
	s.p.mu.Unlock()
	if s.p.OnSprite == nil {
		return nil
	}
	tile, err := shrink(f, Rendition{Width: s.sheet.tileWidth, Height: tallest * s.sheet.tileWidth})
	if err != nil {
		return fmt.Errorf("transcode: previews: %w", err)
	}
	if s.sheet.full(tile.Rect.Dy()) {
		if err := s.send(at); err != nil {
			return err
		}
	}
	s.sheet.add(tile, at)
	return nil
}

func (s *previewer) send(end time.Time) error {
	sprite, err := s.sheet.cut(end)
	if err == nil {
		s.p.OnSprite(sprite)
	}
	return err
}

func (s *previewer) finish() error {
	if len(s.sheet.start) == 0 {
		return nil
	}
	return s.send(s.last.Add(s.interval))
}

// shrink scales a frame to a size, upright and in colours that JPEG has.
func shrink(f *astiav.Frame, r Rendition) (*image.YCbCr, error) {
	p := pictureOf(f, 1)
	w, h := p.display()
	s, _ := r.sizeFor(w, h)
	g, err := newGraph(p, []size{s}, nil, 0)
	if err != nil {
		return nil, err
	}
	defer g.close()
	in := f.Clone() // its time is of no use here, and wrong after the first
	defer in.Free()
	in.SetPts(0)
	img := new(image.YCbCr)
	err = g.push(in, func(_ int, _ int64, out *astiav.Frame) error {
		defer out.Free()
		return out.Data().ToImage(img)
	})
	if err == nil && img.Rect.Empty() { // a deinterlacer waits for more
		err = g.push(nil, func(_ int, _ int64, out *astiav.Frame) error {
			defer out.Free()
			return out.Data().ToImage(img)
		})
	}
	if err == nil && img.Rect.Empty() {
		err = errors.New("no picture came out of the filters")
	}
	fullRange(img)
	return img, err
}

// fullRange stretches video levels (16 to 235) to those of JPEG (0 to 255).
func fullRange(img *image.YCbCr) {
	for i, v := range img.Y {
		img.Y[i] = clamp((int(v) - 16) * 255 / 219)
	}
	for _, plane := range [][]byte{img.Cb, img.Cr} {
		for i, v := range plane {
			plane[i] = clamp((int(v)-128)*255/224 + 128)
		}
	}
}

func clamp(v int) byte { return byte(max(0, min(v, 255))) }

func encodeJPEG(img image.Image) ([]byte, error) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 80}); err != nil {
		return nil, fmt.Errorf("transcode: JPEG: %w", err)
	}
	return b.Bytes(), nil
}

// sheet collects the pictures of a Sprite.
type sheet struct {
	columns, rows, tileWidth int
	height                   int // of a tile
	canvas                   *image.RGBA
	start                    []time.Time
}

// full reports whether a tile of that height has no place any more.
func (s *sheet) full(height int) bool {
	return len(s.start) > 0 && (len(s.start) == s.columns*s.rows || height != s.height)
}

func (s *sheet) add(tile image.Image, at time.Time) {
	if len(s.start) == 0 {
		s.height = tile.Bounds().Dy()
		s.canvas = image.NewRGBA(image.Rect(0, 0, s.columns*s.tileWidth, s.rows*s.height))
	}
	n := len(s.start)
	to := image.Rect(0, 0, s.tileWidth, s.height).Add(image.Pt(n%s.columns*s.tileWidth, n/s.columns*s.height))
	draw.Draw(s.canvas, to, tile, tile.Bounds().Min, draw.Src)
	s.start = append(s.start, at)
}

func (s *sheet) cut(end time.Time) (Sprite, error) {
	rows := (len(s.start) + s.columns - 1) / s.columns
	b, err := encodeJPEG(s.canvas.SubImage(image.Rect(0, 0, s.columns*s.tileWidth, rows*s.height)))
	sp := Sprite{JPEG: b, Start: s.start, End: end, Columns: s.columns, TileWidth: s.tileWidth, TileHeight: s.height}
	s.start, s.canvas = nil, nil
	return sp, err
}

// AppendWebVTT appends the cues of a sprite (W3C WebVTT, with media fragments
// for the places) to an index of pictures. Times count from origin; an empty
// index gets its header first.
func (s Sprite) AppendWebVTT(index []byte, url string, origin time.Time) []byte {
	var b strings.Builder
	if len(index) == 0 {
		b.WriteString("WEBVTT\n")
	}
	for i, start := range s.Start {
		end := s.End
		if i+1 < len(s.Start) {
			end = s.Start[i+1]
		}
		if !end.After(start) || start.Before(origin) {
			continue
		}
		fmt.Fprintf(&b, "\n%s --> %s\n%s#xywh=%d,%d,%d,%d\n", vttTime(start.Sub(origin)), vttTime(end.Sub(origin)), url,
			i%s.Columns*s.TileWidth, i/s.Columns*s.TileHeight, s.TileWidth, s.TileHeight)
	}
	return append(index, b.String()...)
}

func vttTime(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d:%02d.%03d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60, d.Milliseconds()%1000)
}

var _ sluice.Sink = (*Previews)(nil)
