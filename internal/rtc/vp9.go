package rtc

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/pion/rtp"
	rtpcodecs "github.com/pion/rtp/codecs"
	vp9head "github.com/pion/rtp/codecs/vp9"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

// vp9 unpacks RFC 9628. The frames of a picture's spatial layers become one
// superframe.
type vp9 struct{ track *sluice.Track }

func newVP9(string) unpacker { return &vp9{} }

func (v *vp9) unpack(payloads [][]byte) (unit, error) {
	var layers [][]byte
	var width, height int // of the largest layer, if the packets say
	for i, payload := range payloads {
		var p rtpcodecs.VP9Packet
		if _, err := p.Unmarshal(payload); err != nil {
			return unit{}, fmt.Errorf("rtc: VP9: %w: %w", err, ErrMedia)
		}
		if i == 0 && !p.B {
			return unit{}, fmt.Errorf("rtc: VP9: frame without a start: %w", ErrMedia)
		}
		if p.B || len(layers) == 0 {
			layers = append(layers, nil)
		}
		if n := len(p.Width); p.V && p.Y && n > 0 && len(p.Height) == n {
			width, height = int(p.Width[n-1]), int(p.Height[n-1])
		}
		last := len(layers) - 1
		layers[last] = append(layers[last], p.Payload...)
	}
	if len(layers) == 0 || len(layers[0]) == 0 {
		return unit{}, nil
	}
	key, err := v.parameters(layers[0], width, height)
	if err != nil {
		return unit{}, err
	}
	return unit{whole: true, data: superframe(layers), key: key, track: v.track}, nil
}

// parameters reads the head of a picture's first frame.
func (v *vp9) parameters(frame []byte, width, height int) (key bool, err error) {
	var h vp9head.Header
	if err := h.Unmarshal(frame); err != nil {
		return false, fmt.Errorf("rtc: VP9: %w: %w", err, ErrMedia)
	}
	if h.ShowExistingFrame || h.NonKeyFrame || h.ColorConfig == nil {
		return false, nil
	}
	if width == 0 || height == 0 {
		width, height = int(h.Width()), int(h.Height())
	}
	track, err := codec.VP(sluice.VP09, int(h.Profile), int(max(h.ColorConfig.BitDepth, 8)), width, height)
	if err != nil {
		return false, err
	}
	v.track = sameOr(v.track, track)
	return true, nil
}

// superframe joins frames that are shown as one, with the index of the VP9
// bitstream specification, annex B.
func superframe(frames [][]byte) []byte {
	if len(frames) == 1 {
		return frames[0]
	}
	frames = frames[:min(len(frames), 8)]
	var out []byte
	largest := 0
	for _, f := range frames {
		out = append(out, f...)
		largest = max(largest, len(f))
	}
	size := max((bits.Len(uint(largest))+7)/8, 1)
	marker := byte(0xc0 | (size-1)<<3 | (len(frames) - 1))
	out = append(out, marker)
	for _, f := range frames {
		out = append(out, binary.LittleEndian.AppendUint32(nil, uint32(len(f)))[:size]...)
	}
	return append(out, marker)
}

// vp9Takes leaves out profiles 1 and 3: 4:4:4, which players refuse.
func vp9Takes(fmtp string) bool {
	p := fmtpParam(fmtp, "profile-id")
	return p != "1" && p != "3"
}

func vp9Format(t *sluice.Track) (string, error) {
	mime, err := codec.RFC6381(t)
	if err != nil {
		return "", err
	}
	profile := 0
	if _, err := fmt.Sscanf(mime, "vp09.%d", &profile); err != nil {
		return "", fmt.Errorf("rtc: VP9 profile of %q: %w", mime, err)
	}
	return fmt.Sprintf("profile-id=%d", profile), nil
}

func packVP9() rtp.Payloader { return &rtpcodecs.VP9Payloader{} }
