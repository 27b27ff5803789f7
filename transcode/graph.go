package transcode

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/asticode/go-astiav"

	"github.com/sluice-live/sluice"
)

// picture is what a graph of filters must know of the frames that go in.
type picture struct {
	w, h        int
	format      astiav.PixelFormat
	aspect      astiav.Rational
	space       astiav.ColorSpace
	colourRange astiav.ColorRange
	rotation    int
	interlaced  bool
	timescale   int
}

func pictureOf(f *astiav.Frame, timescale int) picture {
	aspect := f.SampleAspectRatio()
	if aspect.Num() <= 0 || aspect.Den() <= 0 {
		aspect = astiav.NewRational(1, 1)
	}
	return picture{
		w: f.Width(), h: f.Height(), format: f.PixelFormat(), aspect: aspect,
		space: f.ColorSpace(), colourRange: f.ColorRange(),
		rotation: rotation(f), interlaced: isInterlaced(f), timescale: timescale,
	}
}

// display returns the size as it is seen: upright, of square pixels.
func (p picture) display() (w, h int) {
	w, h = p.w, p.h
	switch a := p.aspect.Float64(); { // one side grows, none shrinks
	case a > 1 && a < 16:
		w = int(float64(w)*a + 0.5)
	case a < 1 && a > 1.0/16:
		h = int(float64(h)/a + 0.5)
	}
	if p.rotation%180 != 0 {
		w, h = h, w
	}
	return w, h
}

// graph turns a picture into one of each size, each scaled from the next larger.
type graph struct {
	g       *astiav.FilterGraph
	src     *astiav.BuffersrcFilterContext
	sinks   []*astiav.BuffersinkFilterContext
	frame   *astiav.Frame
	picture picture
	delays  bool
}

const upright = "transpose="

var turns = map[int]string{90: upright + "clock", 180: "hflip,vflip", 270: upright + "cclock"}

// newGraph builds a graph with an output for each size, which are ordered from
// the largest down.
func newGraph(p picture, sizes []size, overlays []Overlay, base int64) (_ *graph, err error) {
	b := builder{base: base, timescale: p.timescale}
	defer b.close()
	g := &graph{g: astiav.AllocFilterGraph(), frame: astiav.AllocFrame(), picture: p, delays: p.interlaced}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	g.g.SetThreadCount(1)
	if p.w*p.h > 1920*1088 {
		g.g.SetThreadCount(min(runtime.NumCPU(), 4))
	}
	if g.src, err = bufferSource(g.g, "in", p); err != nil {
		return nil, err
	}
	if err := b.describe(p, sizes, overlays); err != nil {
		return nil, err
	}
	inputs, logos, err := b.logoInputs(g)
	if err != nil {
		return nil, err
	}
	defer inputs.Free()
	var sinks *astiav.FilterInOut
	for i := len(sizes) - 1; i >= 0; i-- {
		sink, err := g.g.NewBuffersinkFilterContext(astiav.FindFilterByName("buffersink"), fmt.Sprintf("out%d", i))
		if err != nil {
			return nil, err
		}
		g.sinks = append(g.sinks, sink)
		sinks = linkTo(sink.FilterContext(), fmt.Sprintf("out%d", i), sinks)
	}
	slices.Reverse(g.sinks)
	defer sinks.Free()
	if err := g.g.Parse(b.String(), sinks, inputs); err != nil {
		return nil, fmt.Errorf("filters %q: %w", b.String(), err)
	}
	if err := g.g.Configure(); err != nil {
		return nil, fmt.Errorf("filters %q: %w", b.String(), err)
	}
	return g, feedLogos(logos, b.logos)
}

func linkTo(c *astiav.FilterContext, name string, next *astiav.FilterInOut) *astiav.FilterInOut {
	l := astiav.AllocFilterInOut()
	l.SetName(name)
	l.SetFilterContext(c)
	l.SetPadIdx(0)
	l.SetNext(next)
	return l
}

func bufferSource(g *astiav.FilterGraph, name string, p picture) (*astiav.BuffersrcFilterContext, error) {
	src, err := g.NewBuffersrcFilterContext(astiav.FindFilterByName("buffer"), name)
	if err != nil {
		return nil, err
	}
	params := astiav.AllocBuffersrcFilterContextParameters()
	defer params.Free()
	params.SetWidth(p.w)
	params.SetHeight(p.h)
	params.SetPixelFormat(p.format)
	params.SetSampleAspectRatio(p.aspect)
	params.SetColorSpace(p.space)
	params.SetColorRange(p.colourRange)
	params.SetTimeBase(astiav.NewRational(1, p.timescale))
	if err := src.SetParameters(params); err != nil {
		return nil, err
	}
	return src, src.Initialize(nil)
}

