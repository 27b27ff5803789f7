package m4s

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/cmaf"
)

// A Decoder reads into blocks, which grow with the rate of the stream.
const (
	minBlock = 64 << 10
	maxBlock = 512 << 10
)

const maxIdle = 100 // reads in a row that yield nothing

// Position says where a reader is in a stream: what it resumes with.
type Position struct {
	Stream uint64 // the numbering; 0: none
	Next   uint64 // number of the packet behind the one decoded last
}

// Decoder reads an m4s stream. It is for one goroutine. The Data of packets is
// part of the buffer that was read into, which is never used again.
type Decoder struct {
	r   io.Reader
	lim Limits

	buf      []byte
	pos, end int // buf[pos:end] has been read and not looked at
	block    int

	tracks  []*sluice.Track
	at      Position
	sent    int64
	hasHead bool
	err     error
}

// NewDecoder returns a Decoder that reads from r.
func NewDecoder(r io.Reader, l Limits) *Decoder {
	return &Decoder{r: r, lim: l.withDefaults(), block: minBlock}
}

// Tracks returns the tracks of the newest moov. It changes only inside Decode.
func (d *Decoder) Tracks() []*sluice.Track { return d.tracks }

// Position returns where a reader resumes behind the packet decoded last.
func (d *Decoder) Position() Position { return d.at }

// Sent returns when the packet decoded last, or a heartbeat since, left its
// sender, on the sender's clock.
func (d *Decoder) Sent() time.Time { return time.Unix(0, d.sent) }

// Decode returns the next packet, and a bare io.EOF at the end of the stream.
// Where r ends before that, the error wraps io.ErrUnexpectedEOF; where the
// stream failed at the sender, ErrRemote; where the bytes are not an m4s stream,
// ErrFormat. Errors repeat.
func (d *Decoder) Decode() (sluice.Packet, error) {
	for d.err == nil {
		var p sluice.Packet
		var got bool
		if p, got, d.err = d.box(); got {
			return p, nil
		}
	}
	if d.err != io.EOF && !errors.Is(d.err, errDecode) {
		d.err = fmt.Errorf("%w: %w", errDecode, d.err)
	}
	return sluice.Packet{}, d.err
}

// begin reads up to the stream's head, so that its Position is known.
func (d *Decoder) begin() error {
	for !d.hasHead {
		if _, got, err := d.box(); err != nil {
			d.err = err
			_, err = d.Decode()
			return err
		} else if got {
			d.err = fmt.Errorf("packet before the head: %w", ErrFormat)
		}
	}
	return nil
}

var errDecode = errors.New("m4s: read stream")

// box reads one box, and the mdat of a moof; got says that it was a packet.
func (d *Decoder) box() (p sluice.Packet, got bool, err error) {
	if err := d.need(8); err != nil {
		return p, false, err
	}
	head := d.buf[d.pos : d.pos+8]
	size, name := binary.BigEndian.Uint32(head), sluice.FourCC(head[4:])
	most := d.lim.AccessUnit
	switch string(name[:]) {
	case "moof":
		most = maxMoof
	case "moov":
		most = d.lim.moov()
	}
	if size < 8 || uint64(size) > uint64(most) {
		return p, false, fmt.Errorf("box %q of %d bytes, not 8 to %d: %w", name[:], size, most, ErrFormat)
	}
	n := int(size)
	switch string(name[:]) {
	case "moof":
		p, err = d.packet(n)
		return p, err == nil, err
	case "moov":
		if err := d.need(n); err != nil {
			return p, false, err
		}
		err = d.movie(d.buf[d.pos+8 : d.pos+n])
		d.pos += n
	case "uuid":
		return d.own(n)
	case "mdat":
		err = fmt.Errorf("mdat without its moof: %w", ErrFormat)
	default:
		err = d.skip(n)
	}
	return p, false, err
}

// packet reads a moof of n bytes and the mdat behind it.
func (d *Decoder) packet(n int) (p sluice.Packet, err error) {
	if err := d.need(n + 8); err != nil {
		return p, err
	}
	c, err := cmaf.ParseChunk(d.buf[d.pos+8 : d.pos+n])
	if err != nil {
		return p, fmt.Errorf("%w: %w", err, ErrFormat)
	}
	kind, own := cutOwn(c.Own)
	f := fields{b: own}
	s := f.stamp()
	mdat := d.buf[d.pos+n : d.pos+n+8]
	t := d.track(c.Track)
	switch {
	case kind != kindPkt || f.short:
		err = fmt.Errorf("moof without the box of m4s (is it another kind of fMP4?): %w", ErrFormat)
	case t == nil:
		err = fmt.Errorf("packet of track %d, which no moov has: %w", c.Track, ErrFormat)
	case c.Size > uint32(min(d.lim.AccessUnit, math.MaxInt32)):
		err = fmt.Errorf("packet of %d bytes, more than %d: %w", c.Size, d.lim.AccessUnit, ErrFormat)
	case string(mdat[4:]) != "mdat" || binary.BigEndian.Uint32(mdat) != c.Size+8 || c.Start != uint32(n+8):
		err = fmt.Errorf("moof is not followed by the mdat of its sample: %w", ErrFormat)
	case !inTime(t, c.DTS) || !inTime(t, c.DTS+int64(c.Offset)):
		err = fmt.Errorf("packet at %d%+d ticks: %w", c.DTS, c.Offset, ErrFormat)
	}
	if err != nil {
		return p, err
	}
	whole := n + 8 + int(c.Size)
	if err := d.need(whole); err != nil {
		return p, err
	}
	p = sluice.Packet{
		Track: t, DTS: c.DTS, PTS: c.DTS + int64(c.Offset), Dur: int64(c.Dur), Segment: s.segment,
		Key: c.Key, Discont: s.flags&flagDiscont != 0, Data: d.buf[d.pos+n+8 : d.pos+whole : d.pos+whole],
	}
	d.pos += whole
	d.at.Next, d.sent = s.next, s.sent
	return p, nil
}

