package transcode

/*
#cgo pkg-config: libavcodec libavutil
#include <string.h>
#include <libavcodec/avcodec.h>
#include <libavutil/display.h>
#include <libavutil/frame.h>

// What astiav has no way to: see the Go functions of the same names.

static int is_interlaced(const AVFrame *f) { return (f->flags & AV_FRAME_FLAG_INTERLACED) != 0; }

static int rotation(const AVFrame *f) {
	const AVFrameSideData *sd = av_frame_get_side_data(f, AV_FRAME_DATA_DISPLAYMATRIX);
	double angle;
	if (!sd || sd->size < 9 * sizeof(int32_t))
		return 0;
	angle = av_display_rotation_get((const int32_t *)sd->data);
	if (angle != angle)
		return 0;
	return ((int)(angle < 0 ? 360 - angle : 720 - angle) + 45) / 90 * 90 % 360;
}

static void copy_colour(AVCodecContext *c, const AVFrame *f) {
	c->color_primaries = f->color_primaries;
	c->color_trc = f->color_trc;
	c->colorspace = f->colorspace;
	c->color_range = f->color_range;
	c->chroma_sample_location = f->chroma_location;
}

static void strip_side_data(AVFrame *f) { av_frame_remove_side_data(f, AV_FRAME_DATA_DISPLAYMATRIX); }

static void copy_samples(const AVFrame *f, int from, int n, float *left, float *right) {
	memcpy(left, f->extended_data[0] + from * sizeof(float), n * sizeof(float));
	memcpy(right, f->extended_data[1] + from * sizeof(float), n * sizeof(float));
}

static void set_samples(AVFrame *f, const float *left, const float *right) {
	if (f->format == AV_SAMPLE_FMT_FLT) {
		float *to = (float *)f->extended_data[0];
		for (int i = 0; i < f->nb_samples; i++) {
			to[2 * i] = left[i];
			to[2 * i + 1] = right[i];
		}
		return;
	}
	memcpy(f->extended_data[0], left, f->nb_samples * sizeof(float));
	memcpy(f->extended_data[1], right, f->nb_samples * sizeof(float));
}
*/
import "C"

import (
	"github.com/asticode/go-astiav"
)

// release closes what there is of FFmpeg's, once.
func release[T interface {
	comparable
	close()
}](p *T) {
	var none T
	if *p != none {
		(*p).close()
		*p = none
	}
}

const noPTS = int64(-1 << 63) // AV_NOPTS_VALUE

func cFrame(f *astiav.Frame) *C.AVFrame { return (*C.AVFrame)(f.UnsafePointer()) }

func cCodec(c *astiav.CodecContext) *C.AVCodecContext {
	return (*C.AVCodecContext)(c.UnsafePointer())
}

// flushDecoder makes a drained decoder take packets again.
func flushDecoder(c *astiav.CodecContext) { C.avcodec_flush_buffers(cCodec(c)) }

// initialPadding returns how many samples an audio encoder puts in front.
func initialPadding(c *astiav.CodecContext) int { return int(cCodec(c).initial_padding) }

func isInterlaced(f *astiav.Frame) bool { return C.is_interlaced(cFrame(f)) != 0 }

// rotation returns by how many degrees clockwise a picture is to be turned: 0,
// 90, 180 or 270.
func rotation(f *astiav.Frame) int { return int(C.rotation(cFrame(f))) }

// copyColour gives an encoder the colour description of its frames.
func copyColour(c *astiav.CodecContext, f *astiav.Frame) { C.copy_colour(cCodec(c), cFrame(f)) }

// stripSideData removes the rotation of a picture that was turned.
func stripSideData(f *astiav.Frame) { C.strip_side_data(cFrame(f)) }

// stereo is planar samples; both slices have the same length.
type stereo struct{ left, right []float32 }

// appendFrame appends the samples of a planar stereo frame, from the given one
// on.
func (s *stereo) appendFrame(f *astiav.Frame, from int) {
	n := f.NbSamples() - from
	if n <= 0 {
		return
	}
	at := len(s.left)
	s.left = append(s.left, make([]float32, n)...)
	s.right = append(s.right, make([]float32, n)...)
	C.copy_samples(cFrame(f), C.int(from), C.int(n), (*C.float)(&s.left[at]), (*C.float)(&s.right[at]))
}

// silence appends n samples of it.
func (s *stereo) silence(n int) {
	s.left = append(s.left, make([]float32, n)...)
	s.right = append(s.right, make([]float32, n)...)
}

// drop removes the first n samples.
func (s *stereo) drop(n int) {
	s.left = append(s.left[:0], s.left[n:]...)
	s.right = append(s.right[:0], s.right[n:]...)
}

// writeFrame fills a stereo frame, of which NbSamples is set, from the given
// sample on.
func (s *stereo) writeFrame(f *astiav.Frame, from int) {
	C.set_samples(cFrame(f), (*C.float)(&s.left[from]), (*C.float)(&s.right[from]))
}
