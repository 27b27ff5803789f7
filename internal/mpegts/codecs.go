package mpegts

import (
	"fmt"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

// Stream types (ISO/IEC 13818-1, table 2-34, and ATSC A/52 for AC-3).
const (
	typeMPEG1Audio = 0x03
	typeMPEG2Audio = 0x04
	typePrivate    = 0x06
	typeAAC        = 0x0f
	typeLATM       = 0x11
	typeH264       = 0x1b
	typeH265       = 0x24
	typeAC3        = 0x81
)

// codecEntry is what a transport stream needs to know of a codec.
type codecEntry struct {
	name string
	kind sluice.Kind
	is   func(elementary) bool
	// One of these reads its PES packets.
	video func() *codec.InBand
	sound func(elementary) framer

	// The way out; nil: in only.
	carries func(*sluice.Track) bool
	stream  func(*sluice.Track) elementary
	id      byte // stream_id of the PES packets
	append  func(b []byte, p sluice.Packet) ([]byte, error)
}

func ofType(types ...byte) func(elementary) bool {
	return func(e elementary) bool {
		for _, t := range types {
			if e.kind == t {
				return true
			}
		}
		return false
	}
}

func ofCodec(c sluice.FourCC) func(*sluice.Track) bool {
	return func(t *sluice.Track) bool { return t.Codec == c }
}

func plain(kind byte) func(*sluice.Track) elementary {
	return func(*sluice.Track) elementary { return elementary{kind: kind} }
}

// Values of stream_id (13818-1, table 2-22).
const (
	idPrivate = 0xbd
	idPadding = 0xbe
	idNav     = 0xbf // private_stream_2
	idAudio   = 0xc0
	idVideo   = 0xe0
)

// codecs is the only place that tells codecs apart.
var codecs = []codecEntry{
	{
		name: "H.264", kind: sluice.Video, is: ofType(typeH264), video: codec.NewAVC,
		carries: ofCodec(sluice.AVC1), stream: plain(typeH264), id: idVideo, append: appendVideo,
	},
	{
		name: "H.265", kind: sluice.Video, video: codec.NewHEVC,
		is: func(e elementary) bool {
			return e.kind == typeH265 || e.kind == typePrivate && e.registered("HEVC")
		},
		carries: ofCodec(sluice.HVC1), stream: plain(typeH265), id: idVideo, append: appendVideo,
	},
	{
		name: "AAC", kind: sluice.Audio, is: ofType(typeAAC), sound: of(adts{}),
		carries: func(t *sluice.Track) bool { return t.Codec == sluice.MP4A && !codec.IsMP2(t) },
		stream:  plain(typeAAC), id: idAudio, append: appendAAC,
	},
	{
		name: "AAC in LATM", kind: sluice.Audio, is: ofType(typeLATM),
		sound: func(elementary) framer { return &latm{} },
	},
	{
		name: "MPEG audio", kind: sluice.Audio, is: ofType(typeMPEG1Audio, typeMPEG2Audio), sound: of(mpegAudio{}),
		carries: func(t *sluice.Track) bool { return t.Codec == sluice.MP3 || codec.IsMP2(t) },
		stream: func(t *sluice.Track) elementary {
			if t.SampleRate < 32000 {
				return elementary{kind: typeMPEG2Audio}
			}
			return elementary{kind: typeMPEG1Audio}
		},
		id: idAudio, append: appendAsIs,
	},
	{
		name: "AC-3", kind: sluice.Audio, sound: of(ac3{}),
		is: func(e elementary) bool {
			_, dvb := e.descriptor(tagAC3)
			return e.kind == typeAC3 || e.kind == typePrivate && (dvb || e.registered("AC-3"))
		},
		carries: ofCodec(sluice.AC3),
		stream: func(*sluice.Track) elementary {
			return elementary{kind: typeAC3, descriptors: []byte("\x05\x04AC-3")}
		},
		id: idPrivate, append: appendAsIs,
	},
	{
		name: "Opus", kind: sluice.Audio,
		is:      func(e elementary) bool { return e.kind == typePrivate && e.registered("Opus") },
		sound:   func(e elementary) framer { return opus{channels: opusChannels(e)} },
		carries: ofCodec(sluice.Opus),
		stream: func(t *sluice.Track) elementary {
			return elementary{kind: typePrivate, descriptors: append([]byte("\x05\x04Opus\x7f\x02\x80"), byte(t.Channels))}
		},
		id: idPrivate, append: appendOpus,
	},
}

// names of what is not carried, for messages.
var names = map[byte]string{
	0x01: "MPEG-1 video", 0x02: "MPEG-2 video", 0x05: "private sections", 0x10: "MPEG-4 video", 0x15: "timed metadata (ID3)",
	0x1c: "raw MPEG-4 audio", 0x21: "JPEG 2000", 0x33: "H.266", 0x42: "AVS video", 0x82: "DTS", 0x86: "SCTE-35", 0x87: "E-AC-3", 0xd1: "Dirac", 0xea: "VC-1",
}

func (e elementary) String() string {
	s := fmt.Sprintf("stream type 0x%02x", e.kind)
	if name := names[e.kind]; name != "" {
		s += " (" + name + ")"
	}
	if d, ok := e.descriptor(tagRegistration); ok && len(d) >= 4 {
		s += fmt.Sprintf(" registered %q", d[:4])
	}
	return s
}

func codecOf(e elementary) *codecEntry {
	for i := range codecs {
		if codecs[i].is(e) {
			return &codecs[i]
		}
	}
	return nil
}

func codecFor(t *sluice.Track) *codecEntry {
	for i := range codecs {
		if c := &codecs[i]; c.carries != nil && c.kind == t.Kind && c.carries(t) {
			return c
		}
	}
	return nil
}
