package chunk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Errors of Reader, to be matched with errors.Is. After one of them the
// Reader is of no more use.
var (
	ErrTooLarge = errors.New("rtmp: message or messages are larger than the limit")
	ErrProtocol = errors.New("rtmp: bytes are not RTMP chunks")
)

// Limits bound the memory of a Reader.
type Limits struct {
	Message int // the largest message, in bytes
	Partial int // all messages that are not complete, together, in bytes
	Streams int // chunk streams
}

// firstPiece is what a message may have before its own bytes or those of an
// earlier message have earned it more. Most messages are smaller.
const firstPiece = 64 << 10

// Reader puts messages together. When its io.Reader fails with a temporary
// error, such as a deadline, ReadMessage may be called again and goes on where
// it was.
type Reader struct {
	br      *bufio.Reader
	limits  Limits
	size    int
	streams map[uint32]*stream
	partial int // bytes held by messages that are not complete
	largest int // largest message completed
	cur     *stream
	left    int  // bytes of the current chunk not yet read
	omits   bool // the peer was seen to leave extended time stamps out of type 3 chunks
}

// stream is the state of one chunk stream.
type stream struct {
	msg    Message
	length int
	delta  uint32
	field  uint32 // time stamp or delta as last sent
	buf    []byte // of the message being read
	have   int
	open   bool
}

// NewReader returns a Reader with a small buffer.
func NewReader(r io.Reader, l Limits) *Reader {
	return &Reader{br: bufio.NewReaderSize(r, 4<<10), limits: l, size: DefaultSize, streams: map[uint32]*stream{}}
}

// Grow gives the Reader other limits and a larger buffer, for a peer that has
// been let in.
func (r *Reader) Grow(l Limits, buffer int) {
	r.limits = l
	r.br = bufio.NewReaderSize(r.br, buffer)
}

// ReadMessage returns the next message other than Set Chunk Size and Abort.
// The end of the input between messages is io.EOF, inside one it is
// io.ErrUnexpectedEOF.
func (r *Reader) ReadMessage() (Message, error) {
	for {
		m, err := r.next()
		if err != nil {
			return Message{}, err
		}
		switch m.Type {
		case TypeSetChunkSize:
			err = r.setSize(m.Data)
		case TypeAbort:
			err = r.abort(m.Data)
		default:
			return m, nil
		}
		if err != nil {
			return Message{}, err
		}
	}
}

// next reads chunks until one completes a message.
func (r *Reader) next() (Message, error) {
	for {
		if r.cur == nil {
			if err := r.readHeader(); err != nil {
				return Message{}, r.eof(err)
			}
		}
		s := r.cur
		if err := r.readPayload(s); err != nil {
			return Message{}, r.eof(err)
		}
		r.cur = nil
		if s.have < s.length {
			continue
		}
		m := s.msg
		m.Data = s.buf
		r.drop(s)
		r.largest = max(r.largest, s.length)
		return m, nil
	}
}

