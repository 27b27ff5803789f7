package rtc

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// Bounds of an offer. Chromium's with six codecs and simulcast has 9 kB.
const (
	maxOffer    = 64 << 10
	maxSections = 8
	maxFormats  = 32 // of ours in a section

	// Candidates of a peer in all: checks are sent to each of them, from each of
	// our addresses, whoever may be there.
	maxCandidates = 128
)

// Offer is an SDP offer that has been looked through.
type Offer struct {
	// Video and Audio say what is offered.
	Video, Audio bool
	// TCPOnly asks for an answer with TCP candidates only, for networks that
	// hinder UDP.
	TCPOnly bool

	text    string
	formats []format // that are ours
	layers  int      // of simulcast, 0 without

	candidates int
}

// ParseOffer checks an offer: that it is SDP, and that it sends at least one
// kind of media in a codec that is carried. Its errors wrap ErrOffer or
// ErrCodec, and are for the peer to read.
func ParseOffer(b []byte) (*Offer, error) {
	if len(b) > maxOffer {
		return nil, fmt.Errorf("rtc: offer of %d bytes: at most %d are taken: %w", len(b), maxOffer, ErrOffer)
	}
	var d sdp.SessionDescription
	if err := d.Unmarshal(b); err != nil {
		return nil, fmt.Errorf("rtc: offer is not SDP: %w: %w", err, ErrOffer)
	}
	if len(d.MediaDescriptions) > maxSections {
		return nil, fmt.Errorf("rtc: offer of %d media sections: at most %d are taken: %w", len(d.MediaDescriptions), maxSections, ErrOffer)
	}
	o := &Offer{text: string(b), candidates: countCandidates(d)}
	if o.candidates > maxCandidates {
		return nil, fmt.Errorf("rtc: offer of %d candidates: at most %d are taken: %w", o.candidates, maxCandidates, ErrOffer)
	}
	for _, m := range d.MediaDescriptions {
		if err := o.section(m); err != nil {
			return nil, err
		}
	}
	if !o.Video && !o.Audio {
		return nil, fmt.Errorf("rtc: the offer sends no media: offer video or audio, sendonly: %w", ErrOffer)
	}
	return o, nil
}

func countCandidates(d sdp.SessionDescription) (n int) {
	count := func(attributes []sdp.Attribute) {
		for _, a := range attributes {
			if a.Key == "candidate" {
				n++
			}
		}
	}
	count(d.Attributes)
	for _, m := range d.MediaDescriptions {
		count(m.Attributes)
	}
	return n
}

// section looks at one media section.
func (o *Offer) section(m *sdp.MediaDescription) error {
	var kind webrtc.RTPCodecType
	switch m.MediaName.Media {
	case "video":
		kind = webrtc.RTPCodecTypeVideo
	case "audio":
		kind = webrtc.RTPCodecTypeAudio
	default:
		return fmt.Errorf("rtc: media section %q: only video and audio are taken: %w", m.MediaName.Media, ErrOffer)
	}
	for _, off := range []string{"recvonly", "inactive"} {
		if _, ok := m.Attribute(off); ok {
			return nil
		}
	}
	if m.MediaName.Port.Value == 0 {
		if _, bundled := m.Attribute("bundle-only"); !bundled {
			return nil
		}
	}
	ours, names := formatsOf(m, kind)
	if len(ours) == 0 {
		return fmt.Errorf("rtc: %s in %s: %w: offer %s", m.MediaName.Media, strings.Join(names, ", "), ErrCodec, carried(kind))
	}
	o.formats = append(o.formats, ours...)
	if kind == webrtc.RTPCodecTypeAudio {
		o.Audio = true
		return nil
	}
	o.Video = true
	if s, ok := m.Attribute("simulcast"); ok {
		o.layers += countLayers(s)
	}
	return nil
}

// formatsOf returns the formats of a section that are ours, and the names of
// all its encodings, each once.
func formatsOf(m *sdp.MediaDescription, kind webrtc.RTPCodecType) (ours []format, names []string) {
	fmtp, rtx := make(map[uint8]string), make(map[uint8]uint8)
	each := func(key string, f func(payload uint8, value string)) {
		for _, a := range m.Attributes {
			number, value, _ := strings.Cut(a.Value, " ")
			if n, err := strconv.ParseUint(number, 10, 7); a.Key == key && err == nil {
				f(uint8(n), value)
			}
		}
	}
	each("fmtp", func(payload uint8, value string) {
		fmtp[payload] = value
		if of, err := strconv.ParseUint(fmtpParam(value, "apt"), 10, 7); err == nil {
			rtx[uint8(of)] = payload
		}
	})
	each("rtpmap", func(payload uint8, value string) {
		name, _, _ := strings.Cut(value, "/")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		c := codecByMIME(m.MediaName.Media + "/" + name)
		if c == nil || c.kind != kind || len(ours) == maxFormats || c.takes != nil && !c.takes(fmtp[payload]) {
			return
		}
		ours = append(ours, format{codecEntry: c, payload: payload, rtx: rtx[payload], fmtp: fmtp[payload]})
	})
	return ours, names[:min(len(names), 24)]
}

// countLayers reads "send f;h;q recv …" (RFC 8853).
func countLayers(simulcast string) int {
	words := strings.Fields(simulcast)
	for i := 0; i+1 < len(words); i += 2 {
		if words[i] == "send" {
			return min(strings.Count(words[i+1], ";")+1, maxTracks)
		}
	}
	return 0
}
