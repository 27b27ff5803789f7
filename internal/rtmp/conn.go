package rtmp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-live/sluice/internal/rtmp/amf"
	"github.com/sluice-live/sluice/internal/rtmp/chunk"
)

// Chunk streams that we send on. Audio and video have their own, so that
// players that interleave may.
const (
	csControl = 2
	csCommand = 3
	csAudio   = 4
	csStatus  = 5
	csVideo   = 6
)

// User control events (RTMP 1.0, section 7.1.7).
const (
	eventStreamBegin  = 0
	eventStreamEOF    = 1
	eventBufferLength = 3
	eventPing         = 6
	eventPingResponse = 7
)

// window is the acknowledgement window that we ask of peers and tell them to
// keep to; FMS and nginx use about as much.
const window = 2_500_000

// conn is what servers and clients share: messages in and out, and the
// protocol's housekeeping. One goroutine reads; any may write.
type conn struct {
	nc  net.Conn
	cfg Config
	in  *input
	r   *chunk.Reader

	wmu  sync.Mutex
	out  func([]byte) error // writes or queues whole messages; under wmu
	deaf bool               // the peer took no reply
	sent atomic.Uint64
	caps caps // the peer's
	// Of a player's or a target's packets.
	blocks, missed atomic.Uint64

	closeOnce sync.Once
	closeErr  error
}

func newConn(nc net.Conn, cfg Config) *conn {
	c := &conn{nc: nc, cfg: cfg.withDefaults()}
	c.in = &input{nc: nc, acknowledge: c.acknowledge}
	c.r = chunk.NewReader(c.in, strangerLimits)
	c.out = c.writeNow
	return c
}

// letIn lifts the limits on strangers.
func (c *conn) letIn() {
	c.r.Grow(c.cfg.guestLimits(), 32<<10)
}

// Close closes the connection. It is idempotent.
func (c *conn) Close() error {
	c.closeOnce.Do(func() { c.closeErr = c.nc.Close() })
	return c.closeErr
}

// input is the receiving side of a connection below the chunk layer.
type input struct {
	nc          net.Conn
	ctx         context.Context // of the read in progress
	idle        time.Duration   // 0: as long as ctx lasts
	acknowledge func(total uint32)
	window      uint32 // the peer's; 0 until it says one
	total       atomic.Uint64
	acked       uint64
}

// Read reads from the network until ctx ends or nothing has come for the idle
// time, and acknowledges what it read: within a message too, since a peer may
// wait for that.
func (in *input) Read(b []byte) (int, error) {
	var deadline time.Time
	if in.idle > 0 {
		deadline = time.Now().Add(in.idle)
	}
	// In this order: whoever ends ctx sets a deadline in the past after it.
	_ = in.nc.SetReadDeadline(deadline)
	if in.ctx != nil && in.ctx.Err() != nil {
		return 0, context.Cause(in.ctx)
	}
	n, err := in.nc.Read(b)
	total := in.total.Add(uint64(n))
	if err == nil && in.window > 0 && total-in.acked >= uint64(in.window)/2 {
		in.acked = total
		in.acknowledge(uint32(total))
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if in.ctx != nil && in.ctx.Err() != nil {
			return n, context.Cause(in.ctx)
		}
		return n, fmt.Errorf("%w: no byte for %v", ErrIdle, in.idle)
	}
	return n, err
}

// within runs f, whose reads end with ctx. Afterwards the connection can be
// read again.
func (c *conn) within(ctx context.Context, f func() error) error {
	c.in.ctx = ctx
	if ctx.Done() == nil {
		return f()
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
		close(woken)
	})
	err := f()
	if !stop() {
		<-woken // or its deadline would hit a later read
	}
	return err
}

// peerGone makes of the error of a connection that ended without a word one
// that wraps io.ErrUnexpectedEOF.
func peerGone(err error) error {
	switch {
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err)
	}
	return err
}

// read returns the next message that is not housekeeping.
func (c *conn) read() (chunk.Message, error) {
	for {
		m, err := c.r.ReadMessage()
		if err != nil {
			return m, err
		}
		if !c.housekeep(m) {
			return m, nil
		}
	}
}

// housekeep deals with what no one above needs to see, and reports whether m
// was such.
func (c *conn) housekeep(m chunk.Message) bool {
	switch m.Type {
	case chunk.TypeWindowAckSize:
		if len(m.Data) >= 4 {
			c.in.window = binary.BigEndian.Uint32(m.Data)
		}
	case chunk.TypePeerBandwidth:
		// We are asked for acknowledgements of this size in our own
		// announcement; the limit itself we keep by not buffering.
		if len(m.Data) >= 4 {
			c.reply(control(chunk.TypeWindowAckSize, binary.BigEndian.Uint32(m.Data)))
		}
	case chunk.TypeUserControl:
		return c.userControl(m.Data)
	case chunk.TypeAck:
	default:
		return false
	}
	return true
}

