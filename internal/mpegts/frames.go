package mpegts

import (
	"errors"
	"fmt"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

// framer finds the frames of a sound stream.
type framer interface {
	// next reads the frame at the start of b. f.size 0 without an error means
	// that more bytes are needed to tell; an error that no frame begins here, or
	// with f.size, that this one cannot be used.
	next(b []byte) (f frame, err error)
}

// frame is one header's worth of sound: mostly one access unit, with LATM
// perhaps several or none.
type frame struct {
	size  int // in the stream
	units [][]byte
	// samples and rate give the duration of each unit.
	samples, rate int64
	// config is another one wherever track would return another track.
	config uint64
	track  func() (*sluice.Track, error)
}

// maxFrame bounds what is kept of a frame that its PES packet does not hold
// whole: LOAS allows 8,194 bytes, everything else less but for Opus, which is
// not split.
const maxFrame = 8194

func of(f framer) func(elementary) framer { return func(elementary) framer { return f } }

type adts struct{}

func (adts) next(b []byte) (frame, error) {
	if len(b) < 7 {
		return frame{}, nil
	}
	h, err := codec.ParseADTS(b)
	if err != nil || h.Size > len(b) {
		return frame{}, err
	}
	c, err := codec.ParseASC(h.ASC[:])
	if err != nil {
		return frame{}, err
	}
	return frame{
		size: h.Size, units: [][]byte{b[h.Header:h.Size]},
		samples: int64(c.FrameSamples), rate: int64(c.CoreRate),
		config: uint64(h.ASC[0])<<8 | uint64(h.ASC[1]),
		track:  func() (*sluice.Track, error) { return codec.AAC(h.ASC[:]) },
	}, nil
}

// latm keeps the configuration that its frames may leave out.
type latm struct {
	codec.LATM
	asc     string
	parsed  codec.ASC
	changes uint64
}

func (l *latm) next(b []byte) (frame, error) {
	if len(b) < 3 {
		return frame{}, nil
	}
	size, err := codec.LOASSize(b)
	if err != nil || size > len(b) {
		return frame{}, err
	}
	asc, units, err := l.Frames(b[3:size])
	if err != nil {
		return frame{size: size}, err
	}
	if len(units) == 0 {
		return frame{size: size}, nil
	}
	if string(asc) != l.asc {
		if l.parsed, err = codec.ParseASC(asc); err != nil {
			return frame{size: size}, err
		}
		l.asc = string(asc)
		l.changes++
	}
	return frame{
		size: size, units: units,
		samples: int64(l.parsed.FrameSamples), rate: int64(l.parsed.CoreRate),
		config: l.changes,
		track:  func() (*sluice.Track, error) { return codec.AAC(asc) },
	}, nil
}

type mpegAudio struct{}

func (mpegAudio) next(b []byte) (frame, error) {
	if len(b) < 4 {
		return frame{}, nil
	}
	h, err := codec.ParseMPEGAudio(b)
	if err != nil || h.Size > len(b) {
		return frame{}, err
	}
	build := codec.MP3
	if h.Layer == 2 {
		build = codec.MP2
	}
	return frame{
		size: h.Size, units: [][]byte{b[:h.Size]},
		samples: int64(h.FrameSamples), rate: int64(h.SampleRate),
		config: uint64(h.SampleRate)<<16 | uint64(h.Layer)<<8 | uint64(h.Channels),
		track:  func() (*sluice.Track, error) { return build(b[:h.Size]) },
	}, nil
}

type ac3 struct{}

func (ac3) next(b []byte) (frame, error) {
	if len(b) < 8 {
		return frame{}, nil
	}
	size, err := codec.AC3Size(b)
	if err != nil || size > len(b) {
		return frame{}, err
	}
	t, err := codec.AC3(b[:size])
	if err != nil {
		return frame{}, err
	}
	return frame{
		size: size, units: [][]byte{b[:size]},
		samples: t.FrameDur, rate: int64(t.SampleRate),
		config: uint64(b[4]>>6)<<16 | uint64(b[5])<<8 | uint64(t.Channels),
		track:  func() (*sluice.Track, error) { return t, nil },
	}, nil
}

// opus reads packets behind their control headers (ETSI TS 103 491, and the
// draft that FFmpeg implements).
type opus struct{ channels int }

var errOpus = errors.New("opus: no control header")

func (o opus) next(b []byte) (frame, error) {
	if len(b) < 3 {
		return frame{}, nil
	}
	if b[0] != 0x7f || b[1]&0xe0 != 0xe0 {
		return frame{}, errOpus
	}
	flags, at, size := b[1], 2, 0
	for {
		if at == len(b) {
			return frame{}, nil
		}
		v := b[at]
		at++
		if size += int(v); v != 255 {
			break
		}
	}
	at += 2*int(flags>>4&1) + 2*int(flags>>3&1) // trimmed at start and end
	if flags&4 != 0 {                           // extension
		if at >= len(b) {
			return frame{}, nil
		}
		at += 1 + int(b[at])
	}
	if at+size > len(b) {
		return frame{}, nil
	}
	samples := codec.OpusSamples(b[at : at+size])
	if samples == 0 {
		return frame{}, errOpus
	}
	return frame{
		size: at + size, units: [][]byte{b[at : at+size]}, samples: int64(samples), rate: 48000,
		config: uint64(o.channels),
		track: func() (*sluice.Track, error) {
			return codec.Opus(codec.OpusHead{Channels: o.channels, InputRate: 48000})
		},
	}, nil
}

// opusChannels returns the channels that the stream's descriptor says; 2 where
// there is none.
func opusChannels(e elementary) int {
	d, ok := e.descriptor(tagExtension)
	if !ok || len(d) < 2 || d[0] != tagOpus {
		return 2
	}
	return int(d[1])
}

func appendAsIs(b []byte, p sluice.Packet) ([]byte, error) { return append(b, p.Data...), nil }

func appendVideo(b []byte, p sluice.Packet) ([]byte, error) {
	return codec.AppendAnnexB(b, p.Track, p.Data, p.Key)
}

func appendAAC(b []byte, p sluice.Packet) ([]byte, error) {
	asc, err := codec.AACConfig(p.Track)
	if err != nil {
		return b, err
	}
	return codec.AppendADTS(b, asc, p.Data)
}

func appendOpus(b []byte, p sluice.Packet) ([]byte, error) {
	if p.Track.Channels < 1 || p.Track.Channels > 2 {
		return b, fmt.Errorf("mpegts: Opus of %d channels: %w", p.Track.Channels, codec.ErrUnsupported)
	}
	b = append(b, 0x7f, 0xe0)
	n := len(p.Data)
	for ; n >= 255; n -= 255 {
		b = append(b, 255)
	}
	return append(append(b, byte(n)), p.Data...), nil
}
