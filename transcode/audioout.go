package transcode

import (
	"context"
	"fmt"

	"github.com/asticode/go-astiav"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

// passable says what FFmpeg calls the codings that are passed on as a rendition.
var passable = map[sluice.FourCC]string{sluice.MP4A: "aac", sluice.Opus: "opus"}

// audioOut is one rendition of the sound: passed on, or encoded.
type audioOut struct {
	a         *audio
	rendition AudioRendition
	index     int
	id        uint32 // of its track; fixed by the first source

	pass    *sluice.Track // the source's, under our ID; nil where it is encoded
	enc     *encoder
	frame   *astiav.Frame
	track   *sluice.Track
	fifo    stereo
	at      int64 // where the first sample of fifo is, at 48 kHz since the epoch
	start   int64 // of the sound since the encoder was opened: what is before it is priming
	base    int64 // of the encoder's clock
	size    int   // samples in a frame
	last    int64 // end of what came out
	segment uint64
	stamps  stamps    // at 48 kHz
	from    *standing // where another worker left the rendition
	grid    bool      // frames are to be aligned with last
}

func (o *audioOut) encodes() bool { return o.track != nil && o.pass == nil }

// begin takes up a new description of the source, where all before is out.
func (o *audioOut) begin(in *sluice.Track, silent bool) error {
	coding, _, _ := codec.Decoder(in)
	passes := !silent && passable[o.rendition.Codec] == coding && coding != ""
	if o.id == 0 {
		o.id = in.ID*trackSpan + uint32(o.index) + 1
		if passes {
			o.id = in.ID
		} else if silent {
			o.id += maxRenditions
		}
	}
	o.close()
	o.pass, o.track = nil, nil
	if passes {
		o.passOn(in)
		return nil
	}
	if err := o.open(); err != nil {
		return err
	}
	t := *o.enc.track
	t.ID, t.Era, t.Maker, t.SegmentDur = o.id, in.Era, o.a.o.maker, in.SegmentDur
	t.PartTarget = sluice.Rescale(in.PartTarget, int64(in.Timescale), audioRate)
	t.FrameDur, t.Bandwidth = int64(o.size), o.bitrate()
	t.Name, t.Language = in.Name, in.Language
	o.goOn(&t)
	o.track = &t
	return nil
}

// passOn passes the source's packets on, under the rendition's number.
func (o *audioOut) passOn(in *sluice.Track) {
	o.pass = in
	if in.ID != o.id {
		renamed := *in
		renamed.ID = o.id
		o.pass = &renamed
	}
}

func (o *audioOut) bitrate() int {
	if o.rendition.Bitrate == 0 {
		return 128_000
	}
	return o.rendition.Bitrate
}

func (o *audioOut) open() (err error) {
	name, err := o.rendition.encoder()
	if err != nil {
		return err
	}
	c := astiav.FindEncoderByName(name)
	e := &encoder{cc: astiav.AllocCodecContext(c), pkt: astiav.AllocPacket(), name: name, made: outputs[c.ID().Name()]}
	defer func() {
		if err != nil {
			e.close()
		}
	}()
	format := astiav.SampleFormatFltp
	if name == "libopus" {
		format = astiav.SampleFormatFlt
	}
	e.cc.SetSampleFormat(format)
	e.cc.SetSampleRate(audioRate)
	e.cc.SetChannelLayout(astiav.ChannelLayoutStereo)
	e.cc.SetTimeBase(astiav.NewRational(1, audioRate))
	e.cc.SetBitRate(int64(o.bitrate()))
	e.cc.SetFlags(e.cc.Flags().Add(astiav.CodecContextFlagGlobalHeader))
	if err := e.cc.Open(c, nil); err != nil {
		return fmt.Errorf("transcode: open encoder %s: %w", name, err)
	}
	if e.track, err = e.made.track(e.cc.ExtraData()); err != nil {
		return fmt.Errorf("transcode: encoder %s: configuration: %w", name, err)
	}
	o.size = e.cc.FrameSize()
	f := astiav.AllocFrame()
	f.SetNbSamples(o.size)
	f.SetSampleFormat(format)
	f.SetSampleRate(audioRate)
	f.SetChannelLayout(astiav.ChannelLayoutStereo)
	if err := f.AllocBuffer(0); err != nil {
		f.Free()
		return err
	}
	o.enc, o.frame, o.base = e, f, noPTS
	return nil
}

func (o *audioOut) close() {
	if o.enc != nil {
		o.enc.close()
		o.frame.Free()
		o.enc, o.frame = nil, nil
	}
}

// write encodes samples of which the first is at the given place.
func (o *audioOut) write(ctx context.Context, at int64, s *stereo) error {
	if o.enc == nil {
		if err := o.open(); err != nil {
			return err
		}
	}
	if o.grid {
		if at, s = o.align(at, s); len(s.left) == 0 {
			return nil
		}
	}
	if o.base == noPTS {
		// So much silence in front that one of the encoder's frames begins where
		// the sound does, behind its priming.
		lead := (o.size - initialPadding(o.enc.cc)%o.size) % o.size
		o.fifo.silence(lead)
		o.start, o.base, o.at = at, at-int64(lead), at-int64(lead)
		o.enc.base = o.base
	}
	o.fifo.left = append(o.fifo.left, s.left...)
	o.fifo.right = append(o.fifo.right, s.right...)
	used := 0
	for ; len(o.fifo.left)-used >= o.size; used += o.size {
		if err := o.encode(ctx, used); err != nil {
			return err
		}
	}
	o.fifo.drop(used)
	return nil
}

func (o *audioOut) encode(ctx context.Context, from int) error {
	if err := o.frame.MakeWritable(); err != nil {
		return fmt.Errorf("transcode: %w", err)
	}
	o.fifo.writeFrame(o.frame, from)
	o.frame.SetPts(o.at - o.base)
	o.at += int64(o.size)
	return o.enc.send(o.frame, func(e encoded) error { return o.emit(ctx, e) })
}

// flush encodes what is left, filled up with silence, and closes the encoder.
func (o *audioOut) flush(ctx context.Context) error {
	if o.enc == nil || o.base == noPTS {
		return nil
	}
	if n := len(o.fifo.left); n > 0 {
		o.fifo.silence(o.size - n)
		if err := o.encode(ctx, 0); err != nil {
			return err
		}
		o.fifo.drop(o.size)
	}
	err := o.enc.send(nil, func(e encoded) error { return o.emit(ctx, e) })
	o.close()
	return err
}

// emit stamps an encoded frame, unless it is priming.
func (o *audioOut) emit(ctx context.Context, e encoded) error {
	if e.pts < o.start || e.pts < o.last {
		return nil
	}
	p := sluice.Packet{Track: o.track, DTS: e.pts, PTS: e.pts, Dur: int64(o.size), Key: true, Data: e.data}
	due := o.stamps.until(e.pts)
	for i, s := range due {
		if i < len(due)-1 {
			if err := o.put(ctx, s.pts, s.segment); err != nil {
				return err
			}
			continue
		}
		o.segment = max(o.segment, s.segment)
	}
	p.Segment = o.segment
	o.last = e.pts + int64(o.size)
	return o.a.o.emit(ctx, p)
}

// note takes the stamp of a packet of the source.
func (o *audioOut) note(p sluice.Packet) {
	p.PTS = sluice.Rescale(p.PTS, int64(p.Track.Timescale), audioRate)
	o.stamps.note(p)
}

// settle opens the segments that no sound opened.
func (o *audioOut) settle(ctx context.Context) error {
	for _, s := range o.stamps.rest() {
		if err := o.put(ctx, s.pts, s.segment); err != nil {
			return err
		}
	}
	return nil
}

// mark passes on a packet of the source that has no data.
func (o *audioOut) mark(ctx context.Context, p sluice.Packet) error {
	o.stamps.last = max(o.stamps.last, p.Segment)
	return o.put(ctx, sluice.Rescale(p.PTS, int64(p.Track.Timescale), audioRate), p.Segment)
}

func (o *audioOut) put(ctx context.Context, at int64, segment uint64) error {
	at = max(at, o.last)
	o.last, o.segment = at, max(o.segment, segment)
	return o.a.o.emit(ctx, sluice.Packet{Track: o.track, DTS: at, PTS: at, Segment: o.segment})
}
