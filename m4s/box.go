package m4s

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/cmaf"
)

// userType marks the uuid boxes of this format: a UUID of version 8.
const userType = "sluice\x8d\x34\xa3\x00m4s\x00\x00\x01"

// What the boxes of ours hold stands behind the user type, in a word.
const (
	kindHead  = "head" // top level: the stream, its heartbeat
	kindTrack = "trck" // in trak: what a Track has beside its sample entry
	kindPkt   = "pckt" // in moof: stamp of the packet
	kindMark  = "mark" // top level: a packet without Data
	kindBeat  = "beat" // top level: heartbeat
	kindEnd   = "end " // top level: nothing follows
)

// ownHeader is the size of one of our boxes without its fields.
const ownHeader = 8 + len(userType) + 4

// Flags of a stamp.
const (
	flagKey     = 1 << 0
	flagDiscont = 1 << 1
)

// stamp is what travels with a packet beside what ISO boxes say.
type stamp struct {
	flags   uint32
	segment uint64
	next    uint64 // number of the packet behind this one
	sent    int64  // departure, ns since the Unix epoch
}

const stampSize = 4 + 8 + 8 + 8

// openBox appends the header of one of our boxes with so many bytes of fields.
func openBox(b []byte, kind string, fields int) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(ownHeader+fields))
	b = append(b, "uuid"...)
	b = append(b, userType...)
	return append(b, kind...)
}

func u32(b []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(b, v) }
func u64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }

func (s stamp) append(b []byte) []byte {
	return u64(u64(u64(u32(b, s.flags), s.segment), s.next), uint64(s.sent))
}

func appendHead(b []byte, stream uint64, heartbeat time.Duration) []byte {
	b = openBox(b, kindHead, 8+4)
	return u32(u64(b, stream), uint32(heartbeat.Milliseconds()))
}

func appendBeat(b []byte, next uint64, sent int64) []byte {
	return u64(u64(openBox(b, kindBeat, 16), next), uint64(sent))
}

const markFields = 4 + 8 + 8 + 8 + stampSize

func appendMark(b []byte, p *sluice.Packet, s stamp) []byte {
	b = u32(openBox(b, kindMark, markFields), p.Track.ID)
	return s.append(u64(u64(u64(b, uint64(p.DTS)), uint64(p.PTS)), uint64(p.Dur)))
}

// How a stream ends.
const (
	endDone  = 0 // it is complete
	endError = 1 // it failed
	endRetry = 2 // it goes on, but not on this connection
)

const maxText = 1024 // bytes of an error's text

func appendEnd(b []byte, code uint32, text string) []byte {
	text = text[:min(len(text), maxText)]
	b = u32(openBox(b, kindEnd, 4+2+len(text)), code)
	return appendText(b, text)
}

// appendText appends a string of at most 65,535 bytes.
func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// cutOwn returns the kind and the fields of a uuid box's body if it is ours.
func cutOwn(body []byte) (kind string, fields []byte) {
	n := len(userType)
	if len(body) < n+4 || string(body[:n]) != userType {
		return "", nil
	}
	for _, k := range [...]string{kindPkt, kindMark, kindBeat, kindHead, kindEnd, kindTrack} {
		if string(body[n:n+4]) == k {
			return k, body[n+4:]
		}
	}
	return "", nil
}

// fields reads numbers one after the other; behind the end they are 0, and
// short is set.
type fields struct {
	b     []byte
	short bool
}

func (f *fields) take(n int) []byte {
	if len(f.b) < n {
		f.b, f.short = nil, true
		return nil
	}
	v := f.b[:n]
	f.b = f.b[n:]
	return v
}

func (f *fields) u16() uint16 {
	if v := f.take(2); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (f *fields) u32() uint32 {
	if v := f.take(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (f *fields) u64() uint64 {
	if v := f.take(8); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

func (f *fields) text() string { return string(f.take(int(f.u16()))) }

func (f *fields) stamp() stamp {
	return stamp{f.u32(), f.u64(), f.u64(), int64(f.u64())}
}

// trackFields appends the box that travels in a track's trak.
func trackFields(t *sluice.Track) []byte {
	const fixed = 4 + 4 + 4 + 3*8 + 5*4
	b := openBox(nil, kindTrack, fixed+2+len(t.Name)+2+len(t.Language))
	b = u32(u32(u32(b, uint32(t.Kind)), t.Era), t.Maker)
	b = u64(u64(u64(b, uint64(t.SegmentDur)), uint64(t.PartTarget)), uint64(t.FrameDur))
	for _, v := range [...]int{t.Width, t.Height, t.SampleRate, t.Channels, t.Bandwidth} {
		b = u32(b, uint32(v))
	}
	return appendText(appendText(b, t.Name), t.Language)
}

const maxName = 1024 // bytes of a track's name and of its language

// checkTrack reports what keeps a track from being sent.
func checkTrack(t *sluice.Track, l Limits) error {
	if err := cmaf.CheckTrack(t); err != nil {
		return err
	}
	what := ""
	switch {
	case len(t.Config) > l.SampleEntry:
		what = fmt.Sprintf("its sample entry has %d bytes, more than %d", len(t.Config), l.SampleEntry)
	case sluice.FourCC(t.Config[4:8]) != t.Codec:
		what = fmt.Sprintf("its codec is %v, its sample entry that of %q", t.Codec, t.Config[4:8])
	case t.Timescale > maxTimescale || t.SegmentDur < 0 || t.PartTarget < 0 || t.FrameDur < 0:
		what = "its timescale or one of its durations is out of bounds"
	case len(t.Name) > maxName || len(t.Language) > maxName:
		what = fmt.Sprintf("its name or language has more than %d bytes", maxName)
	}
	for _, v := range [...]int{t.SampleRate, t.Channels, t.Bandwidth} {
		if int64(v) != int64(uint32(v)) {
			what = "its sample rate, channels or bandwidth is out of bounds"
		}
	}
	if what != "" {
		return fmt.Errorf("%s: %w", what, ErrTrack)
	}
	return nil
}

// parseTrack makes a Track of what a moov says.
func parseTrack(e cmaf.Entry, l Limits) (*sluice.Track, error) {
	kind, body := cutOwn(e.Own)
	if kind != kindTrack || len(e.Config) < 8 {
		return nil, fmt.Errorf("track %d has no box of m4s: %w", e.ID, ErrFormat)
	}
	if len(e.Config) > l.SampleEntry {
		return nil, fmt.Errorf("track %d has a sample entry of %d bytes, more than %d: %w", e.ID, len(e.Config), l.SampleEntry, ErrFormat)
	}
	f := fields{b: body}
	t := &sluice.Track{
		ID: e.ID, Timescale: e.Timescale, Codec: sluice.FourCC(e.Config[4:8]), Config: append([]byte(nil), e.Config...),
	}
	k := f.u32()
	t.Kind, t.Era, t.Maker = sluice.Kind(min(k, 255)), f.u32(), f.u32()
	t.SegmentDur, t.PartTarget, t.FrameDur = time.Duration(f.u64()), int64(f.u64()), int64(f.u64())
	for _, v := range [...]*int{&t.Width, &t.Height, &t.SampleRate, &t.Channels, &t.Bandwidth} {
		*v = int(f.u32())
	}
	t.Name, t.Language = f.text(), f.text()
	if f.short {
		return nil, fmt.Errorf("box of track %d is cut off: %w", e.ID, ErrFormat)
	}
	if err := checkTrack(t, l); err != nil {
		return nil, fmt.Errorf("track %d: %w: %w", e.ID, err, ErrFormat)
	}
	return t, nil
}
