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
	fmtp   []string // each profile that is taken
	single bool     // every packet is a frame
	// unpacker begins with the fmtp that the sender gave.
	unpacker func(fmtp string) unpacker
	// The way out: pack cuts frames, made ready by frame (nil: as they are).
	pack  func() rtp.Payloader
	frame func(t *sluice.Track, p sluice.Packet) ([]byte, error)
}

// codecs is the only place that tells codecs apart, in the order in which they
// are preferred where the other side does not care.
var codecs = []codecEntry{
	{
		name: "H.264", codec: sluice.AVC1, kind: webrtc.RTPCodecTypeVideo, mime: webrtc.MimeTypeH264, rate: 90000,
		fmtp: []string{
			h264Format("42e01f", 1), h264Format("42001f", 1), h264Format("4d001f", 1), h264Format("64001f", 1),
			h264Format("42e01f", 0), h264Format("42001f", 0), h264Format("4d001f", 0), h264Format("64001f", 0),
		},
		unpacker: newH264, pack: packH264, frame: h264Frame,
	},
	{
		name: "VP8", codec: sluice.VP08, kind: webrtc.RTPCodecTypeVideo, mime: webrtc.MimeTypeVP8, rate: 90000,
		fmtp: []string{""}, unpacker: newVP8, pack: packVP8,
	},
	{
		name: "VP9", codec: sluice.VP09, kind: webrtc.RTPCodecTypeVideo, mime: webrtc.MimeTypeVP9, rate: 90000,
		fmtp: []string{"profile-id=0", "profile-id=2"}, unpacker: newVP9, pack: packVP9,
	},
	{
		name: "AV1", codec: sluice.AV01, kind: webrtc.RTPCodecTypeVideo, mime: webrtc.MimeTypeAV1, rate: 90000,
		fmtp: []string{"", "profile=0"}, unpacker: newAV1, pack: packAV1,
	},
	{
		name: "Opus", codec: sluice.Opus, kind: webrtc.RTPCodecTypeAudio, mime: webrtc.MimeTypeOpus, rate: 48000,
		fmtp: []string{"minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1"}, single: true,
		unpacker: newOpus, pack: packOpus,
	},
}

func h264Format(profile string, mode int) string {
	return fmt.Sprintf("level-asymmetry-allowed=1;packetization-mode=%d;profile-level-id=%s", mode, profile)
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

// firstPayloadType is that of the first codec; the odd ones behind are RTX.
const firstPayloadType = 96

var (
	videoFeedback = []webrtc.RTCPFeedback{
		{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}, {Type: webrtc.TypeRTCPFBTransportCC},
	}
	audioFeedback = []webrtc.RTCPFeedback{{Type: "nack"}, {Type: webrtc.TypeRTCPFBTransportCC}}
)

// register tells an engine of a codec, from payload type pt on, and returns
// the next free one.
func (c *codecEntry) register(m *webrtc.MediaEngine, pt webrtc.PayloadType) (webrtc.PayloadType, error) {
	for _, fmtp := range c.fmtp {
		p := webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: c.mime, ClockRate: c.rate, SDPFmtpLine: fmtp, RTCPFeedback: audioFeedback},
			PayloadType:        pt,
		}
		if c.kind == webrtc.RTPCodecTypeAudio {
			p.Channels = 2
		} else {
			p.RTCPFeedback = videoFeedback
			rtx := webrtc.RTPCodecParameters{
				RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: c.rate, SDPFmtpLine: fmt.Sprintf("apt=%d", pt)},
				PayloadType:        pt + 1,
			}
			if err := m.RegisterCodec(rtx, c.kind); err != nil {
				return 0, err
			}
		}
		if err := m.RegisterCodec(p, c.kind); err != nil {
			return 0, err
		}
		pt += 2
	}
	return pt, nil
}
