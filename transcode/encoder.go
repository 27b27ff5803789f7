package transcode

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/asticode/go-astiav"

	"github.com/sluice-live/sluice"
)

// encoding is what an encoder of pictures is opened for.
type encoding struct {
	rendition Rendition
	size      size
	fps       float64 // nominal
	fixed     bool    // frames keep to it
	timescale int
	base      int64
	colour    *astiav.Frame // one of the frames to come
}

// settings are an encoder's options beside bit rates and size. family is the
// only place that tells encoders apart.
type settings struct {
	coding  string
	hard    bool // takes frames in the GPU's memory
	reopens bool // has no way to force a key frame but to begin anew
	options func(r Rendition, cfr bool) map[string]string
}

var families = map[string]settings{
	"libx264":    {coding: "h264", options: x264Options},
	"libx265":    {coding: "hevc", options: x265Options},
	"libsvtav1":  {coding: "av1", reopens: true, options: svtOptions},
	"h264_nvenc": {coding: "h264", options: nvencOptions},
	"hevc_nvenc": {coding: "hevc", options: nvencOptions},
	"av1_nvenc":  {coding: "av1", options: nvencOptions},
	"h264_vaapi": {coding: "h264", hard: true, options: vaapiOptions},
	"hevc_vaapi": {coding: "hevc", hard: true, options: vaapiOptions},
	"av1_vaapi":  {coding: "av1", hard: true, options: vaapiOptions},
}