// eof tells an end inside a message from one between messages.
func (r *Reader) eof(err error) error {
	if err == io.EOF && (r.partial > 0 || r.cur != nil || r.br.Buffered() > 0) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (r *Reader) drop(s *stream) {
	r.partial -= cap(s.buf)
	s.buf, s.have, s.open = nil, 0, false
}

// readHeader consumes a chunk's header only when all of it is there.
func (r *Reader) readHeader() error {
	b, err := r.br.Peek(1)
	if err != nil {
		return err
	}
	format, id, n := b[0]>>6, uint32(b[0]&0x3f), 1
	if id < 2 {
		n += int(id) + 1
		if b, err = r.br.Peek(n); err != nil {
			return err
		}
		id = 64 + uint32(b[1])
		if n == 3 {
			id += uint32(b[2]) << 8
		}
	}
	s, err := r.stream(id, format)
	if err != nil {
		return err
	}
	if format == 3 {
		return r.continueOrRepeat(s, n)
	}
	return r.begin(s, format, n)
}

// stream returns the state of a chunk stream. The first chunk of one may be of
// type 1 too: librtmp sends its first user control message so.
func (r *Reader) stream(id uint32, format byte) (*stream, error) {
	s := r.streams[id]
	switch {
	case s == nil && format > 1:
		return nil, fmt.Errorf("%w: chunk stream %d begins with a chunk of type %d", ErrProtocol, id, format)
	case s == nil && len(r.streams) >= r.limits.Streams:
		return nil, fmt.Errorf("%w: more than %d chunk streams", ErrTooLarge, r.limits.Streams)
	case s == nil:
		s = &stream{msg: Message{ID: id}}
	case s.open && format != 3:
		return nil, fmt.Errorf("%w: a message on chunk stream %d is cut off by a chunk of type %d", ErrProtocol, id, format)
	}
	return s, nil
}

var headerSize = [3]int{11, 7, 3}

// begin reads the header of type 0, 1 or 2 behind n bytes of basic header.
func (r *Reader) begin(s *stream, format byte, n int) error {
	end := n + headerSize[format]
	b, err := r.br.Peek(end)
	if err != nil {
		return err
	}
	field := uint24(b[n:])
	if field == extended {
		end += 4
		if b, err = r.br.Peek(end); err != nil {
			return err
		}
		field = binary.BigEndian.Uint32(b[end-4:])
	}
	if format < 2 {
		s.length, s.msg.Type = int(uint24(b[n+3:])), b[n+6]
	}
	if format == 0 {
		s.msg.Stream, s.msg.Time = binary.LittleEndian.Uint32(b[n+7:]), 0
	}
	r.streams[s.msg.ID] = s
	// A type 3 chunk that begins a message behind a type 0 one adds its time
	// stamp as a delta (section 5.3.1.2.4); librtmp and ffmpeg do so too.
	s.field, s.delta = field, field
	return r.open(s, end)
}

// continueOrRepeat reads a header of type 3: it goes on with a message or
// begins one like the last.
func (r *Reader) continueOrRepeat(s *stream, n int) error {
	if s.field >= extended {
		ext, err := r.hasExtended(s, n)
		if err != nil {
			return err
		}
		if ext {
			n += 4
		}
	}
	if !s.open {
		return r.open(s, n)
	}
	return r.enter(s, n)
}

// hasExtended tells whether an extended time stamp follows the n bytes of a
// type 3 header. The specification wants it, some encoders leave it out: it is
// there if it repeats the last one. A payload begins so by chance once in
// 2^32.
func (r *Reader) hasExtended(s *stream, n int) (bool, error) {
	left := min(r.size, s.length-s.have)
	if r.omits && left < 4 {
		return false, nil // four bytes might be long in coming
	}
	b, err := r.br.Peek(n + 4)
	if err != nil {
		if left < 4 && len(b) >= n+left && err == io.EOF {
			return false, nil
		}
		return false, err
	}
	v := binary.BigEndian.Uint32(b[n:])
	ext := v == s.field || s.open && v == s.msg.Time
	r.omits = r.omits || !ext
	return ext, nil
}

// open begins a message whose header ends at n.
func (r *Reader) open(s *stream, n int) error {
	if s.length > r.limits.Message {
		return fmt.Errorf("%w: a message of %d bytes, at most %d are taken", ErrTooLarge, s.length, r.limits.Message)
	}
	s.msg.Time += s.delta
	s.open = true
	return r.enter(s, n)
}

// enter consumes the header and makes s current.
func (r *Reader) enter(s *stream, n int) error {
	if _, err := r.br.Discard(n); err != nil {
		return err
	}
	r.cur, r.left = s, min(r.size, s.length-s.have)
	return nil
}

func (r *Reader) readPayload(s *stream) error {
	for r.left > 0 {
		if s.have == len(s.buf) {
			if err := r.growBuf(s); err != nil {
				return err
			}
		}
		n, err := r.br.Read(s.buf[s.have:min(len(s.buf), s.have+r.left)])
		s.have += n
		r.left -= n
		if err != nil {
			return err
		}
	}
	return nil
}

// growBuf makes room for more of the message: twice what has come of it, or of
// the largest message before it.
func (r *Reader) growBuf(s *stream) error {
	n := min(s.length, max(firstPiece, 2*r.largest, 2*s.have), max(firstPiece, r.limits.Partial))
	if n <= s.have || r.partial-cap(s.buf)+n > r.limits.Partial {
		return fmt.Errorf("%w: over %d bytes in incomplete messages", ErrTooLarge, r.limits.Partial)
	}
	buf := make([]byte, n)
	copy(buf, s.buf)
	r.partial += cap(buf) - cap(s.buf)
	s.buf = buf
	return nil
}

func (r *Reader) setSize(b []byte) error {
	if len(b) < 4 {
		return fmt.Errorf("%w: Set Chunk Size of %d bytes", ErrProtocol, len(b))
	}
	n := binary.BigEndian.Uint32(b)
	if n == 0 || n > 1<<31-1 {
		return fmt.Errorf("%w: Set Chunk Size to %d", ErrProtocol, n)
	}
	r.size = int(min(n, MaxSize)) // no message is longer
	return nil
}

func (r *Reader) abort(b []byte) error {
	if len(b) < 4 {
		return fmt.Errorf("%w: Abort of %d bytes", ErrProtocol, len(b))
	}
	if s := r.streams[binary.BigEndian.Uint32(b)]; s != nil && s.open {
		r.drop(s)
	}
	return nil
}

func uint24(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }
