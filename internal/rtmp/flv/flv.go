package flv

import (
	"errors"
	"fmt"
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
	Other              // end of sequence, seek commands, colour metadata: nothing to decode
)

// Tag is the body of an audio or video tag.
type Tag struct {
	FourCC [4]byte // the codec in the extended form; zero in the legacy one
	ID     uint8   // the codec in the legacy form
	Kind   Kind
	Key    bool   // what the sender says of a video frame
	CTS    int32  // composition offset in milliseconds, signed 24 bits
	Data   []byte // slice of what was parsed
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

// Packet types of the extended form.
const (
	exSequenceStart = 0
	exCodedFrames   = 1
	exCodedFramesX  = 3 // video: without composition offset
	exMultitrack    = 6
	exMultitrackAud = 5
	exModEx         = 7
)

// ParseVideo parses the body of a video tag.
func ParseVideo(b []byte) (Tag, error) {
	if len(b) == 0 {
		return Tag{}, ErrTruncated
	}
	frame := b[0] >> 4 & 7
	if b[0]&0x80 != 0 {
		return parseVideoEx(b, frame)
	}
	t := Tag{ID: b[0] & 0x0f, Key: frame == frameKey, Data: b[1:]}
	if frame == frameInfo {
		t.Kind, t.Key = Other, false
		return t, nil
	}
	if t.ID != VideoAVC && t.ID != videoHEVC {
		return t, nil
	}
	if len(b) < 5 {
		return t, ErrTruncated
	}
	t.Kind, t.CTS, t.Data = legacyKind(b[1]), int24(b[2:]), b[5:]
	return t, nil
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

func parseVideoEx(b []byte, frame byte) (Tag, error) {
	typ, rest, err := modEx(b[0]&0x0f, b[1:])
	if err != nil {
		return Tag{}, err
	}
	if frame == frameInfo && typ != 4 {
		return Tag{Kind: Other}, nil // a command byte, no FourCC
	}
	if typ == exMultitrack {
		return Tag{}, fmt.Errorf("%w: several video tracks in one stream", ErrUnsupported)
	}
	t, rest, err := fourCC(rest)
	if err != nil {
		return t, err
	}
	t.Key = frame == frameKey
	switch typ {
	case exSequenceStart:
		t.Kind = Config
	case exCodedFrames:
		switch string(t.FourCC[:]) {
		case "avc1", "hvc1", "vvc1":
			if len(rest) < 3 {
				return t, ErrTruncated
			}
			t.CTS, rest = int24(rest), rest[3:]
		}
	case exCodedFramesX:
	default:
		t.Kind = Other
	}
	t.Data = rest
	return t, nil
}

// ParseAudio parses the body of an audio tag.
func ParseAudio(b []byte) (Tag, error) {
	if len(b) == 0 {
		return Tag{}, ErrTruncated
	}
	t := Tag{ID: b[0] >> 4, Data: b[1:]}
	switch t.ID {
	case audioEx:
		return parseAudioEx(b)
	case AudioAAC:
		if len(b) < 2 {
			return t, ErrTruncated
		}
		t.Kind, t.Data = legacyKind(b[1]), b[2:]
	}
	return t, nil
}

func parseAudioEx(b []byte) (Tag, error) {
	typ, rest, err := modEx(b[0]&0x0f, b[1:])
	if err != nil {
		return Tag{}, err
	}
	if typ == exMultitrackAud {
		return Tag{}, fmt.Errorf("%w: several audio tracks in one stream", ErrUnsupported)
	}
	t, rest, err := fourCC(rest)
	if err != nil {
		return t, err
	}
	switch typ {
	case exSequenceStart:
		t.Kind = Config
	case exCodedFrames:
	default:
		t.Kind = Other
	}
	t.Data = rest
	return t, nil
}

// modEx skips the modifiers (nanoseconds of the time stamp and the like) before
// the real packet type.
func modEx(typ byte, b []byte) (byte, []byte, error) {
	for typ == exModEx {
		if len(b) < 1 {
			return 0, nil, ErrTruncated
		}
		n, head := int(b[0])+1, 1
		if n == 256 {
			if len(b) < 3 {
				return 0, nil, ErrTruncated
			}
			n, head = (int(b[1])<<8|int(b[2]))+1, 3
		}
		if len(b) < head+n+1 {
			return 0, nil, ErrTruncated
		}
		typ, b = b[head+n]&0x0f, b[head+n+1:]
	}
	return typ, b, nil
}

func fourCC(b []byte) (Tag, []byte, error) {
	if len(b) < 4 {
		return Tag{}, nil, ErrTruncated
	}
	return Tag{FourCC: [4]byte(b)}, b[4:], nil
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
	cts = min(max(cts, -1<<23), 1<<23-1)
	return append(b, frame<<4|VideoAVC, typ, byte(cts>>16), byte(cts>>8), byte(cts))
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
