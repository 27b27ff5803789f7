package rtc

import (
	"fmt"
	"strings"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/sluice-live/sluice"
)

// unit is what the packets of one frame hold: an access unit in the form that
// sluice.Packet has.
type unit struct {
	data  []byte        // nil where the packets held parameters only
	key   bool          // a decoder may start here
	whole bool          // it is certain that no packet is missing at its start
	track *sluice.Track // the parameters from here on; nil where they are not known yet
}

// unpacker makes access units of the payloads of one frame's packets, which are
// all there and in order. It may keep parameters from one frame to the next,
// and the same *Track as long as they do not change.
type unpacker interface {
	unpack(payloads [][]byte) (unit, error)
}

// codecEntry is what WebRTC needs to know of a codec.
type codecEntry struct {
	name   string // for people
	codec  sluice.FourCC
	kind   webrtc.RTPCodecType
	mime   string
	rate   uint32
	single bool // every packet is a frame
	// takes says which parameters of the codec are taken; nil: all.
	takes func(fmtp string) bool
	// unpacker begins with the fmtp that the sender gave.
	unpacker func(fmtp string) unpacker
	// The way out: pack cuts frames, made ready by frame (nil: as they are).
	pack  func() rtp.Payloader
	frame func(t *sluice.Track, p sluice.Packet) ([]byte, error)
	fmtp  func(t *sluice.Track) (string, error) // nil: none
}

// codecs is the only place that tells codecs apart, in the order in which they
// are preferred where the other side does not care.
var codecs = []codecEntry{
	{
		name: "H.264", codec: sluice.AVC1, kind: webrtc.RTPCodecTypeVideo, mime: webrtc.MimeTypeH264, rate: 90000,
		takes: h264Takes, unpacker: newH264, pack: packH264, frame: h264Frame, fmtp: h264Format,
	},
	{
		name: "VP8", codec: sluice.VP08, kind: webrtc.RTPCodecTypeVideo, mime: webrtc.MimeTypeVP8, rate: 90000,
		unpacker: newVP8, pack: packVP8,
	},
	{
		name: "VP9", codec: sluice.VP09, kind: webrtc.RTPCodecTypeVideo, mime: webrtc.MimeTypeVP9, rate: 90000,
		takes: vp9Takes, unpacker: newVP9, pack: packVP9, fmtp: vp9Format,
	},
	{
		name: "AV1", codec: sluice.AV01, kind: webrtc.RTPCodecTypeVideo, mime: webrtc.MimeTypeAV1, rate: 90000,
		unpacker: newAV1, pack: packAV1,
	},
	{
		name: "Opus", codec: sluice.Opus, kind: webrtc.RTPCodecTypeAudio, mime: webrtc.MimeTypeOpus, rate: 48000, single: true,
		unpacker: newOpus, pack: packOpus, fmtp: opusFormat,
	},
}

// codecByMIME finds the codec that SDP calls so, nil if it is none of ours.
func codecByMIME(mime string) *codecEntry {
	for i := range codecs {
		if strings.EqualFold(codecs[i].mime, mime) {
			return &codecs[i]
		}
	}
	return nil
}

// codecFor finds the codec of a track that is to go out.
func codecFor(t *sluice.Track) (*codecEntry, error) {
	for i := range codecs {
		if codecs[i].codec == t.Codec {
			return &codecs[i], nil
		}
	}
	if t.Kind == sluice.Audio {
		return nil, fmt.Errorf("rtc: sound in %q: %w: WebRTC needs Opus", t.Codec, ErrCodec)
	}
	return nil, fmt.Errorf("rtc: picture in %q: %w: WebRTC carries %s", t.Codec, ErrCodec, carried(webrtc.RTPCodecTypeVideo))
}

// carried names the codecs of a kind, for error messages.
func carried(kind webrtc.RTPCodecType) string {
	var names []string
	for _, c := range codecs {
		if c.kind == kind {
			names = append(names, c.name)
		}
	}
	return strings.Join(names, ", ")
}

// format is a codec as an offer numbers it.
type format struct {
	*codecEntry
	payload, rtx uint8 // payload types; rtx is 0 where there is none
	fmtp         string
}

var (
	videoFeedback = []webrtc.RTCPFeedback{
		{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}, {Type: webrtc.TypeRTCPFBTransportCC},
	}
	audioFeedback = []webrtc.RTCPFeedback{{Type: "nack"}, {Type: webrtc.TypeRTCPFBTransportCC}}
)

// register tells an engine of the format.
func (f format) register(m *webrtc.MediaEngine) error {
	p := webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: f.mime, ClockRate: f.rate, SDPFmtpLine: f.fmtp, RTCPFeedback: videoFeedback},
		PayloadType:        webrtc.PayloadType(f.payload),
	}
	if f.kind == webrtc.RTPCodecTypeAudio {
		p.Channels, p.RTCPFeedback = 2, audioFeedback
	}
	if err := m.RegisterCodec(p, f.kind); err != nil || f.rtx == 0 {
		return err
	}
	return m.RegisterCodec(webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: f.rate, SDPFmtpLine: fmt.Sprintf("apt=%d", f.payload)},
		PayloadType:        webrtc.PayloadType(f.rtx),
	}, f.kind)
}

// fmtpParam finds a parameter in a line like "a=1;b=2".
func fmtpParam(fmtp, name string) string {
	for p := range strings.SplitSeq(fmtp, ";") {
		if n, value, _ := strings.Cut(strings.TrimSpace(p), "="); strings.EqualFold(n, name) {
			return value
		}
	}
	return ""
}
