package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

// Kinds of FLV tag, which are RTMP message types too.
const (
	tagAudio = 8
	tagVideo = 9
	tagData  = 18
)

// tag is one message of a clip, cut into chunks and ready to be sent.
type tag struct {
	kind    byte
	ms      uint32
	wire    []byte
	stampAt int // where in wire the time is written; 0 for the configuration
}

// clip is an FLV file that can be replayed without end.
type clip struct {
	setup  []tag // metadata and configurations
	media  []tag
	length uint32 // milliseconds that a round takes

	// The pictures once more, for protocols other than RTMP.
	avcC     []byte
	pictures []picture
}

// picture is one access unit, with four-byte lengths.
type picture struct {
	ms      uint32
	key     bool
	sample  []byte
	stampAt int
}

// loadClip reads an FLV file of which seconds are known.
func loadClip(path string, seconds float64) (*clip, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(b, []byte("FLV")) || len(b) < 13 {
		return nil, fmt.Errorf("%s is not an FLV file", path)
	}
	c := &clip{length: uint32(seconds * 1000)}
	for b = b[13:]; len(b) >= 15; {
		size := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		if len(b) < 15+size {
			return nil, fmt.Errorf("%s is cut short", path)
		}
		c.add(b[0], uint32(b[4])<<16|uint32(b[5])<<8|uint32(b[6])|uint32(b[7])<<24, b[11:11+size])
		b = b[15+size:]
	}
	if len(c.media) == 0 {
		return nil, errors.New(path + " holds no media")
	}
	return c, nil
}

func (c *clip) add(kind byte, ms uint32, body []byte) {
	switch {
	case kind == tagData || len(body) > 1 && kind != tagData && body[1] == 0: // AVC and AAC configuration
		c.setup = append(c.setup, tag{kind: kind, wire: chunked(kind, body)})
		if kind == tagVideo && len(body) > 5 {
			c.avcC = body[5:]
		}
	case kind == tagVideo && len(body) > 5 && body[1] == 1:
		body, at := stampVideo(body)
		c.pictures = append(c.pictures, picture{ms, body[0]>>4 == 1, body[5:], at - 5})
		c.media = append(c.media, tag{kind, ms, chunked(kind, body), at + headerSize})
	case kind == tagAudio:
		body, at := stampAudio(body)
		c.media = append(c.media, tag{kind, ms, chunked(kind, body), at + headerSize})
	}
}

// marker goes before a time stamp. It holds no zero byte, so that it needs no
// escaping in a NAL unit; the time is written in hexadecimal digits for the
// same reason.
var marker = []byte("sluice-benchmark")

const stampSize = 16

// stampVideo puts an SEI message for the time in front of a picture.
func stampVideo(body []byte) (stamped []byte, at int) {
	sei := append([]byte{6, 5, byte(len(marker) + stampSize)}, marker...)
	sei = append(sei, bytes.Repeat([]byte{'0'}, stampSize)...)
	sei = append(sei, 0x80)
	stamped = append(stamped, body[:5]...)
	stamped = binary.BigEndian.AppendUint32(stamped, uint32(len(sei)))
	at = len(stamped) + 3 + len(marker)
	return append(append(stamped, sei...), body[5:]...), at
}

// stampAudio puts the time behind a frame of sound, where decoders do not look.
func stampAudio(body []byte) (stamped []byte, at int) {
	stamped = append(append(stamped, body...), marker...)
	at = len(stamped)
	return append(stamped, bytes.Repeat([]byte{'0'}, stampSize)...), at
}

// putStamp writes a time as sixteen hexadecimal digits.
func putStamp(b []byte, t int64) {
	const digits = "0123456789abcdef"
	for i := stampSize - 1; i >= 0; i-- {
		b[i] = digits[t&15]
		t >>= 4
	}
}

// lastStamp finds the last time stamp in b.
func lastStamp(b []byte) (t int64, ok bool) {
	at := bytes.LastIndex(b, marker)
	if at < 0 || at+len(marker)+stampSize > len(b) {
		return 0, false
	}
	for _, d := range b[at+len(marker):][:stampSize] {
		if d >= 'a' {
			d -= 'a' - '9' - 1
		}
		t = t<<4 | int64(d-'0')
	}
	return t, true
}

// stampOf finds the time in a message: near the start of a picture, at the end
// of sound.
func stampOf(m message) (t int64, ok bool) {
	if m.kind == tagVideo {
		return lastStamp(m.body[:min(len(m.body), 5+4+3+len(marker)+stampSize)])
	}
	return lastStamp(m.body[max(0, len(m.body)-len(marker)-stampSize):])
}
