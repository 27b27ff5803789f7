package mpegts

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

// Times of the 90 kHz clock.
const (
	clockLead     = clockRate           // where the clock stands when the broadcast begins
	pcrDelay      = clockRate / 5       // how far the program clock runs behind the DTS
	pcrInterval   = clockRate * 4 / 100 // at most 100 ms: 13818-1, 2.7.2
	tableInterval = clockRate / 2
)

const (
	writeSize = 7 * packetSize // an SRT message
	firstPID  = 0x100
	mapPID    = 0x1000
	maxPES    = 0xffff // that can say its length
	maxSample = 64 << 20
)

// Writer makes a transport stream of packets: one PES packet each, written
// before WritePacket returns. Writes are of 188 to 1,316 bytes, whole transport
// packets. It is for one goroutine at a time and keeps nothing it is given.
//
// PAT and PMT stand at the start, before each key frame of video, wherever
// tracks change (with a new version), and every half second. The program clock
// is given every 40 ms where there are packets to give it with: a watermark,
// which is a packet without Data, is one. A PES packet says its length up to
// 64 KiB, of video as well, so that its receiver need not wait for the next.
type Writer struct {
	w      io.Writer
	began  time.Time
	tracks []*outStream
	pcr    *outStream // whose packets carry the program clock
	buf    []byte     // whole packets, at most writeSize
	unit   []byte     // scratch: the PES packet

	version  byte // of the PMT
	ccs      [2]byte
	started  bool
	clock    int64 // newest DTS, not wrapped
	lastPCR  int64
	lastPSI  int64
	wantsPSI bool
}

// outStream is one track that goes out.
type outStream struct {
	track *sluice.Track
	codec *codecEntry
	pid   uint16
	cc    byte
}

// NewWriter returns a Writer of the tracks to w. The stream's clock of 33 bits
// counts from began, the start of the broadcast. A track whose codec transport
// streams do not carry (here) is an error that wraps codec.ErrUnsupported; so
// it is in WritePacket, which takes further tracks as they come. Those that are
// known belong here: some players begin anew where the program map changes.
func NewWriter(w io.Writer, tracks []*sluice.Track, began time.Time) (*Writer, error) {
	out := &Writer{w: w, began: began, buf: make([]byte, 0, writeSize)}
	for _, t := range tracks {
		if _, err := out.take(t); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// take returns the stream of a track, a new one if there is none.
func (w *Writer) take(t *sluice.Track) (*outStream, error) {
	i := slices.IndexFunc(w.tracks, func(s *outStream) bool { return s.track.ID == t.ID })
	if i >= 0 && w.tracks[i].track == t {
		return w.tracks[i], nil
	}
	c := codecFor(t)
	if c == nil {
		return nil, fmt.Errorf("mpegts: track %d: %s in %q: %w: a transport stream carries %s", t.ID, t.Kind, t.Codec, codec.ErrUnsupported, carried())
	}
	if i < 0 {
		if len(w.tracks) == maxStreams {
			return nil, fmt.Errorf("mpegts: track %d: more than %d: %w", t.ID, maxStreams, codec.ErrUnsupported)
		}
		i = len(w.tracks)
		w.tracks = append(w.tracks, &outStream{pid: firstPID + uint16(i)})
	}
	s := w.tracks[i]
	if old := s.track; old == nil || old.Codec != t.Codec || string(old.Config) != string(t.Config) {
		w.change()
	}
	s.track, s.codec = t, c
	w.pcr = w.tracks[0]
	for _, s := range w.tracks {
		if s.codec.kind == sluice.Video {
			w.pcr = s
			break
		}
	}
	return s, nil
}

// change makes the next tables another version, if some have gone out.
func (w *Writer) change() {
	if w.started && !w.wantsPSI {
		w.version = (w.version + 1) & 31
	}
	w.wantsPSI = true
}

// WritePacket writes a packet, stamped in UTC.
func (w *Writer) WritePacket(p sluice.Packet) error {
	s, err := w.take(p.Track)
	if err != nil {
		return err
	}
	dts := w.at(p.Track, p.DTS)
	w.clock = max(w.clock, dts)
	if p.Data == nil {
		if w.started {
			if err := w.tick(); err != nil {
				return err
			}
		}
		return w.flush()
	}
	if len(p.Data) > maxSample {
		return fmt.Errorf("mpegts: track %d: packet of %d bytes, at most %d", p.Track.ID, len(p.Data), maxSample)
	}
	if err := w.pes(s, p, dts); err != nil {
		return fmt.Errorf("mpegts: track %d: %w", p.Track.ID, err)
	}
	video := s.codec.kind == sluice.Video
	if w.wantsPSI || video && p.Key || w.clock-w.lastPSI >= tableInterval {
		if err := w.tables(); err != nil {
			return err
		}
	}
	if s != w.pcr {
		if err := w.tick(); err != nil {
			return err
		}
	}
	if err := w.packets(s, video && p.Key); err != nil {
		return err
	}
	return w.flush()
}

// at returns a position of a track on the clock that goes out, not wrapped.
func (w *Writer) at(t *sluice.Track, ticks int64) int64 {
	return clockLead + sluice.Rescale(ticks-t.Ticks(w.began), int64(t.Timescale), clockRate)
}

// pes puts the PES packet into w.unit.
func (w *Writer) pes(s *outStream, p sluice.Packet, dts int64) error {
	pts := w.at(p.Track, p.PTS)
	b := append(w.unit[:0], 0, 0, 1, s.codec.id, 0, 0, 0x84) // aligned: a frame begins here
	if pts == dts {
		b = appendStamp(append(b, 0x80, 5), 2, pts&clockMask)
	} else {
		b = appendStamp(append(b, 0xc0, 10), 3, pts&clockMask)
		b = appendStamp(b, 1, dts&clockMask)
	}
	b, err := s.codec.append(b, p)
	w.unit = b
	if err != nil {
		return err
	}
	if n := len(b) - 6; n <= maxPES {
		be.PutUint16(b[4:], uint16(n))
	} else if s.codec.kind != sluice.Video {
		return fmt.Errorf("frame of %d bytes: %w", len(p.Data), codec.ErrInvalid)
	}
	return nil
}

// packets cuts w.unit into transport packets.
func (w *Writer) packets(s *outStream, key bool) error {
	for rest, first := w.unit, true; len(rest) > 0; first = false {
		var field []byte // the adaptation field, without its length
		var space [8]byte
		if first {
			field = w.firstField(space[:0], s, key)
		}
		b, err := w.packet()
		if err != nil {
			return err
		}
		n := fill(b, s, first, field, rest)
		rest = rest[n:]
	}
	return nil
}

// firstField says what there is to say of an access unit.
func (w *Writer) firstField(b []byte, s *outStream, key bool) []byte {
	var flags byte
	if key {
		flags |= 0x40 // random_access_indicator
	}
	due := s == w.pcr && w.pcrDue()
	if !due && flags == 0 {
		return nil
	}
	b = append(b, flags)
	if due {
		b[0] |= 0x10
		b = w.appendPCR(b)
	}
	return b
}

// fill makes a transport packet in b of as much of rest as fits, and returns
// how much that is.
func fill(b []byte, s *outStream, start bool, field, rest []byte) int {
	b[0], b[1], b[2] = syncByte, byte(s.pid>>8), byte(s.pid)
	if start {
		b[1] |= 0x40
	}
	head := 4
	if field != nil {
		head += 1 + len(field)
	}
	n := min(len(rest), packetSize-head)
	stuffing := packetSize - head - n
	b[3] = 0x10 | s.cc
	s.cc = (s.cc + 1) & 15
	if field != nil || stuffing > 0 {
		b[3] |= 0x20
		length := packetSize - n - 5
		b[4] = byte(length)
		if length > 0 {
			b[5] = 0
			at := 5 + max(1, copy(b[5:], field))
			for ; at < packetSize-n; at++ {
				b[at] = 0xff
			}
		}
	}
	copy(b[packetSize-n:], rest)
	return n
}

// pcrDue reports whether the program clock is to be given.
func (w *Writer) pcrDue() bool { return w.lastPCR == 0 || w.clock-w.lastPCR >= pcrInterval }

func (w *Writer) appendPCR(b []byte) []byte {
	w.lastPCR = w.clock
	pcr := (w.clock - pcrDelay) & clockMask
	return append(b, byte(pcr>>25), byte(pcr>>17), byte(pcr>>9), byte(pcr>>1), byte(pcr<<7)|0x7e, 0)
}

// tick gives the program clock in a packet of its own, if it is due.
func (w *Writer) tick() error {
	if !w.pcrDue() {
		return nil
	}
	b, err := w.packet()
	if err != nil {
		return err
	}
	s := w.pcr
	b[0], b[1], b[2], b[3], b[4] = syncByte, byte(s.pid>>8), byte(s.pid), 0x20|(s.cc-1)&15, packetSize-5
	n := len(w.appendPCR(append(b[:5:packetSize], 0x10)))
	for i := n; i < packetSize; i++ {
		b[i] = 0xff
	}
	return nil
}

// packet returns the place of the next packet, which the caller fills.
func (w *Writer) packet() ([]byte, error) {
	if len(w.buf) == writeSize {
		if err := w.flush(); err != nil {
			return nil, err
		}
	}
	n := len(w.buf)
	w.buf = w.buf[:n+packetSize]
	return w.buf[n:], nil
}

func (w *Writer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	b := w.buf
	w.buf = w.buf[:0]
	if _, err := w.w.Write(b); err != nil {
		return fmt.Errorf("mpegts: writing: %w", err)
	}
	return nil
}
