package transcode

import (
	"errors"
	"fmt"

	"github.com/asticode/go-astiav"
)

// resampler turns sound of one format into planar stereo of 48 kHz.
type resampler struct {
	g      *astiav.FilterGraph
	src    *astiav.BuffersrcFilterContext
	sink   *astiav.BuffersinkFilterContext
	frame  *astiav.Frame
	rate   int
	format astiav.SampleFormat
	layout string
}

func newResampler(f *astiav.Frame) (_ *resampler, err error) {
	r := &resampler{g: astiav.AllocFilterGraph(), frame: astiav.AllocFrame(),
		rate: f.SampleRate(), format: f.SampleFormat(), layout: f.ChannelLayout().String()}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	r.g.SetThreadCount(1)
	if r.src, err = r.g.NewBuffersrcFilterContext(astiav.FindFilterByName("abuffer"), "in"); err != nil {
		return nil, err
	}
	params := astiav.AllocBuffersrcFilterContextParameters()
	defer params.Free()
	params.SetSampleRate(r.rate)
	params.SetSampleFormat(r.format)
	params.SetChannelLayout(f.ChannelLayout())
	params.SetTimeBase(astiav.NewRational(1, r.rate))
	if err := r.src.SetParameters(params); err != nil {
		return nil, err
	}
	if err := r.src.Initialize(nil); err != nil {
		return nil, err
	}
	if r.sink, err = r.g.NewBuffersinkFilterContext(astiav.FindFilterByName("abuffersink"), "out"); err != nil {
		return nil, err
	}
	in, out := linkTo(r.src.FilterContext(), "in", nil), linkTo(r.sink.FilterContext(), "out", nil)
	defer in.Free()
	defer out.Free()
	const filters = "[in]aresample=48000,aformat=sample_fmts=fltp:sample_rates=48000:channel_layouts=stereo[out]"
	if err := r.g.Parse(filters, out, in); err != nil {
		return nil, fmt.Errorf("resample: %w", err)
	}
	if err := r.g.Configure(); err != nil {
		return nil, fmt.Errorf("resample: %w", err)
	}
	return r, nil
}

// fits reports whether the resampler was made for such frames.
func (r *resampler) fits(f *astiav.Frame) bool {
	return r.rate == f.SampleRate() && r.format == f.SampleFormat() && r.layout == f.ChannelLayout().String()
}

// push resamples a frame, nil at the end, and hands over what comes out.
func (r *resampler) push(f *astiav.Frame, fn func(*astiav.Frame) error) error {
	if f != nil {
		f.SetPts(noPTS) // samples are counted, not timed
	}
	if err := r.src.AddFrame(f, astiav.NewBuffersrcFlags(astiav.BuffersrcFlagKeepRef)); err != nil && !errors.Is(err, astiav.ErrEof) {
		return fmt.Errorf("resample: %w", err)
	}
	for {
		err := r.sink.GetFrame(r.frame, astiav.NewBuffersinkFlags())
		if errors.Is(err, astiav.ErrEagain) || errors.Is(err, astiav.ErrEof) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("resample: %w", err)
		}
		err = fn(r.frame)
		r.frame.Unref()
		if err != nil {
			return err
		}
	}
}

func (r *resampler) close() {
	r.g.Free()
	r.frame.Free()
}
