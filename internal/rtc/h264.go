package rtc

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/pion/rtp"
	rtpcodecs "github.com/pion/rtp/codecs"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

// NAL unit types of H.264, and payload structures of RFC 6184.
const (
	h264IDR       = 5
	h264SPS       = 7
	h264PPS       = 8
	h264Delimiter = 9
	h264EndSeq    = 10
	h264Filler    = 12
	h264STAPA     = 24
	h264FUA       = 28
)

// h264 unpacks RFC 6184. Parameter sets go into the track, access unit
// delimiters and filler are left out, SEI stays.
type h264 struct {
	sps, pps [][]byte
	track    *sluice.Track
	changed  bool // sps or pps since track was made
}

func newH264(fmtp string) unpacker {
	u := &h264{}
	var sps, pps [][]byte
	for set := range strings.SplitSeq(fmtpParam(fmtp, "sprop-parameter-sets"), ",") {
		b, err := base64.StdEncoding.DecodeString(set)
		if err != nil || len(b) == 0 {
			continue
		}
		switch b[0] & 31 {
		case h264SPS:
			sps = append(sps, b)
		case h264PPS:
			pps = append(pps, b)
		}
	}
	u.parameters(sps, pps)
	return u
}

func (h *h264) unpack(payloads [][]byte) (unit, error) {
	units, err := h264Units(payloads)
	if err != nil {
		return unit{}, err
	}
	var out unit
	var sps, pps [][]byte
	for i, u := range units {
		kind := u[0] & 31
		if i == 0 {
			out.whole = kind == h264SPS || kind == h264Delimiter
		}
		switch kind {
		case h264SPS:
			sps = withSet(sps, u)
			continue
		case h264PPS:
			pps = withSet(pps, u)
			continue
		case h264Delimiter, h264EndSeq, h264EndSeq + 1, h264Filler:
			continue
		case h264IDR:
			out.key = true
		}
		out.data = append(binary.BigEndian.AppendUint32(out.data, uint32(len(u))), u...)
	}
	h.parameters(sps, pps)
	if h.changed && len(h.sps) > 0 && len(h.pps) > 0 {
		h.changed = false
		record, err := codec.AVCRecord(h.sps, h.pps)
		if err != nil {
			return unit{}, err
		}
		if h.track, err = codec.AVC(record); err != nil {
			return unit{}, err
		}
	}
	out.track = h.track
	return out, nil
}

// maxSets bounds the parameter sets of a kind in an access unit; most have one.
const maxSets = 64

// withSet appends a parameter set that is not there yet.
func withSet(sets [][]byte, u []byte) [][]byte {
	if len(sets) == maxSets || slices.ContainsFunc(sets, func(s []byte) bool { return slices.Equal(s, u) }) {
		return sets
	}
	return append(sets, u)
}

// parameters takes the sets of an access unit.
func (h *h264) parameters(sps, pps [][]byte) {
	same := func(a, b [][]byte) bool { return slices.EqualFunc(a, b, slices.Equal) }
	if len(sps) > 0 && !same(sps, h.sps) {
		h.sps, h.changed = sps, true
	}
	if len(pps) > 0 && !same(pps, h.pps) {
		h.pps, h.changed = pps, true
	}
}

// h264Units takes the NAL units out of a frame's payloads. Those of single
// packets are slices of them.
func h264Units(payloads [][]byte) (units [][]byte, err error) {
	var fragment []byte // of an unfinished FU-A
	for _, p := range payloads {
		if len(p) == 0 {
			continue
		}
		kind := p[0] & 31
		if fragment != nil && kind != h264FUA {
			return nil, fmt.Errorf("rtc: H.264: fragment without an end: %w", ErrMedia)
		}
		switch {
		case kind >= 1 && kind < h264STAPA:
			units = append(units, p)
		case kind == h264STAPA:
			if units, err = h264Aggregate(units, p[1:]); err != nil {
				return nil, err
			}
		case kind == h264FUA && len(p) > 2:
			whole, err := h264Fragment(&fragment, p)
			if err != nil {
				return nil, err
			}
			if whole != nil {
				units = append(units, whole)
			}
		default:
			return nil, fmt.Errorf("rtc: H.264: payload structure %d of %d bytes: %w", kind, len(p), ErrMedia)
		}
	}
	if fragment != nil {
		return nil, fmt.Errorf("rtc: H.264: fragment without an end: %w", ErrMedia)
	}
	return units, nil
}

// h264Fragment takes an FU-A, and returns the unit that it ends, if it does.
func h264Fragment(fragment *[]byte, p []byte) (whole []byte, err error) {
	start, end := p[1]&0x80 != 0, p[1]&0x40 != 0
	if start == (*fragment != nil) {
		return nil, fmt.Errorf("rtc: H.264: fragment without a start: %w", ErrMedia)
	}
	if start {
		*fragment = append(make([]byte, 0, 4*len(p)), p[0]&0xe0|p[1]&0x1f)
	}
	*fragment = append(*fragment, p[2:]...)
	if end {
		whole, *fragment = *fragment, nil
	}
	return whole, nil
}

func h264Aggregate(units [][]byte, p []byte) ([][]byte, error) {
	for len(p) > 0 {
		if len(p) < 2 || int(binary.BigEndian.Uint16(p)) > len(p)-2 {
			return nil, fmt.Errorf("rtc: H.264: aggregated unit is cut short: %w", ErrMedia)
		}
		n := int(binary.BigEndian.Uint16(p))
		if n > 0 {
			units = append(units, p[2:2+n])
		}
		p = p[2+n:]
	}
	return units, nil
}

// h264Takes refuses interleaved packets, mode 2, which nobody sends.
func h264Takes(fmtp string) bool { return fmtpParam(fmtp, "packetization-mode") != "2" }

// h264Format offers the constrained profile that browsers know for the track's.
func h264Format(t *sluice.Track) (string, error) {
	record, err := codec.AVCConfig(t)
	if err != nil {
		return "", err
	}
	if len(record) < 4 {
		return "", fmt.Errorf("rtc: H.264 configuration of track %d: %w", t.ID, ErrMedia)
	}
	profile := [3]byte{record[1], 0, record[3]}
	if profile[0] == 66 {
		profile[1] = 0xe0
	}
	return fmt.Sprintf("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=%x", profile), nil
}

func packH264() rtp.Payloader { return &rtpcodecs.H264Payloader{} }

// h264Frame is the frame as a byte stream, with the parameter sets before each
// key frame.
func h264Frame(t *sluice.Track, p sluice.Packet) ([]byte, error) {
	stream := codec.AnnexB(p.Data)
	if !p.Key {
		return stream, nil
	}
	record, err := codec.AVCConfig(t)
	if err != nil {
		return nil, err
	}
	sps, pps, err := codec.AVCParameterSets(record)
	if err != nil {
		return nil, err
	}
	var out []byte
	for _, set := range slices.Concat(sps, pps) {
		out = append(append(out, 0, 0, 0, 1), set...)
	}
	return append(out, stream...), nil
}