// builder writes FFmpeg's description of a graph.
type builder struct {
	strings.Builder
	labels    int
	logos     []*logo
	files     []string // that drawtext reads while the graph is configured
	base      int64
	timescale int
}

func (b *builder) label() string {
	b.labels++
	return fmt.Sprintf("[l%d]", b.labels)
}

func (b *builder) chain(from, filters, to string) {
	if b.Len() > 0 {
		b.WriteByte(';')
	}
	b.WriteString(from + filters + to)
}

func (b *builder) describe(p picture, sizes []size, overlays []Overlay) error {
	w, h := p.display()
	var first []string
	if p.interlaced {
		first = append(first, "bwdif=mode=send_frame:deint=interlaced")
	}
	if turn := turns[p.rotation]; turn != "" {
		first = append(first, turn)
	}
	cur := "[in]"
	if len(first) > 0 {
		next := b.label()
		b.chain(cur, strings.Join(first, ","), next)
		cur = next
	}
	cur, err := b.overlay(cur, overlays, true, w, h)
	if err != nil {
		return err
	}
	for i, s := range sizes {
		if cur, err = b.rendition(cur, i, s, i == len(sizes)-1, p, overlays); err != nil {
			return err
		}
	}
	return nil
}

// rendition scales the picture cur for output i and returns what the next
// smaller one takes from: this one's picture, unless it was cut or padded.
func (b *builder) rendition(cur string, i int, s size, last bool, p picture, overlays []Overlay) (next string, err error) {
	whole := s.scaleW == s.w && s.scaleH == s.h
	fork := func(from string) (mine, others string) {
		if last {
			return from, ""
		}
		mine, others = b.label(), b.label()
		b.chain(from, "split", mine+others)
		return mine, others
	}
	if !whole {
		cur, next = fork(cur)
	}
	filters := fmt.Sprintf("scale=%d:%d", s.scaleW, s.scaleH)
	if p.colourRange == astiav.ColorRangeJpeg {
		filters += ":out_range=tv"
	}
	filters += ",setsar=1,format=yuv420p"
	switch {
	case s.scaleW > s.w || s.scaleH > s.h:
		filters += fmt.Sprintf(",crop=%d:%d", s.w, s.h)
	case !whole:
		filters += fmt.Sprintf(",pad=%d:%d:-1:-1", s.w, s.h)
	}
	out := b.label()
	b.chain(cur, filters, out)
	if whole {
		out, next = fork(out)
	}
	if out, err = b.overlay(out, overlays, false, s.w, s.h); err != nil {
		return "", err
	}
	b.chain(out, "null", fmt.Sprintf("[out%d]", i))
	return next, nil
}

// push filters a frame, nil at the end, and hands over what comes out, by the
// number of its output and with its time in ticks of the source. The frame
// handed over is fn's to free.
func (g *graph) push(f *astiav.Frame, fn func(out int, pts int64, f *astiav.Frame) error) error {
	if f != nil && g.picture.rotation != 0 {
		stripSideData(f)
	}
	if err := g.src.AddFrame(f, astiav.NewBuffersrcFlags(astiav.BuffersrcFlagKeepRef)); err != nil && !errors.Is(err, astiav.ErrEof) {
		return fmt.Errorf("filter: %w: %w", errDamaged, err)
	}
	for i, sink := range g.sinks {
		for {
			err := sink.GetFrame(g.frame, astiav.NewBuffersinkFlags())
			if errors.Is(err, astiav.ErrEagain) || errors.Is(err, astiav.ErrEof) {
				break
			}
			if err != nil {
				return fmt.Errorf("filter: %w: %w", errDamaged, err)
			}
			out := astiav.AllocFrame()
			out.MoveRef(g.frame)
			tb := sink.TimeBase()
			pts := sluice.Rescale(out.Pts()*int64(tb.Num()), int64(tb.Den()), int64(g.picture.timescale))
			if err := fn(i, pts, out); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *graph) close() {
	g.g.Free()
	g.frame.Free()
}

func (b *builder) close() {
	for _, f := range b.files {
		os.Remove(f)
	}
}
