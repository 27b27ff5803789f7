package rtc

import (
	"fmt"

	"github.com/pion/rtp"
	rtpcodecs "github.com/pion/rtp/codecs"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

// opus unpacks RFC 7587: a packet is a frame. Every stream is described as
// stereo; decoders make it of mono.
type opus struct{ track *sluice.Track }

func newOpus(string) unpacker { return &opus{} }

func (o *opus) unpack(payloads [][]byte) (unit, error) {
	if len(payloads) != 1 {
		return unit{}, fmt.Errorf("rtc: Opus: frame of %d packets: %w", len(payloads), ErrMedia)
	}
	samples := codec.OpusSamples(payloads[0])
	if samples == 0 {
		return unit{}, fmt.Errorf("rtc: Opus packet of %d bytes: %w", len(payloads[0]), ErrMedia)
	}
	if o.track == nil {
		track, err := codec.Opus(codec.OpusHead{Channels: 2, InputRate: 48000})
		if err != nil {
			return unit{}, err
		}
		track.FrameDur = int64(samples)
		o.track = track
	}
	return unit{whole: true, data: payloads[0], key: true, track: o.track}, nil
}

func opusFormat(*sluice.Track) (string, error) {
	return "minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1", nil
}

func packOpus() rtp.Payloader { return &rtpcodecs.OpusPayloader{} }
