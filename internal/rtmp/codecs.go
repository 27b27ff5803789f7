package rtmp

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/rtmp/flv"
)

// A codecEntry is what RTMP needs to know of a codec. One that is not carried
// is known by name only, to be refused with it.
type codecEntry struct {
	name   string
	kind   sluice.Kind
	fourCC string // in extended tags
	ids    []uint8
	// composed says that extended frames may have a composition offset.
	composed bool

	// parse makes a track of the configuration record, nil if it takes a frame
	// as well. No parse: there is no record.
	parse func(config []byte) (*sluice.Track, error)
	// inBand makes a track of the record, which may be nil, and of a frame that
	// a decoder may start at.
	inBand func(config, sample []byte) (*sluice.Track, error)
	// sampler returns what a frame goes through, given the configuration as
	// the sender wrote it; nil: nothing.
	sampler func(config []byte) (func([]byte) ([]byte, error), error)
	picture func(sample []byte) codec.Picture

	// The way out: the ISO codec that a track has, its configuration record,
	// and the head of tags in the legacy form, nil where there is none.
	codec  sluice.FourCC
	config func(*sluice.Track) ([]byte, error)
	legacy func(*sluice.Track, flv.Tag) []byte
}

// codecs is the only place that tells codecs apart.
var codecs = []codecEntry{
	{
		name: "H.264", kind: sluice.Video, fourCC: "avc1", ids: []uint8{flv.VideoAVC}, composed: true,
		parse: codec.AVC, sampler: lengths(codec.AVCLengthSize), picture: codec.AVCPicture,
		codec: sluice.AVC1, config: codec.AVCConfig,
		legacy: func(_ *sluice.Track, t flv.Tag) []byte { return flv.AppendAVC(nil, t.Kind, t.Key, t.CTS) },
	},
	{
		name: "HEVC", kind: sluice.Video, fourCC: "hvc1", ids: []uint8{12}, composed: true,
		parse: codec.HEVC, sampler: lengths(codec.HEVCLengthSize), picture: codec.HEVCPicture,
		codec: sluice.HVC1, config: codec.HEVCConfig,
	},
	{
		// Some encoders make up a record: the stream's own sequence header counts.
		name: "AV1", kind: sluice.Video, fourCC: "av01",
		parse:   codec.AV1Record,
		inBand:  func(_, sample []byte) (*sluice.Track, error) { return codec.AV1(sample) },
		sampler: func([]byte) (func([]byte) ([]byte, error), error) { return codec.AV1Sample, nil },
		picture: codec.AV1Picture,
		codec:   sluice.AV01, config: codec.AV1Config,
	},
	{
		name: "VP9", kind: sluice.Video, fourCC: "vp09",
		parse: sizeInBand, inBand: codec.VP9, picture: codec.VP9Picture,
		codec: sluice.VP09, config: codec.VPConfig,
	},
	{
		name: "VP8", kind: sluice.Video, fourCC: "vp08",
		parse: sizeInBand, inBand: codec.VP8, picture: codec.VP8Picture,
		codec: sluice.VP08, config: codec.VPConfig,
	},
	{
		name: "AAC", kind: sluice.Audio, fourCC: "mp4a", ids: []uint8{flv.AudioAAC},
		parse: codec.AAC, picture: codec.Sound,
		codec: sluice.MP4A, config: codec.AACConfig,
		legacy: func(_ *sluice.Track, t flv.Tag) []byte { return flv.AppendAAC(nil, t.Kind) },
	},
	{
		name: "MP3", kind: sluice.Audio, fourCC: ".mp3", ids: []uint8{flv.AudioMP3, 14},
		inBand: func(_, sample []byte) (*sluice.Track, error) { return codec.MP3(sample) }, picture: codec.Sound,
		codec: sluice.MP3,
		legacy: func(t *sluice.Track, _ flv.Tag) []byte {
			return flv.AppendMP3(nil, t.SampleRate, t.Channels)
		},
	},
	{
		name: "Opus", kind: sluice.Audio, fourCC: "Opus",
		parse: codec.OpusRecord, picture: codec.Sound,
		codec: sluice.Opus, config: codec.OpusConfig,
	},
	{
		name: "AC-3", kind: sluice.Audio, fourCC: "ac-3",
		inBand: func(_, sample []byte) (*sluice.Track, error) { return codec.AC3(sample) }, picture: codec.Sound,
		codec: sluice.AC3, config: func(*sluice.Track) ([]byte, error) { return nil, nil }, // a tag without a record
	},
	{name: "Sorenson H.263", kind: sluice.Video, ids: []uint8{2}},
	{name: "Screen Video", kind: sluice.Video, ids: []uint8{3, 6}},
	{name: "VP6", kind: sluice.Video, ids: []uint8{4, 5}},
	{name: "VVC", kind: sluice.Video, fourCC: "vvc1"},
	{name: "PCM", kind: sluice.Audio, ids: []uint8{0, 3}},
	{name: "ADPCM", kind: sluice.Audio, ids: []uint8{1}},
	{name: "Nellymoser", kind: sluice.Audio, ids: []uint8{4, 5, 6}},
	{name: "G.711", kind: sluice.Audio, ids: []uint8{7, 8}},
	{name: "Speex", kind: sluice.Audio, ids: []uint8{11}},
	{name: "FLAC", kind: sluice.Audio, fourCC: "fLaC"},
	{name: "E-AC-3", kind: sluice.Audio, fourCC: "ec-3"},
}

