package rtc

import (
	"fmt"

	"github.com/pion/rtp"
	rtpcodecs "github.com/pion/rtp/codecs"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

// av1 unpacks the RTP Payload Format for AV1 of the Alliance for Open Media.
type av1 struct{ track *sluice.Track }

func newAV1(string) unpacker { return &av1{} }

func (a *av1) unpack(payloads [][]byte) (unit, error) {
	var d rtpcodecs.AV1Depacketizer
	var obus []byte
	for i, payload := range payloads {
		if i == 0 && !d.IsPartitionHead(payload) {
			return unit{}, fmt.Errorf("rtc: AV1: temporal unit without a start: %w", ErrMedia)
		}
		b, err := d.Unmarshal(payload)
		if err != nil {
			return unit{}, fmt.Errorf("rtc: AV1: %w: %w", err, ErrMedia)
		}
		obus = append(obus, b...)
	}
	if d.Y {
		return unit{}, fmt.Errorf("rtc: AV1: OBU without an end: %w", ErrMedia)
	}
	if len(obus) == 0 {
		return unit{}, nil
	}
	sample, err := codec.AV1Sample(obus)
	if err != nil {
		return unit{}, err
	}
	key := codec.AV1Picture(sample) == codec.Start
	if key {
		track, err := codec.AV1(sample)
		if err != nil {
			return unit{}, err
		}
		a.track = sameOr(a.track, track)
	}
	return unit{whole: true, data: sample, key: key, track: a.track}, nil
}

func packAV1() rtp.Payloader { return &rtpcodecs.AV1Payloader{} }
