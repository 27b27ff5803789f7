package rtmp

import (
	"fmt"
	"strings"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/rtmp/flv"
)

// A codecEntry is what RTMP needs to know of a codec. One without parse is
// known by name only, to be refused with it.
type codecEntry struct {
	name   string
	kind   sluice.Kind
	fourCC string // in extended tags
	ids    []uint8
	// parse makes a track of the configuration record; where there is none
	// (inBand) of a frame.
	parse  func([]byte) (*sluice.Track, error)
	inBand bool
	// sampler returns what a frame goes through, given the configuration as
	// the sender wrote it; nil: nothing.
	sampler func(config []byte) (func([]byte) ([]byte, error), error)
	key     func(sample []byte) bool // nil: every frame is one
	// The way out: the ISO codec that a track has, its configuration record
	// and the tag's head.
	codec  sluice.FourCC
	config func(*sluice.Track) ([]byte, error)
	head   func(t *sluice.Track, kind flv.Kind, key bool, cts int32) []byte
}

// codecs is the only place that tells codecs apart.
var codecs = []codecEntry{
	{
		name: "H.264", kind: sluice.Video, fourCC: "avc1", ids: []uint8{flv.VideoAVC},
		parse: codec.AVC, sampler: avcSampler, key: codec.AVCHasIDR,
		codec: sluice.AVC1, config: codec.AVCConfig,
		head: func(_ *sluice.Track, kind flv.Kind, key bool, cts int32) []byte {
			return flv.AppendAVC(nil, kind, key, cts)
		},
	},
	{
		name: "AAC", kind: sluice.Audio, fourCC: "mp4a", ids: []uint8{flv.AudioAAC},
		parse: codec.AAC,
		codec: sluice.MP4A, config: codec.AACConfig,
		head: func(_ *sluice.Track, kind flv.Kind, _ bool, _ int32) []byte { return flv.AppendAAC(nil, kind) },
	},
	{
		name: "MP3", kind: sluice.Audio, fourCC: ".mp3", ids: []uint8{flv.AudioMP3, 14},
		parse: codec.MP3, inBand: true,
		codec: sluice.MP3,
		head: func(t *sluice.Track, _ flv.Kind, _ bool, _ int32) []byte {
			return flv.AppendMP3(nil, t.SampleRate, t.Channels)
		},
	},
	{name: "Sorenson H.263", kind: sluice.Video, ids: []uint8{2}},
	{name: "Screen Video", kind: sluice.Video, ids: []uint8{3, 6}},
	{name: "VP6", kind: sluice.Video, ids: []uint8{4, 5}},
	{name: "HEVC", kind: sluice.Video, fourCC: "hvc1", ids: []uint8{12}},
	{name: "AV1", kind: sluice.Video, fourCC: "av01"},
	{name: "VP8", kind: sluice.Video, fourCC: "vp08"},
	{name: "VP9", kind: sluice.Video, fourCC: "vp09"},
	{name: "PCM", kind: sluice.Audio, ids: []uint8{0, 3}},
	{name: "ADPCM", kind: sluice.Audio, ids: []uint8{1}},
	{name: "Nellymoser", kind: sluice.Audio, ids: []uint8{4, 5, 6}},
	{name: "G.711", kind: sluice.Audio, ids: []uint8{7, 8}},
	{name: "Speex", kind: sluice.Audio, ids: []uint8{11}},
	{name: "Opus", kind: sluice.Audio, fourCC: "Opus"},
	{name: "FLAC", kind: sluice.Audio, fourCC: "fLaC"},
	{name: "AC-3", kind: sluice.Audio, fourCC: "ac-3"},
}

func avcSampler(avcC []byte) (func([]byte) ([]byte, error), error) {
	n, err := codec.AVCLengthSize(avcC)
	if err != nil {
		return nil, err
	}
	return func(b []byte) ([]byte, error) { return codec.AVCNormalize(b, n) }, nil
}

// codecOf finds the codec of a tag that came in.
func codecOf(kind sluice.Kind, t flv.Tag) (*codecEntry, error) {
	ex := t.FourCC != [4]byte{}
	for i := range codecs {
		c := &codecs[i]
		if c.kind != kind || ex && c.fourCC != string(t.FourCC[:]) || !ex && !hasID(c.ids, t.ID) {
			continue
		}
		if c.parse == nil {
			return nil, refuse(kind, t, c.name)
		}
		return c, nil
	}
	return nil, refuse(kind, t, "")
}

func hasID(ids []uint8, id uint8) bool {
	for _, i := range ids {
		if i == id {
			return true
		}
	}
	return false
}

func refuse(kind sluice.Kind, t flv.Tag, name string) error {
	what := fmt.Sprintf("%s codec id %d", kind, t.ID)
	if t.FourCC != [4]byte{} {
		what = fmt.Sprintf("%s codec %q", kind, t.FourCC[:])
	}
	if name != "" {
		what += " (" + name + ")"
	}
	return fmt.Errorf("rtmp: %s: %w: set the encoder to %s", what, ErrCodec, carried(kind))
}

func carried(kind sluice.Kind) string {
	var names []string
	for _, c := range codecs {
		if c.kind == kind && c.parse != nil {
			names = append(names, c.name)
		}
	}
	return strings.Join(names, " or ")
}

// fourCCs lists the codecs for a client of Enhanced RTMP.
func fourCCs() []any {
	var l []any
	for _, c := range codecs {
		if c.parse != nil {
			l = append(l, c.fourCC)
		}
	}
	return l
}

// codecFor finds the codec of a track that goes out, nil if RTMP does not
// carry it.
func codecFor(t *sluice.Track) *codecEntry {
	for i := range codecs {
		if c := &codecs[i]; c.head != nil && c.codec == t.Codec && c.kind == t.Kind {
			return c
		}
	}
	return nil
}