func orElse(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

func setIf(m map[string]string, key, value string) {
	if value != "" && value != "none" {
		m[key] = value
	}
}

// Key frames come where we force them and nowhere else, as IDR pictures.
func x264Options(r Rendition, cfr bool) map[string]string {
	o := map[string]string{"preset": orElse(r.Preset, "veryfast"), "forced-idr": "1", "sc_threshold": "0"}
	setIf(o, "tune", orElse(r.Tune, "zerolatency"))
	setIf(o, "profile", r.Profile)
	o["x264-params"] = "open-gop=0"
	if cfr {
		o["x264-params"] += ":force-cfr=1" // and so the frame rate stands in the SPS
	}
	return o
}

func x265Options(r Rendition, _ bool) map[string]string {
	o := map[string]string{"preset": orElse(r.Preset, "veryfast"), "forced-idr": "1"}
	setIf(o, "tune", orElse(r.Tune, "zerolatency"))
	setIf(o, "profile", r.Profile)
	threads := max(1, r.Threads)
	o["x265-params"] = fmt.Sprintf("scenecut=0:open-gop=0:keyint=-1:log-level=none:pools=%d:frame-threads=1:bframes=%d", threads, r.BFrames)
	return o
}

func svtOptions(r Rendition, _ bool) map[string]string {
	o := map[string]string{"preset": orElse(r.Preset, "10")}
	o["svtav1-params"] = fmt.Sprintf("pred-struct=1:scd=0:lookahead=0:lp=%d", max(1, r.Threads))
	return o
}

func nvencOptions(r Rendition, _ bool) map[string]string {
	o := map[string]string{"preset": orElse(r.Preset, "p4"), "forced-idr": "1", "no-scenecut": "1", "delay": "0", "rc": "vbr"}
	if tune := orElse(r.Tune, "zerolatency"); tune == "zerolatency" {
		o["tune"], o["zerolatency"] = "ull", "1"
	} else {
		setIf(o, "tune", tune)
	}
	setIf(o, "profile", r.Profile)
	return o
}

func vaapiOptions(r Rendition, _ bool) map[string]string {
	o := map[string]string{"async_depth": "1", "rc_mode": "VBR"}
	setIf(o, "profile", r.Profile)
	return o
}

// endless is a distance of key frames that is never reached.
const endless = 1 << 30

// encoder encodes the pictures of one rendition.
type encoder struct {
	cc    *astiav.CodecContext
	pkt   *astiav.Packet
	name  string
	base  int64
	track *sluice.Track // without ID and stamps
	made  made
	gpu   *gpu // nil unless frames are uploaded
	held  int  // frames inside
	used  bool // a frame went in
}

// openEncoder opens the encoder called name.
func openEncoder(name string, c encoding) (_ *encoder, err error) {
	codec := astiav.FindEncoderByName(name)
	if codec == nil {
		return nil, fmt.Errorf("this build of FFmpeg has no encoder %q", name)
	}
	e := &encoder{cc: astiav.AllocCodecContext(codec), pkt: astiav.AllocPacket(), name: name, base: c.base, made: outputs[codec.ID().Name()]}
	defer func() {
		if err != nil {
			e.close()
		}
	}()
	e.configure(c)
	if families[name].hard {
		if e.gpu, err = openGPU(c.size); err != nil {
			return nil, err
		}
		e.cc.SetPixelFormat(astiav.PixelFormatVaapi)
		e.cc.SetHardwareFramesContext(e.gpu.frames)
	}
	options := astiav.NewDictionary()
	defer options.Free()
	all := map[string]string{}
	if f := families[name]; f.options != nil {
		all = f.options(c.rendition, c.fixed)
	}
	maps.Copy(all, c.rendition.Options)
	for _, k := range slices.Sorted(maps.Keys(all)) {
		if err := options.Set(k, all[k], 0); err != nil {
			return nil, err
		}
	}
	if err := e.cc.Open(codec, options); err != nil {
		return nil, fmt.Errorf("open encoder %s: %w", name, err)
	}
	if left := options.Get("", nil, astiav.NewDictionaryFlags(astiav.DictionaryFlagIgnoreSuffix)); left != nil {
		if _, ours := c.rendition.Options[left.Key()]; ours {
			return nil, fmt.Errorf("encoder %s has no option %q", name, left.Key())
		}
	}
	if e.track, err = e.made.track(e.cc.ExtraData()); err != nil {
		return nil, fmt.Errorf("encoder %s: configuration: %w", name, err)
	}
	return e, nil
}

func (e *encoder) configure(c encoding) {
	e.cc.SetWidth(c.size.w)
	e.cc.SetHeight(c.size.h)
	e.cc.SetPixelFormat(astiav.PixelFormatYuv420P)
	e.cc.SetSampleAspectRatio(astiav.NewRational(1, 1))
	e.cc.SetTimeBase(astiav.NewRational(1, c.timescale))
	e.cc.SetFramerate(rate(c.fps, c.timescale)) // else it would be taken for one frame a tick
	mean, peak, buffer := c.rendition.bitrate(c.size, c.fps)
	e.cc.SetBitRate(int64(mean))
	e.cc.SetRateControlMaxRate(int64(peak))
	e.cc.SetRateControlBufferSize(buffer)
	e.cc.SetGopSize(endless)
	e.cc.SetMaxBFrames(c.rendition.BFrames)
	e.cc.SetThreadCount(c.rendition.threads(c.size))
	e.cc.SetFlags(e.cc.Flags().Add(astiav.CodecContextFlagGlobalHeader).Add(astiav.CodecContextFlagClosedGop))
	if c.colour != nil {
		copyColour(e.cc, c.colour)
	}
}

func (r Rendition) threads(s size) int {
	if r.Threads > 0 {
		return r.Threads
	}
	return max(1, s.w*s.h/(1280*720))
}

func orFloat(v, def float64) float64 {
	if v == 0 {
		return def
	}
	return v
}

// rate turns frames a second into a fraction: of whole numbers, of what is a
// whole number times 1000/1001, and of ticks for the rest.
func rate(fps float64, timescale int) astiav.Rational {
	for _, den := range []int{1, 1001} {
		num := int(fps*float64(den) + 0.5)
		if den == 1001 {
			num = (num + 500) / 1000 * 1000
		}
		if d := fps - float64(num)/float64(den); num > 0 && d < 1e-4 && d > -1e-4 {
			return astiav.NewRational(num, den)
		}
	}
	return astiav.NewRational(timescale, max(1, int(float64(timescale)/fps+0.5)))
}

// encoded is a packet as it came from an encoder.
type encoded struct {
	pts, dts int64
	key      bool
	data     []byte
}

// send encodes a frame whose time is set, nil at the end, and hands over what
// comes out.
func (e *encoder) send(f *astiav.Frame, fn func(encoded) error) error {
	if f != nil && e.gpu != nil {
		up, err := e.gpu.upload(f)
		if err != nil {
			return err
		}
		defer up.Free()
		f = up
	}
	if err := e.cc.SendFrame(f); err != nil && !errors.Is(err, astiav.ErrEof) {
		return fmt.Errorf("encode with %s: %w", e.name, err)
	}
	if f != nil {
		e.held++
		e.used = true
	}
	for {
		err := e.cc.ReceivePacket(e.pkt)
		if errors.Is(err, astiav.ErrEagain) || errors.Is(err, astiav.ErrEof) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("encode with %s: %w", e.name, err)
		}
		e.held--
		out := encoded{pts: e.pkt.Pts() + e.base, dts: e.pkt.Dts() + e.base, key: e.pkt.Flags().Has(astiav.PacketFlagKey)}
		out.data, err = e.made.sample(e.pkt.Data())
		e.pkt.Unref()
		if err != nil {
			return fmt.Errorf("encode with %s: %w", e.name, err)
		}
		if err := fn(out); err != nil {
			return err
		}
	}
}

func (e *encoder) close() {
	e.cc.Free()
	e.pkt.Free()
	if e.gpu != nil {
		e.gpu.close()
	}
}
