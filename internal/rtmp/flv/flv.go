package flv

import (
	"errors"
)

// Errors of the parsers, to be matched with errors.Is.
var (
	ErrTruncated   = errors.New("flv: tag is cut short")
	ErrUnsupported = errors.New("flv: tag is not supported")
)

// Kind says what a tag holds.
type Kind uint8

// The kinds of tag.
const (
	Frame  Kind = iota // coded media
	Config             // the codec's configuration record ("sequence header")
	Other              // end of sequence, seek commands, colour metadata, channel layout: nothing to decode
)

// Tag is what the body of an audio or video tag holds of one track.
type Tag struct {
	FourCC [4]byte // the codec in the extended form; zero in the legacy one
	ID     uint8   // the codec in the legacy form
	Track  uint8   // 0 where there is only one
	Kind   Kind
	Key    bool  // what the sender says of a video frame
	CTS    int32 // composition offset in milliseconds, signed 24 bits
	// Composed says that a frame in the extended form begins with its
	// composition offset if its codec has such: see TakeCTS.
	Composed bool
	Data     []byte // slice of what was parsed
}

// TakeCTS takes the composition offset off Data, for codecs that have one in
// the extended form, and does nothing where there is none.
func (t *Tag) TakeCTS() error {
	if !t.Composed {
		return nil
	}
	if len(t.Data) < 3 {
		return ErrTruncated
	}
	t.CTS, t.Data, t.Composed = int24(t.Data), t.Data[3:], false
	return nil
}

// Legacy codec IDs with a packet type behind them.
const (
	VideoAVC = 7
	AudioAAC = 10
	AudioMP3 = 2

	videoHEVC = 12 // not of Adobe's, but in use in China before Enhanced RTMP
	audioEx   = 9
)

// Frame types of video.
const (
	frameKey   = 1
	frameInter = 2
	frameInfo  = 5
)

// ParseVideo appends to tags what the body of a video tag holds. On an error
// what came before it is there.
func ParseVideo(tags []Tag, b []byte) ([]Tag, error) {
	if len(b) == 0 {
		return tags, ErrTruncated
	}
	frame := b[0] >> 4 & 7
	if b[0]&0x80 != 0 {
		return parseEx(tags, videoEx, Tag{Key: frame == frameKey}, frame == frameInfo, b)
	}
	t := Tag{ID: b[0] & 0x0f, Key: frame == frameKey, Data: b[1:]}
	switch {
	case frame == frameInfo:
		t.Kind, t.Key = Other, false
	case t.ID != VideoAVC && t.ID != videoHEVC:
	case len(b) < 5:
		return tags, ErrTruncated
	default:
		t.Kind, t.CTS, t.Data = legacyKind(b[1]), int24(b[2:]), b[5:]
	}
	return append(tags, t), nil
}

func legacyKind(b byte) Kind {
	switch b {
	case 0:
		return Config
	case 1:
		return Frame
	}
	return Other
}

// ParseAudio appends to tags what the body of an audio tag holds. On an error
// what came before it is there.
func ParseAudio(tags []Tag, b []byte) ([]Tag, error) {
	if len(b) == 0 {
		return tags, ErrTruncated
	}
	t := Tag{ID: b[0] >> 4, Data: b[1:]}
	switch t.ID {
	case audioEx:
		return parseEx(tags, soundEx, Tag{}, false, b)
	case AudioAAC:
		if len(b) < 2 {
			return tags, ErrTruncated
		}
		t.Kind, t.Data = legacyKind(b[1]), b[2:]
	}
	return append(tags, t), nil
}

func int24(b []byte) int32 {
	return int32(uint32(b[0])<<24|uint32(b[1])<<16|uint32(b[2])<<8) >> 8
}

// AppendAVC appends the head of an H.264 tag in the legacy form, which every
// player reads. kind is Frame or Config. An offset beyond 24 bits is held at
// their end.
func AppendAVC(b []byte, kind Kind, key bool, cts int32) []byte {
	frame, typ := byte(frameInter), byte(1)
	if key || kind == Config {
		frame = frameKey
	}
	if kind == Config {
		typ = 0
	}
	return appendCTS(append(b, frame<<4|VideoAVC, typ), cts)
}

func appendCTS(b []byte, cts int32) []byte {
	cts = min(max(cts, -1<<23), 1<<23-1)
	return append(b, byte(cts>>16), byte(cts>>8), byte(cts))
}

// AppendAAC appends the head of an AAC tag, which always says 44,100 Hz and
// stereo: the configuration record counts.
func AppendAAC(b []byte, kind Kind) []byte {
	if kind == Config {
		return append(b, AudioAAC<<4|0x0f, 0)
	}
	return append(b, AudioAAC<<4|0x0f, 1)
}

// AppendMP3 appends the head of an MP3 tag. Rates that it cannot say are
// written as 44,100 Hz: decoders go by the frame.
func AppendMP3(b []byte, sampleRate, channels int) []byte {
	flags := byte(0x0c | 0x02)
	switch sampleRate {
	case 11025:
		flags = 0x04 | 0x02
	case 22050:
		flags = 0x08 | 0x02
	}
	if channels != 1 {
		flags |= 1
	}
	return append(b, AudioMP3<<4|flags)
}
