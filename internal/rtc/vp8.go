package rtc

import (
	"encoding/binary"
	"fmt"

	"github.com/pion/rtp"
	rtpcodecs "github.com/pion/rtp/codecs"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

// vp8 unpacks RFC 7741.
type vp8 struct{ track *sluice.Track }

func newVP8(string) unpacker { return &vp8{} }

func (v *vp8) unpack(payloads [][]byte) (unit, error) {
	var frame []byte
	for i, payload := range payloads {
		var p rtpcodecs.VP8Packet
		if _, err := p.Unmarshal(payload); err != nil {
			return unit{}, fmt.Errorf("rtc: VP8: %w: %w", err, ErrMedia)
		}
		if i == 0 && (p.S != 1 || p.PID != 0) {
			return unit{}, fmt.Errorf("rtc: VP8: frame without a start: %w", ErrMedia)
		}
		frame = append(frame, p.Payload...)
	}
	if len(frame) == 0 {
		return unit{}, nil
	}
	if frame[0]&1 == 1 {
		return unit{whole: true, data: frame, track: v.track}, nil
	}
	// A key frame: frame tag, start code, 14 bits each of width and height (RFC 6386, 9.1).
	if len(frame) < 10 || frame[3] != 0x9d || frame[4] != 0x01 || frame[5] != 0x2a {
		return unit{}, fmt.Errorf("rtc: VP8: key frame without a start code: %w", ErrMedia)
	}
	width, height := int(binary.LittleEndian.Uint16(frame[6:])&0x3fff), int(binary.LittleEndian.Uint16(frame[8:])&0x3fff)
	profile := int(frame[0] >> 1 & 7)
	track, err := codec.VP(sluice.VP08, profile, 8, width, height)
	if err != nil {
		return unit{}, err
	}
	v.track = sameOr(v.track, track)
	return unit{whole: true, data: frame, key: true, track: v.track}, nil
}

func packVP8() rtp.Payloader { return &rtpcodecs.VP8Payloader{EnablePictureID: true} }