func inTime(t *sluice.Track, ticks int64) bool {
	return ticks >= 0 && ticks <= maxSeconds*int64(t.Timescale)
}

func (d *Decoder) track(id uint32) *sluice.Track {
	for _, t := range d.tracks {
		if t.ID == id {
			return t
		}
	}
	return nil
}

// own reads a uuid box of n bytes.
func (d *Decoder) own(n int) (p sluice.Packet, got bool, err error) {
	if n < ownHeader {
		return p, false, d.skip(n)
	}
	if err := d.need(ownHeader); err != nil {
		return p, false, err
	}
	kind, _ := cutOwn(d.buf[d.pos+8 : d.pos+ownHeader])
	if kind == "" {
		return p, false, d.skip(n)
	}
	if n > maxMoof {
		return p, false, fmt.Errorf("box %q of %d bytes: %w", kind, n, ErrFormat)
	}
	if err := d.need(n); err != nil {
		return p, false, err
	}
	f := fields{b: d.buf[d.pos+ownHeader : d.pos+n]}
	d.pos += n
	switch kind {
	case kindHead:
		if d.hasHead {
			return p, false, fmt.Errorf("second head: %w", ErrFormat)
		}
		d.hasHead = true
		d.at.Stream = f.u64()
	case kindBeat:
		f.u64()
		d.sent = int64(f.u64())
	case kindEnd:
		code, text := f.u32(), f.text()
		if !f.short {
			return p, false, endOf(code, text)
		}
	case kindMark:
		p, err = d.mark(&f)
		got = err == nil && !f.short
	}
	if f.short {
		err = fmt.Errorf("box %q is cut off: %w", kind, ErrFormat)
	}
	return p, got, err
}

func (d *Decoder) mark(f *fields) (p sluice.Packet, err error) {
	id := f.u32()
	p = sluice.Packet{Track: d.track(id), DTS: int64(f.u64()), PTS: int64(f.u64()), Dur: int64(f.u64())}
	s := f.stamp()
	switch {
	case f.short:
		return sluice.Packet{}, nil // the caller says so
	case p.Track == nil:
		return sluice.Packet{}, fmt.Errorf("mark of track %d, which no moov has: %w", id, ErrFormat)
	case !inTime(p.Track, p.DTS) || !inTime(p.Track, p.PTS) || p.Dur < 0 || p.Dur > math.MaxUint32:
		return sluice.Packet{}, fmt.Errorf("mark at %d ticks: %w", p.DTS, ErrFormat)
	}
	p.Segment, p.Key, p.Discont = s.segment, s.flags&flagKey != 0, s.flags&flagDiscont != 0
	d.at.Next, d.sent = s.next, s.sent
	return p, nil
}

func endOf(code uint32, text string) error {
	switch code {
	case endDone:
		return io.EOF
	case endRetry:
		return fmt.Errorf("%.*q: %w", maxText, text, errRetry)
	}
	return fmt.Errorf("%w: %.*q", ErrRemote, maxText, text)
}

// movie takes the tracks of a moov; one that has not changed remains the same.
func (d *Decoder) movie(moov []byte) error {
	entries, err := cmaf.ParseMovie(moov, d.lim.Tracks)
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrFormat)
	}
	tracks := make([]*sluice.Track, 0, len(entries))
	for _, e := range entries {
		t, err := parseTrack(e, d.lim)
		if err != nil {
			return err
		}
		for _, other := range tracks {
			if other.ID == t.ID {
				return fmt.Errorf("two tracks %d: %w", t.ID, ErrFormat)
			}
		}
		if old := d.track(t.ID); old != nil && reflect.DeepEqual(old, t) {
			t = old
		}
		tracks = append(tracks, t)
	}
	d.tracks = tracks
	return nil
}

// skip passes over n bytes.
func (d *Decoder) skip(n int) error {
	for {
		k := min(n, d.end-d.pos)
		d.pos += k
		if n -= k; n == 0 {
			return nil
		}
		if err := d.need(1); err != nil {
			return err
		}
	}
}

// need reads until n bytes can be looked at.
func (d *Decoder) need(n int) error {
	for idle := 0; d.end-d.pos < n; idle++ {
		if d.end == len(d.buf) {
			d.grow(n)
		}
		room := len(d.buf) - d.end
		k, err := d.r.Read(d.buf[d.end:])
		d.end += k
		if k > 0 {
			idle = 0
		} else if idle == maxIdle && err == nil {
			err = io.ErrNoProgress
		}
		if k == room && k >= minBlock {
			d.block = min(2*d.block, maxBlock)
		}
		if err != nil && d.end-d.pos < n {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// grow takes a new block for n bytes, of which some are there. It is no more
// than twice as large as what has arrived.
func (d *Decoder) grow(n int) {
	have := d.buf[d.pos:d.end]
	b := make([]byte, max(d.block, min(n, 2*len(have))))
	d.end = copy(b, have)
	d.buf, d.pos = b, 0
}
