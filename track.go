package sluice

import (
	"math"
	"math/bits"
	"time"
)

// Kind is what a track carries.
type Kind uint8

// The kinds of track.
const (
	Video Kind = iota + 1
	Audio
	Text // captions and subtitles
	Data // SCTE-35, ID3, application messages
)

// String returns "video", "audio", "text" or "data".
func (k Kind) String() string {
	switch k {
	case Video:
		return "video"
	case Audio:
		return "audio"
	case Text:
		return "text"
	case Data:
		return "data"
	}
	return "unknown"
}

// FourCC names a codec by its ISO sample entry (https://mp4ra.org): "avc1",
// "hvc1", "av01", "vp09", "mp4a", ".mp3", "Opus".
type FourCC [4]byte

// String returns the four characters.
func (c FourCC) String() string { return string(c[:]) }

// The sample entries that Sluice knows. Others pass through.
var (
	AVC1 = FourCC{'a', 'v', 'c', '1'} // H.264, ISO/IEC 14496-15
	HVC1 = FourCC{'h', 'v', 'c', '1'} // H.265, ISO/IEC 14496-15
	AV01 = FourCC{'a', 'v', '0', '1'} // AV1, AV1 in ISOBMFF
	VP08 = FourCC{'v', 'p', '0', '8'} // VP8, VP Codec ISO Media File Format Binding
	VP09 = FourCC{'v', 'p', '0', '9'} // VP9, as VP8
	MP4V = FourCC{'m', 'p', '4', 'v'} // MPEG-1, 2 and 4 video, ISO/IEC 14496-14
	MP4A = FourCC{'m', 'p', '4', 'a'} // AAC, ISO/IEC 14496-14
	MP3  = FourCC{'.', 'm', 'p', '3'} // MPEG-1/2 audio layer III, sample entry ".mp3"
	AC3  = FourCC{'a', 'c', '-', '3'} // AC-3, ETSI TS 102 366
	Opus = FourCC{'O', 'p', 'u', 's'} // Opus, Encapsulation of Opus in ISOBMFF
)

// Track describes one elementary stream. It is immutable: a change of
// parameters is a new *Track with the same ID.
type Track struct {
	ID   uint32 // never 0; unique within its Source
	Kind Kind
	// Codec is the ISO sample entry's type.
	Codec FourCC
	// Timescale is the number of ticks a second: 90,000 for video, the sample
	// rate for audio.
	Timescale uint32
	// Config is the whole ISO sample entry (size, type, body), so that unknown
	// codecs pass through.
	Config []byte
	// Era counts new starts of the timeline. Maker tells re-encoders apart; 0 is
	// the source itself.
	Era, Maker uint32
	// SegmentDur is T, the length of the UTC cells at whose starts segments are
	// cut. No segment is longer than 2T.
	SegmentDur time.Duration
	// PartTarget is the longest a part may last, in ticks.
	PartTarget int64
	// FrameDur is the nominal duration of a packet in ticks; 0 is unknown or
	// variable.
	FrameDur int64

	Name, Language       string // for listeners to choose by; RFC 5646 language
	Width, Height        int    // of the picture, in pixels
	SampleRate, Channels int    // of the sound; Hz
	Bandwidth            int    // peak bits a second; 0 is not known
}

// Time returns the wall-clock time of a position in ticks since the epoch,
// rounded up to a nanosecond: Ticks of it is the same position again.
func (t *Track) Time(ticks int64) time.Time {
	ts := int64(t.Timescale)
	sec, rest := ticks/ts, ticks%ts
	nsec := rest * int64(time.Second)
	if nsec > 0 {
		nsec += ts - 1
	}
	return time.Unix(sec, nsec/ts).UTC()
}

// Ticks returns the position of a wall-clock time in ticks since the epoch,
// rounded down.
func (t *Track) Ticks(at time.Time) int64 {
	return at.Unix()*int64(t.Timescale) + int64(at.Nanosecond())*int64(t.Timescale)/int64(time.Second)
}

// Duration converts ticks to a duration, rounded to the nearest nanosecond.
func (t *Track) Duration(ticks int64) time.Duration {
	return time.Duration(Rescale(ticks, int64(t.Timescale), int64(time.Second)))
}

// Rescale returns ticks·to/from rounded to the nearest integer, halves away
// from zero, and the largest or smallest integer where the result does not
// fit. from and to are positive rates in hertz.
func Rescale(ticks, from, to int64) int64 {
	if from == to {
		return ticks
	}
	abs, sign := uint64(ticks), int64(1)
	if ticks < 0 {
		abs, sign = -abs, -1
	}
	hi, lo := bits.Mul64(abs, uint64(to))
	lo, carry := bits.Add64(lo, uint64(from)/2, 0)
	hi += carry
	if hi >= uint64(from) {
		return sign * math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, uint64(from))
	return sign * int64(min(q, math.MaxInt64))
}
