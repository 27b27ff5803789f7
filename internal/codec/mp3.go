package codec

import (
	"fmt"

	"github.com/sluice-live/sluice"
)

// MP3Header is the header of an MPEG-1 or MPEG-2 audio layer III frame.
type MP3Header struct {
	SampleRate   int
	Channels     int
	FrameSamples int // 1152, or 576 below 32 kHz
	BitRate      int // bits a second; 0 is the free format
}

// MP3 returns the track that a frame of MPEG audio layer III describes.
//
// Its sample entry is '.mp3', which has no configuration beyond rate and
// channels. FFmpeg, GStreamer and mpv play it in fragmented MP4, and Firefox by
// way of hls.js, which writes the same. Chromium's Media Source Extensions take
// MP3 in no form of MP4, neither so nor as 'mp4a' with object type 0x6B: there it
// takes bare MP3 frames (audio/mpeg) or AAC.
func MP3(frame []byte) (*sluice.Track, error) {
	h, err := ParseMP3(frame)
	if err != nil {
		return nil, err
	}
	return &sluice.Track{
		Kind:      sluice.Audio,
		Codec:     sluice.MP3,
		Timescale: uint32(h.SampleRate),
		Config: box(nil, ".mp3", func(b []byte) []byte {
			return audio(b, h.Channels, h.SampleRate)
		}),
		FrameDur:   int64(h.FrameSamples),
		SampleRate: h.SampleRate,
		Channels:   h.Channels,
	}, nil
}

var (
	mp3Rates    = [4]int{44100, 48000, 32000, 0}
	mp3BitRates = [2][16]int{ // kbit/s; MPEG-1, MPEG-2 and 2.5
		{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, -1},
		{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, -1},
	}
)

// ParseMP3 reads the header at the start of a frame.
func ParseMP3(frame []byte) (MP3Header, error) {
	if len(frame) < 4 || frame[0] != 0xff || frame[1]&0xe0 != 0xe0 {
		return MP3Header{}, fmt.Errorf("codec: MP3 frame: no frame header: %w", ErrInvalid)
	}
	version, layer := frame[1]>>3&3, frame[1]>>1&3
	if layer != 1 {
		return MP3Header{}, fmt.Errorf("codec: MP3 frame: MPEG audio layer other than III: %w", ErrUnsupported)
	}
	h := MP3Header{SampleRate: mp3Rates[frame[2]>>2&3], Channels: 2, FrameSamples: 1152}
	table := 0
	switch version {
	case 3: // MPEG-1
	case 2:
		h.SampleRate, h.FrameSamples, table = h.SampleRate/2, 576, 1
	case 0: // MPEG-2.5
		h.SampleRate, h.FrameSamples, table = h.SampleRate/4, 576, 1
	default:
		h.SampleRate = 0
	}
	h.BitRate = mp3BitRates[table][frame[2]>>4] * 1000
	if h.SampleRate == 0 || h.BitRate < 0 {
		return MP3Header{}, fmt.Errorf("codec: MP3 frame: reserved value in the header: %w", ErrInvalid)
	}
	if frame[3]>>6 == 3 {
		h.Channels = 1
	}
	return h, nil
}

// mp3MIME answers with the name that Apple's authoring rules and hls.js know
// for MP3 in HLS.
func mp3MIME(entry []byte) (string, error) {
	if len(entry) < audioEntry {
		return "", errShort
	}
	return "mp4a.40.34", nil
}

func mp3Decoder([]byte) (name string, private []byte, err error) { return "mp3", nil, nil }
