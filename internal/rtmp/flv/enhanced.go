package flv

import "fmt"

// Packet types of the extended form.
const (
	exSequenceStart  = 0
	exCodedFrames    = 1
	exCodedFramesX   = 3 // video: without composition offset
	exMetadata       = 4 // video; audio: channel layout
	exTSSequence     = 5 // video: a descriptor of MPEG-2 TS instead of a record
	exMultitrack     = 6 // video
	exMultitrackAud  = 5
	exModEx          = 7
	exPacketTypeBits = 0x0f
)

// How tracks follow each other in a tag with several.
const (
	oneTrack             = 0
	manyTracks           = 1
	manyTracksManyCodecs = 2
)

// maxTracks is how many a tag can number.
const maxTracks = 256

// media is in what the extended forms of video and audio differ.
type media struct {
	name       string
	multitrack byte
	kind       func(typ byte) (kind Kind, composed, ok bool)
}

var (
	videoEx = media{name: "video", multitrack: exMultitrack, kind: videoKind}
	soundEx = media{name: "audio", multitrack: exMultitrackAud, kind: soundKind}
)

func videoKind(typ byte) (kind Kind, composed, ok bool) {
	switch typ {
	case exSequenceStart:
		return Config, false, true
	case exCodedFrames:
		return Frame, true, true
	case exCodedFramesX:
		return Frame, false, true
	}
	return Other, false, typ != exTSSequence
}

func soundKind(typ byte) (kind Kind, composed, ok bool) {
	switch typ {
	case exSequenceStart:
		return Config, false, true
	case exCodedFrames:
		return Frame, false, true
	}
	return Other, false, true
}

// parseEx parses the extended form, whose first byte holds the packet type.
// command says that the frame type is that of a command.
func parseEx(tags []Tag, m media, t Tag, command bool, b []byte) ([]Tag, error) {
	typ, b, err := modEx(b[0]&exPacketTypeBits, b[1:])
	if err != nil {
		return tags, err
	}
	if command && typ != exMetadata {
		return append(tags, Tag{Kind: Other}), nil // a command byte, no FourCC
	}
	layout := byte(oneTrack)
	several := typ == m.multitrack
	if several {
		if len(b) == 0 {
			return tags, ErrTruncated
		}
		layout, typ, b = b[0]>>4, b[0]&exPacketTypeBits, b[1:]
		if layout > manyTracksManyCodecs || typ == m.multitrack || typ == exModEx {
			return tags, fmt.Errorf("%w: tracks of %s in layout %d, packet type %d", ErrUnsupported, m.name, layout, typ)
		}
	}
	var ok bool
	if t.Kind, t.Composed, ok = m.kind(typ); !ok {
		return tags, fmt.Errorf("%w: configuration as in MPEG-2 TS: the encoder has to send the codec's configuration record", ErrUnsupported)
	}
	if layout != manyTracksManyCodecs {
		if b, err = t.fourCC(b); err != nil {
			return tags, err
		}
	}
	if !several {
		t.Data = b
		return append(tags, t), nil
	}
	return parseTracks(tags, t, layout, b)
}

// parseTracks parses what follows the head of a tag with several tracks.
func parseTracks(tags []Tag, t Tag, layout byte, b []byte) (_ []Tag, err error) {
	for n := 0; n == 0 || len(b) > 0; n++ {
		if n == maxTracks {
			return tags, fmt.Errorf("%w: more than %d tracks in one tag", ErrUnsupported, maxTracks)
		}
		if layout == manyTracksManyCodecs {
			if b, err = t.fourCC(b); err != nil {
				return tags, err
			}
		}
		if len(b) == 0 {
			return tags, ErrTruncated
		}
		t.Track, b = b[0], b[1:]
		if layout == oneTrack {
			t.Data = b
			return append(tags, t), nil
		}
		if len(b) < 3 {
			return tags, ErrTruncated
		}
		size := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
		if b = b[3:]; size > len(b) {
			return tags, ErrTruncated
		}
		t.Data, b = b[:size:size], b[size:]
		tags = append(tags, t)
	}
	return tags, nil
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
		typ, b = b[head+n]&exPacketTypeBits, b[head+n+1:]
	}
	return typ, b, nil
}

func (t *Tag) fourCC(b []byte) ([]byte, error) {
	if len(b) < 4 {
		return nil, ErrTruncated
	}
	t.FourCC = [4]byte(b)
	return b[4:], nil
}

// AppendVideo appends the head of a video tag in the extended form, of a Frame
// or Config: everything but t's Data. A track other than 0 makes it one of
// several. An offset beyond 24 bits is held at their end; composed says that
// the codec has them.
func AppendVideo(b []byte, t Tag, composed bool) []byte {
	frame, typ := byte(frameInter), byte(exCodedFrames)
	if t.Key || t.Kind == Config {
		frame = frameKey
	}
	switch {
	case t.Kind == Config:
		typ = exSequenceStart
	case composed && t.CTS == 0:
		typ = exCodedFramesX
	}
	b = appendEx(b, 0x80|frame<<4, exMultitrack, typ, t)
	if typ == exCodedFrames && composed {
		b = appendCTS(b, t.CTS)
	}
	return b
}

// AppendAudio appends the head of an audio tag in the extended form, as
// AppendVideo does.
func AppendAudio(b []byte, t Tag) []byte {
	typ := byte(exCodedFrames)
	if t.Kind == Config {
		typ = exSequenceStart
	}
	return appendEx(b, audioEx<<4, exMultitrackAud, typ, t)
}

func appendEx(b []byte, first, multitrack, typ byte, t Tag) []byte {
	if t.Track == 0 {
		return append(append(b, first|typ), t.FourCC[:]...)
	}
	b = append(append(b, first|multitrack, oneTrack<<4|typ), t.FourCC[:]...)
	return append(b, t.Track)
}
