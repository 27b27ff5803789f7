package m4s

import (
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/cmaf"
)

// Bounds of what an Encoder gathers before it writes.
const (
	gatherBytes  = 256 << 10
	gatherHeader = 16 << 10 // of boxes and headers
	maxHeader    = 320      // of one packet, and of the boxes before and behind it
	flatBytes    = 64 << 10 // copied together where w cannot write many buffers at once
)

// EncoderConfig configures an Encoder; the zero value works.
type EncoderConfig struct {
	// Stream identifies the numbering of packets, for readers that resume;
	// sluice.Stream.ID has one. 0: nobody can.
	Stream uint64
	// Heartbeat is how often Consume lets a silent stream be heard; default 1 s.
	Heartbeat time.Duration
	// Limits are those of the readers. Larger packets and tracks are refused.
	Limits Limits
}

// Encoder writes an m4s stream. It is for one goroutine; Data is not copied on
// its way to a *net.TCPConn or *net.UnixConn.
type Encoder struct {
	conf EncoderConfig
	w    io.Writer

	started bool
	ended   bool
	tracks  []*sluice.Track
	next    uint64
	lost    []uint32 // tracks whose last packet was refused
	refused uint64
	packets uint64
	written uint64

	head   []byte      // boxes and headers; never outgrown, bufs refer to it
	from   int         // what of head is not in bufs
	bufs   net.Buffers // gathered
	out    net.Buffers // being written
	size   int         // of all that is gathered
	flat   []byte
	vector bool

	chunked bool         // frame for HTTP/1.1
	before  func() error // of each write
	after   func() error
}

// NewEncoder returns an Encoder that writes to w.
func NewEncoder(w io.Writer, c EncoderConfig) *Encoder {
	setDefault(&c.Heartbeat, time.Second)
	c.Limits = c.Limits.withDefaults()
	e := &Encoder{conf: c, w: w, head: make([]byte, 0, gatherHeader)}
	switch w.(type) {
	case *net.TCPConn, *net.UnixConn:
		e.vector = true
	}
	return e
}

// Encode writes a packet, whose number is one above that of the last.
func (e *Encoder) Encode(p sluice.Packet) error {
	if err := e.Append(p, e.next+1); err != nil {
		return err
	}
	return e.Flush()
}

// Append gathers a packet for Flush; next is the number with which a reader
// resumes behind it. An error that wraps ErrPacket or ErrTrack concerns this
// packet alone, and the next one of its track is marked Discont.
func (e *Encoder) Append(p sluice.Packet, next uint64) error {
	if e.size > gatherBytes || len(e.head)+maxHeader > cap(e.head) {
		if err := e.Flush(); err != nil {
			return err
		}
	}
	err := e.append(&p, next)
	if err != nil {
		e.refused++
		if p.Track != nil && p.Data != nil && !slices.Contains(e.lost, p.Track.ID) && len(e.lost) < e.conf.Limits.Tracks {
			e.lost = append(e.lost, p.Track.ID)
		}
		return fmt.Errorf("m4s: send packet: %w", err)
	}
	e.next = next
	e.packets++
	return nil
}

func (e *Encoder) append(p *sluice.Packet, next uint64) error {
	if p.Track == nil {
		return fmt.Errorf("it has no track: %w", ErrPacket)
	}
	if !slices.Contains(e.tracks, p.Track) {
		if err := e.movie(p.Track); err != nil {
			return err
		}
	}
	if most := maxSeconds * int64(p.Track.Timescale); p.DTS < 0 || p.PTS < 0 || p.DTS > most || p.PTS > most {
		return fmt.Errorf("time stamps %d, %d: %w", p.DTS, p.PTS, ErrPacket)
	}
	if p.Dur != int64(uint32(p.Dur)) {
		return fmt.Errorf("duration of %d ticks: %w", p.Dur, ErrPacket)
	}
	if len(p.Data) > e.conf.Limits.AccessUnit {
		return fmt.Errorf("%d bytes, more than the limit of %d: %w", len(p.Data), e.conf.Limits.AccessUnit, ErrPacket)
	}
	s := stamp{segment: p.Segment, next: next, sent: time.Now().UnixNano()}
	if p.Key {
		s.flags |= flagKey
	}
	if p.Discont {
		s.flags |= flagDiscont
	}
	if len(e.lost) > 0 && p.Data != nil {
		if i := slices.Index(e.lost, p.Track.ID); i >= 0 {
			e.lost = slices.Delete(e.lost, i, i+1)
			s.flags |= flagDiscont
		}
	}
	e.start()
	if p.Data == nil {
		e.head = appendMark(e.head, p, s)
		e.size += ownHeader + markFields
		return nil
	}
	var own [ownHeader + stampSize]byte
	at := len(e.head)
	b, err := cmaf.AppendChunk(e.head, p, uint32(next), s.append(openBox(own[:0], kindPkt, stampSize)))
	if err != nil {
		return err
	}
	e.head = b
	e.size += len(b) - at
	e.data(p.Data)
	return nil
}

