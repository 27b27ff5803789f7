package transcode

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"

	"github.com/asticode/go-astiav"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

// decoder decodes one track. Times are in ticks since base, which keeps them
// small enough for all of FFmpeg.
type decoder struct {
	cc    *astiav.CodecContext
	pkt   *astiav.Packet
	frame *astiav.Frame
	base  int64
	buf   []byte
}

// preferred names a decoder that is better than FFmpeg's first choice.
var preferred = map[string]string{"av1": "libdav1d"}

const inputPadding = 64 // AV_INPUT_BUFFER_PADDING_SIZE

func findDecoder(coding string) *astiav.Codec {
	if name := preferred[coding]; name != "" {
		if c := astiav.FindDecoderByName(name); c != nil {
			return c
		}
	}
	return astiav.FindDecoderByName(coding)
}

// openDecoder opens the decoder of a track. With threads 0 it takes as many as
// the picture needs; more than one hold frames back.
func openDecoder(t *sluice.Track, base int64, threads int) (_ *decoder, err error) {
	coding, private, err := codec.Decoder(t)
	if err != nil {
		return nil, err
	}
	c := findDecoder(coding)
	if c == nil {
		return nil, fmt.Errorf("this build of FFmpeg has no decoder for %s", coding)
	}
	d := &decoder{cc: astiav.AllocCodecContext(c), pkt: astiav.AllocPacket(), frame: astiav.AllocFrame(), base: base}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if err := d.cc.SetExtraData(private); err != nil {
		return nil, err
	}
	d.cc.SetTimeBase(astiav.NewRational(1, int(t.Timescale)))
	if t.Kind == sluice.Audio { // for codings without configuration
		d.cc.SetSampleRate(t.SampleRate)
		if t.Channels == 1 {
			d.cc.SetChannelLayout(astiav.ChannelLayoutMono)
		} else {
			d.cc.SetChannelLayout(astiav.ChannelLayoutStereo)
		}
	}
	if threads == 0 {
		threads = 1
		if t.Width*t.Height > 1920*1088 {
			threads = min(runtime.NumCPU(), 4)
		}
	}
	d.cc.SetThreadCount(threads)
	options := astiav.NewDictionary()
	defer options.Free()
	for k, v := range map[string]string{
		"max_pixels":      strconv.Itoa(maxSide * maxSide),
		"max_frame_delay": "1", // of dav1d
	} {
		if err := options.Set(k, v, 0); err != nil {
			return nil, err
		}
	}
	if err := d.cc.Open(c, options); err != nil {
		return nil, fmt.Errorf("open decoder %s: %w", c.Name(), err)
	}
	return d, nil
}

// send decodes a packet and hands over what comes out; the frame is the
// decoder's, to be kept by Ref. An error of fn is returned as it is; what is
// wrong with the packet wraps errDamaged.
func (d *decoder) send(p sluice.Packet, fn func(*astiav.Frame) error) error {
	d.buf = append(append(d.buf[:0], p.Data...), make([]byte, inputPadding)...)
	d.pkt.Unref()
	if err := d.pkt.FromData(d.buf); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	defer d.pkt.Unref()
	d.pkt.SetSize(len(p.Data))
	d.pkt.SetPts(p.PTS - d.base)
	d.pkt.SetDts(p.DTS - d.base)
	if p.Key {
		d.pkt.SetFlags(astiav.NewPacketFlags(astiav.PacketFlagKey))
	}
	sent := d.cc.SendPacket(d.pkt)
	if err := d.receive(fn); err != nil {
		return err
	}
	if sent != nil {
		return fmt.Errorf("%w: %w", errDamaged, sent)
	}
	return nil
}

var errDamaged = errors.New("cannot be decoded")

func (d *decoder) receive(fn func(*astiav.Frame) error) error {
	for {
		err := d.cc.ReceiveFrame(d.frame)
		if errors.Is(err, astiav.ErrEagain) || errors.Is(err, astiav.ErrEof) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		err = fn(d.frame)
		d.frame.Unref()
		if err != nil {
			return err
		}
	}
}

// drain hands over all that the decoder holds back and makes it ready for a key
// frame.
func (d *decoder) drain(fn func(*astiav.Frame) error) error {
	_ = d.cc.SendPacket(nil) // it fails only where it was drained already
	err := d.receive(fn)
	flushDecoder(d.cc)
	if errors.Is(err, errDamaged) {
		return nil
	}
	return err
}

// pts returns the frame's time; ok is false where it has none.
func (d *decoder) pts(f *astiav.Frame) (pts int64, ok bool) {
	if f.Pts() == noPTS {
		return 0, false
	}
	return f.Pts() + d.base, true
}

func (d *decoder) close() {
	d.cc.Free()
	d.pkt.Free()
	d.frame.Free()
}