// carried reports whether the codec is.
func (c *codecEntry) carried() bool { return c.picture != nil }

// lengths makes a sampler of a function that tells how long the lengths of NAL
// units are.
func lengths(size func(config []byte) (int, error)) func([]byte) (func([]byte) ([]byte, error), error) {
	return func(config []byte) (func([]byte) ([]byte, error), error) {
		n, err := size(config)
		if err != nil {
			return nil, err
		}
		return func(b []byte) ([]byte, error) { return codec.AVCNormalize(b, n) }, nil
	}
}

// sizeInBand parses a record that does not tell the size of the picture.
func sizeInBand([]byte) (*sluice.Track, error) { return nil, nil }

// codecOf finds the codec of a tag that came in.
func codecOf(kind sluice.Kind, t flv.Tag) (*codecEntry, error) {
	ex := t.FourCC != [4]byte{}
	for i := range codecs {
		c := &codecs[i]
		if c.kind != kind || ex && c.fourCC != string(t.FourCC[:]) || !ex && !hasID(c.ids, t.ID) {
			continue
		}
		if !c.carried() {
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
	return fmt.Errorf("rtmp: %s: %w: set the encoder to %s", what, ErrCodec, carriedNames(kind))
}

func carriedNames(kind sluice.Kind) string {
	var names []string
	for _, c := range codecs {
		if c.kind == kind && c.carried() {
			names = append(names, c.name)
		}
	}
	return strings.Join(names, " or ")
}

// codecFor finds the codec of a track that goes out, nil if RTMP does not
// carry it.
func codecFor(t *sluice.Track) *codecEntry {
	for i := range codecs {
		if c := &codecs[i]; c.carried() && c.codec == t.Codec && c.kind == t.Kind {
			return c
		}
	}
	return nil
}

// head returns the head of a tag.
func (c *codecEntry) head(t *sluice.Track, tag flv.Tag) []byte {
	switch {
	case c.legacy != nil && tag.Track == 0:
		return c.legacy(t, tag)
	case c.kind == sluice.Audio:
		tag.FourCC = c.codecID()
		return flv.AppendAudio(nil, tag)
	}
	tag.FourCC = c.codecID()
	return flv.AppendVideo(nil, tag, c.composed)
}

func (c *codecEntry) codecID() [4]byte { return [4]byte([]byte(c.fourCC)) }

// number names the codec in onMetaData.
func (c *codecEntry) number() int {
	if c.legacy != nil {
		return int(c.ids[0])
	}
	id := c.codecID()
	return int(binary.BigEndian.Uint32(id[:]))
}