// data gathers bytes that are not copied.
func (e *Encoder) data(b []byte) {
	e.cut()
	if len(b) > 0 {
		e.bufs = append(e.bufs, b)
		e.size += len(b)
	}
}

// cut makes what head has gathered a buffer of its own.
func (e *Encoder) cut() {
	if e.from < len(e.head) {
		e.bufs = append(e.bufs, e.head[e.from:len(e.head):len(e.head)])
		e.from = len(e.head)
	}
}

// start begins the stream, and a chunk of HTTP/1.1 where that is asked for.
func (e *Encoder) start() {
	if e.chunked && e.size == 0 && len(e.head) == 0 {
		e.head = append(e.head, "00000000\r\n"...)
	}
	if !e.started {
		e.started = true
		at := len(e.head)
		e.head = append(e.head, ftyp...)
		e.head = appendHead(e.head, e.conf.Stream, e.conf.Heartbeat)
		e.size += len(e.head) - at
	}
}

// ftyp is the box that every file begins with: the one of our init segments.
const ftyp = "\x00\x00\x00\x1cftypiso6\x00\x00\x00\x00iso6cmfcmp41"

// Tracks announces tracks before their first packets, so that a reader of the
// beginning knows all of them. Those that cannot be sent are left out.
func (e *Encoder) Tracks(ts []*sluice.Track) error { return e.movie(ts...) }

// movie gathers a moov of all tracks if some are new or changed.
func (e *Encoder) movie(changed ...*sluice.Track) error {
	tracks := slices.Clone(e.tracks)
	var errs []error
	news := false
	for _, t := range changed {
		if err := checkTrack(t, e.conf.Limits); err != nil {
			errs = append(errs, err)
			continue
		}
		if i := slices.IndexFunc(tracks, func(old *sluice.Track) bool { return old.ID == t.ID }); i >= 0 {
			news = news || !reflect.DeepEqual(tracks[i], t)
			tracks[i] = t
			continue
		}
		if len(tracks) == e.conf.Limits.Tracks {
			return fmt.Errorf("more than %d tracks: %w", len(tracks), ErrTrack)
		}
		tracks, news = append(tracks, t), true
	}
	if !news {
		e.tracks = tracks
		return errors.Join(errs...)
	}
	b, err := cmaf.Movie(tracks, trackFields)
	if err != nil {
		return err
	}
	e.start()
	e.data(b[len(ftyp):])
	e.tracks = tracks
	return errors.Join(errs...)
}

// Beat writes what is gathered and a heartbeat.
func (e *Encoder) Beat() error {
	e.start()
	e.head = appendBeat(e.head, e.next, time.Now().UnixNano())
	e.size += ownHeader + 16
	return e.Flush()
}

// End writes that the stream is over: complete where err is nil or io.EOF,
// else failed with err's text.
func (e *Encoder) End(err error) error {
	code, text := uint32(endDone), ""
	if err != nil && err != io.EOF {
		code, text = endError, err.Error()
	}
	return e.end(code, text)
}

func (e *Encoder) end(code uint32, text string) error {
	e.start()
	e.data(appendEnd(nil, code, text))
	err := e.Flush()
	e.ended = err == nil
	return err
}

// Flush writes what is gathered.
func (e *Encoder) Flush() error {
	if e.size == 0 {
		return nil
	}
	if e.chunked {
		const digits = "0123456789abcdef"
		for i, n := 7, e.size; i >= 0; i, n = i-1, n>>4 {
			e.head[i] = digits[n&15]
		}
		e.head = append(e.head, "\r\n"...)
	}
	e.cut()
	err := e.write()
	clear(e.bufs)
	e.bufs, e.head, e.from, e.size = e.bufs[:0], e.head[:0], 0, 0
	if err != nil {
		return fmt.Errorf("m4s: write: %w", err)
	}
	return nil
}

func (e *Encoder) write() error {
	if e.before != nil {
		if err := e.before(); err != nil {
			return err
		}
	}
	e.written += uint64(e.size)
	if e.vector {
		e.out = e.bufs
		_, err := e.out.WriteTo(e.w)
		return err
	}
	if err := e.writeFlat(); err != nil {
		return err
	}
	if e.after != nil {
		return e.after()
	}
	return nil
}

// writeFlat copies small buffers together and writes large ones as they are.
func (e *Encoder) writeFlat() error {
	if e.flat == nil {
		e.flat = make([]byte, 0, flatBytes)
	}
	for _, b := range e.bufs {
		if len(e.flat)+len(b) > flatBytes {
			if err := e.flush(); err != nil {
				return err
			}
		}
		if len(b) > flatBytes {
			if _, err := e.w.Write(b); err != nil {
				return err
			}
			continue
		}
		e.flat = append(e.flat, b...)
	}
	return e.flush()
}

func (e *Encoder) flush() error {
	if len(e.flat) == 0 {
		return nil
	}
	_, err := e.w.Write(e.flat)
	e.flat = e.flat[:0]
	return err
}