func (c *conn) userControl(b []byte) bool {
	if len(b) < 6 {
		return true
	}
	switch event := binary.BigEndian.Uint16(b); event {
	case eventPing:
		c.reply(userControl(eventPingResponse, binary.BigEndian.Uint32(b[2:])))
	case eventStreamEOF:
		return false
	}
	return true
}

func (c *conn) acknowledge(total uint32) {
	c.reply(control(chunk.TypeAck, total))
}

// reply writes what a peer can do without. A peer that takes it no more may
// still have sent media that is to be read: the end comes with the reading.
// Only the reading goroutine calls it.
func (c *conn) reply(m chunk.Message) {
	if !c.deaf && c.write(m) != nil {
		c.deaf = true
	}
}

func control(typ uint8, v uint32) chunk.Message {
	return chunk.Message{ID: csControl, Type: typ, Data: binary.BigEndian.AppendUint32(nil, v)}
}

func userControl(event uint16, v uint32) chunk.Message {
	b := binary.BigEndian.AppendUint16(nil, event)
	return chunk.Message{ID: csControl, Type: chunk.TypeUserControl, Data: binary.BigEndian.AppendUint32(b, v)}
}

// hello tells a peer how we send and how it shall.
func hello() []chunk.Message {
	bandwidth := control(chunk.TypePeerBandwidth, window)
	bandwidth.Data = append(bandwidth.Data, 2) // dynamic
	return []chunk.Message{
		control(chunk.TypeWindowAckSize, window),
		bandwidth,
		control(chunk.TypeSetChunkSize, outSize),
	}
}

// write writes whole messages, all in one go.
func (c *conn) write(ms ...chunk.Message) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.out(coded(ms...))
}

// coded returns messages as they are sent. Until the peer knows of our chunk
// size it is 128: Set Chunk Size itself tells it.
func coded(ms ...chunk.Message) (b []byte) {
	for _, m := range ms {
		b = chunk.Append(b, m, outSize)
	}
	return b
}

func (c *conn) writeNow(b []byte) error {
	_ = c.nc.SetWriteDeadline(time.Now().Add(c.cfg.WriteTimeout))
	n, err := c.nc.Write(b)
	c.sent.Add(uint64(n))
	if err != nil {
		return fmt.Errorf("rtmp: writing: %w", err)
	}
	return nil
}

// command is a remote call: its name, transaction and arguments.
type command struct {
	name string
	tx   float64
	args []any // from the command object on
	m    chunk.Message
}

func (c command) arg(i int) any {
	if i < len(c.args) {
		return c.args[i]
	}
	return nil
}

func (c command) str(i int) string {
	s, _ := c.arg(i).(string)
	return s
}

// status is the code and description in an onStatus or a result.
func (c command) status() (code, description string) {
	for _, a := range c.args {
		if o := amf.Members(a); o.String("code") != "" {
			return o.String("code"), o.String("description")
		}
	}
	return "", ""
}

// refused makes an error of a command that says no. Redirects are as Flash
// Media Server says them: ex, with code 302 and the URL.
func (c command) refused() *StatusError {
	err := &StatusError{}
	err.Code, err.Description = c.status()
	for _, a := range c.args {
		if ex := amf.Members(amf.Members(a).Get("ex")); ex.Number("code") == 302 {
			err.Redirect = ex.String("redirect")
		}
	}
	return err
}

// parseCommand parses a message of type 20, or of type 17 in which an AMF3
// client sends AMF0 behind a zero byte.
func parseCommand(m chunk.Message) (command, error) {
	b := m.Data
	if m.Type == chunk.TypeCommandAMF3 && len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	vs, err := amf.Decode(b)
	if err != nil {
		return command{}, fmt.Errorf("%w: command: %w", ErrProtocol, err)
	}
	c := command{m: m}
	if len(vs) > 0 {
		c.name, _ = vs[0].(string)
	}
	if c.name == "" {
		return c, fmt.Errorf("%w: command without a name", ErrProtocol)
	}
	if len(vs) > 1 {
		c.tx, _ = vs[1].(float64)
		c.args = vs[2:]
	}
	return c, nil
}

func isCommand(m chunk.Message) bool {
	return m.Type == chunk.TypeCommandAMF0 || m.Type == chunk.TypeCommandAMF3
}

func call(name string, tx float64, args ...any) chunk.Message {
	return chunk.Message{ID: csCommand, Type: chunk.TypeCommandAMF0, Data: amf.Append(amf.Append(nil, name, tx), args...)}
}

func result(tx float64, args ...any) chunk.Message { return call("_result", tx, args...) }

// mediaStream is the ID of the one message stream that we give out.
const mediaStream = 1

func onStatus(stream uint32, level, code, description string) chunk.Message {
	m := call("onStatus", 0, nil, amf.Object{
		{Name: "level", Value: level}, {Name: "code", Value: code}, {Name: "description", Value: description},
	})
	m.ID, m.Stream = csStatus, stream
	return m
}
