package cmaf

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-live/sluice"
)

// ErrTrack is wrapped by errors about a track that cannot be packaged: its
// description is not complete or not sane.
var ErrTrack = errors.New("track cannot be packaged")

// Longest sample entry accepted; a VVC or HEVC configuration with every
// parameter set in it has a few kilobytes.
const maxConfig = 1 << 20

// Init returns the init segment of a track: its sample entry with the boxes
// that CMAF wants around it. It is the same for the same description, see
// [SameInit].
func Init(t *sluice.Track) ([]byte, error) { return Movie([]*sluice.Track{t}, nil) }

// Movie returns the ftyp and moov of one or more tracks. own, if it is not nil,
// returns what of the caller's boxes belongs at the end of a track's trak.
func Movie(tracks []*sluice.Track, own func(*sluice.Track) []byte) ([]byte, error) {
	if len(tracks) == 0 {
		return nil, fmt.Errorf("cmaf: init segment without a track: %w", ErrTrack)
	}
	last := uint32(0)
	for _, t := range tracks {
		if err := checkEntry(t); err != nil {
			return nil, fmt.Errorf("cmaf: init segment of track %d: %w", t.ID, err)
		}
		last = max(last, t.ID)
	}
	var b boxes
	b.box("ftyp", func() { b.str("iso6").u32(0).str("iso6cmfcmp41") })
	b.box("moov", func() {
		b.full("mvhd", 0, func() {
			b.u32(0).u32(0).u32(tracks[0].Timescale).u32(0) // times, timescale, duration
			b.u32(1 << 16).u16(1 << 8).zero(10)             // rate, volume
			b.matrix().zero(24).u32(nextID(last))
		})
		for _, t := range tracks {
			b.box("trak", func() {
				b.trak(t)
				if own != nil {
					b.raw(own(t))
				}
			})
		}
		b.box("mvex", func() {
			for _, t := range tracks {
				b.full("trex", 0, func() { b.u32(t.ID).u32(1).zero(12) })
			}
		})
	})
	return b.b, nil
}

// InitName returns the name of an init segment by its content: 16 hex digits
// of its SHA-256.
func InitName(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// SameInit reports whether two tracks have the same init segment, so that a
// player can go from one to the other without a new one.
func SameInit(a, b *sluice.Track) bool {
	return a == b || a.ID == b.ID && a.Kind == b.Kind && a.Timescale == b.Timescale &&
		a.Width == b.Width && a.Height == b.Height && a.Language == b.Language &&
		string(a.Config) == string(b.Config)
}

func checkEntry(t *sluice.Track) error {
	switch n := len(t.Config); {
	case t.ID == 0:
		return fmt.Errorf("its ID is 0: %w", ErrTrack)
	case t.Timescale == 0:
		return fmt.Errorf("it has no timescale: %w", ErrTrack)
	case n < 16 || n > maxConfig || binary.BigEndian.Uint32(t.Config) != uint32(n):
		return fmt.Errorf("its sample entry of %d bytes is not one box: %w", n, ErrTrack)
	case t.Width < 0 || t.Width > 0xffff || t.Height < 0 || t.Height > 0xffff:
		return fmt.Errorf("its picture of %d×%d does not fit: %w", t.Width, t.Height, ErrTrack)
	case t.Kind < sluice.Video || t.Kind > sluice.Data:
		return fmt.Errorf("its kind is %v: %w", t.Kind, ErrTrack)
	}
	return nil
}

// The bounds that keep every computation within 64 bits, and sample durations
// within 32.
const (
	maxSegmentDur = time.Hour
	maxTimescale  = 1_000_000_000
)

// checkTiming looks at what the Packager needs of a track beyond its init
// segment.
func checkTiming(t *sluice.Track) error {
	switch {
	case t.SegmentDur <= 0 || t.SegmentDur > maxSegmentDur:
		return fmt.Errorf("its segment duration is %v: %w", t.SegmentDur, ErrTrack)
	case t.Timescale > maxTimescale || t.PartTarget <= 0 || t.PartTarget > 1<<31:
		return fmt.Errorf("its part target is %d of %d ticks a second: %w", t.PartTarget, t.Timescale, ErrTrack)
	}
	return nil
}

func nextID(id uint32) uint32 {
	if id == 0xffffffff {
		return id
	}
	return id + 1
}

func (b *boxes) trak(t *sluice.Track) {
	b.full("tkhd", 7, func() { // enabled, in movie, in preview
		b.u32(0).u32(0).u32(t.ID).u32(0).u32(0).zero(12)
		b.u16(volume(t)).u16(0).matrix()
		b.u32(uint32(t.Width) << 16).u32(uint32(t.Height) << 16)
	})
	b.box("mdia", func() {
		b.full("mdhd", 0, func() {
			b.u32(0).u32(0).u32(t.Timescale).u32(0).u16(packedLanguage(t.Language)).u16(0)
		})
		b.full("hdlr", 0, func() { b.u32(0).str(handlers[t.Kind].name).zero(12 + 1) })
		if validTag(t.Language) {
			b.full("elng", 0, func() { b.str(t.Language).zero(1) })
		}
		b.box("minf", func() {
			b.full(handlers[t.Kind].header, handlers[t.Kind].flags, func() { b.zero(handlers[t.Kind].body) })
			b.box("dinf", func() {
				b.full("dref", 0, func() {
					b.u32(1).full("url ", 1, func() {}) // in this very file
				})
			})
			b.box("stbl", func() {
				b.full("stsd", 0, func() { b.u32(1).raw(t.Config) })
				b.full("stts", 0, func() { b.u32(0) })
				b.full("stsc", 0, func() { b.u32(0) })
				b.full("stsz", 0, func() { b.u32(0).u32(0) })
				b.full("stco", 0, func() { b.u32(0) })
			})
		})
	})
}

// handlers has the handler type and media header of each kind of track.
var handlers = [...]struct {
	name, header string
	flags        uint32
	body         int // bytes, all zero
}{
	sluice.Video: {"vide", "vmhd", 1, 8},
	sluice.Audio: {"soun", "smhd", 0, 4},
	sluice.Text:  {"text", "nmhd", 0, 0},
	sluice.Data:  {"meta", "nmhd", 0, 0},
}

func volume(t *sluice.Track) uint16 {
	if t.Kind == sluice.Audio {
		return 1 << 8
	}
	return 0
}

// packedLanguage returns an ISO 639-2 code as mdhd has it. Other tags go into
// elng, and here they are "und".
func packedLanguage(tag string) uint16 {
	if len(tag) != 3 {
		tag = "und"
	}
	var v uint16
	for _, c := range []byte(tag) {
		if c < 'a' || c > 'z' {
			return packedLanguage("und")
		}
		v = v<<5 | uint16(c-0x60)
	}
	return v
}

// validTag reports whether a language looks like an RFC 5646 tag.
func validTag(tag string) bool {
	for _, c := range []byte(tag) {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return len(tag) > 1 && len(tag) <= 35
}
