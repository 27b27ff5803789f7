package codec

import (
	"fmt"

	"github.com/sluice-live/sluice"
)

const ac3Samples = 1536 // a frame

var (
	ac3Rates    = [4]int{48000, 44100, 32000, 0}
	ac3Channels = [8]int{2, 1, 2, 3, 3, 4, 4, 5} // of acmod, without the low-frequency one
)

// AC3 returns the track that an AC-3 frame describes (ETSI TS 102 366: syncinfo
// and bsi, 4.3; sample entry and dac3 box, annex F).
func AC3(frame []byte) (*sluice.Track, error) {
	r := &bitReader{b: frame}
	sync := r.bits(16)
	r.skip(16) // CRC
	rate, size := r.bits(2), r.bits(6)
	id, mode, layout := r.bits(5), r.bits(3), r.bits(3)
	if layout&1 != 0 && layout != 1 {
		r.skip(2)
	}
	if layout&4 != 0 {
		r.skip(2)
	}
	if layout == 2 {
		r.skip(2)
	}
	lfe := r.bits(1)
	if r.err != nil || sync != 0x0b77 || rate == 3 || size > 37 || id > 8 {
		return nil, fmt.Errorf("codec: AC-3 frame: %w", ErrInvalid)
	}
	channels := ac3Channels[layout] + int(lfe)
	return &sluice.Track{
		Kind:       sluice.Audio,
		Codec:      sluice.AC3,
		Timescale:  uint32(ac3Rates[rate]),
		FrameDur:   ac3Samples,
		SampleRate: ac3Rates[rate],
		Channels:   channels,
		Config: box(nil, "ac-3", func(b []byte) []byte {
			b = audio(b, channels, ac3Rates[rate])
			return box(b, "dac3", func(b []byte) []byte {
				v := rate<<22 | id<<17 | mode<<14 | layout<<11 | lfe<<10 | size>>1<<5
				return append(b, byte(v>>16), byte(v>>8), byte(v))
			})
		}),
	}, nil
}

// ac3BitRates are in kbit/s, by half the frame size code.
var ac3BitRates = [19]int{32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640}

// AC3Size returns the size of the frame at the start of b (ETSI TS 102 366,
// table 4.13).
func AC3Size(b []byte) (int, error) {
	if len(b) < 6 || b[0] != 0x0b || b[1] != 0x77 || b[4]>>6 == 3 || b[4]&63 > 37 {
		return 0, fmt.Errorf("codec: AC-3 frame: %w", ErrInvalid)
	}
	if b[5]>>3 > 8 {
		return 0, fmt.Errorf("codec: AC-3 frame of version %d (E-AC-3): %w", b[5]>>3, ErrUnsupported)
	}
	kbps := ac3BitRates[b[4]&63>>1]
	switch b[4] >> 6 {
	case 0:
		return kbps * 4, nil
	case 1:
		return 2 * (320*kbps/147 + int(b[4]&1)), nil
	}
	return kbps * 6, nil
}

func ac3MIME(entry []byte) (string, error) {
	_, err := child(entry, audioEntry, "dac3")
	return "ac-3", err
}

func ac3Timing(entry []byte) (timescale uint32, frame int64, err error) {
	b, err := child(entry, audioEntry, "dac3")
	if err != nil {
		return 0, 0, err
	}
	if len(b) < 3 || b[0]>>6 == 3 {
		return 0, 0, fmt.Errorf("dac3: %w", ErrInvalid)
	}
	return uint32(ac3Rates[b[0]>>6]), ac3Samples, nil
}

func ac3Decoder([]byte) (name string, private []byte, err error) { return "ac3", nil, nil }
