package codec

import (
	"errors"
	"fmt"

	"github.com/sluice-live/sluice"
)

// Errors that every error of this package wraps one of.
var (
	// ErrInvalid is wrong syntax: the sender is broken or the bytes are damaged.
	ErrInvalid = errors.New("not valid")
	// ErrUnsupported is a format that is sound but not handled.
	ErrUnsupported = errors.New("not supported")
)

// format is what can be asked of a track of one codec; each column reads the
// sample entry only.
type format struct {
	mime func(entry []byte) (string, error)           // the RFC 6381 string
	rate func(entry []byte) (num, den int64, ok bool) // frames a second; nil where there is no such thing
	// timing is the native timescale and the ticks a frame lasts, 0 where they vary.
	timing func(entry []byte) (timescale uint32, frame int64, err error)
	// decoder is the coding's name in FFmpeg and the private data that its
	// decoder wants.
	decoder func(entry []byte) (name string, private []byte, err error)
}

// formats is the only place that tells codecs apart.
var formats = map[sluice.FourCC]format{
	sluice.AVC1: {mime: avcMIME, rate: avcRate, timing: avcTiming, decoder: avcDecoder},
	sluice.HVC1: {mime: hevcMIME, rate: hevcRate, timing: hevcTiming, decoder: hevcDecoder},
	sluice.AV01: {mime: av1MIME, timing: videoTiming, decoder: av1Decoder},
	sluice.VP08: {mime: vpMIME, timing: videoTiming, decoder: vpDecoder},
	sluice.VP09: {mime: vpMIME, timing: videoTiming, decoder: vpDecoder},
	sluice.MP4V: {mime: mp4vMIME, timing: videoTiming, decoder: mp4vDecoder},
	sluice.MP4A: {mime: mp4aMIME, timing: mp4aTiming, decoder: mp4aDecoder},
	sluice.MP3:  {mime: mp3MIME, timing: mp3Timing, decoder: mp3Decoder},
	sluice.AC3:  {mime: ac3MIME, timing: ac3Timing, decoder: ac3Decoder},
	sluice.Opus: {mime: opusMIME, timing: opusTiming, decoder: opusDecoder},
}

// RFC6381 returns the string that names the track's codec, profile and level
// in the CODECS attribute of a playlist and in MIME types.
func RFC6381(t *sluice.Track) (string, error) {
	f, ok := formats[t.Codec]
	if !ok {
		return "", fmt.Errorf("codec: name %q: %w", t.Codec, ErrUnsupported)
	}
	s, err := f.mime(t.Config)
	if err != nil {
		return "", fmt.Errorf("codec: name %q: %w", t.Codec, err)
	}
	return s, nil
}

// FrameRate returns the nominal frames a second that the track's configuration
// declares, in lowest terms, or 0, 0 if it declares none that is plausible.
// Encoders of variable rate declare one too: t.FrameDur is set only where the
// rate is declared to be fixed.
func FrameRate(t *sluice.Track) (num, den int64) {
	f := formats[t.Codec]
	if f.rate == nil {
		return 0, 0
	}
	num, den, ok := f.rate(t.Config)
	if !ok {
		return 0, 0
	}
	return num, den
}

// Native returns the track in the timescale that its codec counts in, which
// its constructor gave it (90,000 for video, samples for audio), with the
// duration of a frame; where the codec names none, t's. Protocols with a clock of
// their own describe their tracks in that one.
func Native(t *sluice.Track) (*sluice.Track, error) {
	f, ok := formats[t.Codec]
	if !ok {
		return nil, fmt.Errorf("codec: timing of %q: %w", t.Codec, ErrUnsupported)
	}
	native := *t
	var err error
	if native.Timescale, native.FrameDur, err = f.timing(t.Config); err != nil {
		return nil, fmt.Errorf("codec: timing of %q: %w", t.Codec, err)
	}
	if native.FrameDur == 0 && t.Timescale > 0 {
		native.FrameDur = sluice.Rescale(t.FrameDur, int64(t.Timescale), int64(native.Timescale))
	}
	return &native, nil
}

// Decoder returns what FFmpeg calls the track's coding ("h264", "mpeg2video")
// and the private data ("extradata") that its decoder wants, nil for none.
func Decoder(t *sluice.Track) (name string, private []byte, err error) {
	f, ok := formats[t.Codec]
	if !ok {
		return "", nil, fmt.Errorf("codec: decode %q: %w", t.Codec, ErrUnsupported)
	}
	if name, private, err = f.decoder(t.Config); err != nil {
		return "", nil, fmt.Errorf("codec: decode %q: %w", t.Codec, err)
	}
	return name, private, nil
}
