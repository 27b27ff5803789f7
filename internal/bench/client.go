package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortmplib/pkg/amf0"
)

const commandType = 20

// conn is an RTMP connection of ours to a server under test: as plain as can
// be, so that it costs little and depends on nothing that it measures.
type conn struct {
	*net.TCPConn
	in      *chunkReader
	bytes   atomic.Int64 // received
	arrived *arrivals    // nil: nobody asks when
}

// dial connects to an application and creates a message stream.
func dial(ctx context.Context, addr, app string) (*conn, error) {
	var d net.Dialer
	tcp, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &conn{TCPConn: tcp.(*net.TCPConn)}
	c.in = newChunkReader(c)
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if err := c.open(addr, app); err != nil {
		c.Close()
		return nil, fmt.Errorf("connect to rtmp://%s/%s: %w", addr, app, err)
	}
	return c, nil
}

// Read counts what is received.
func (c *conn) Read(b []byte) (n int, err error) {
	if c.arrived != nil {
		n, err = c.arrived.Read(b)
	} else {
		n, err = c.TCPConn.Read(b)
	}
	c.bytes.Add(int64(n))
	return n, err
}

func (c *conn) open(addr, app string) error {
	hello := make([]byte, 1+1536)
	hello[0] = 3
	rand.Read(hello[9:])
	if _, err := c.Write(hello); err != nil {
		return err
	}
	answer := make([]byte, 1+1536+1536)
	if _, err := io.ReadFull(c.in.r, answer); err != nil {
		return err
	}
	if _, err := c.Write(answer[1 : 1+1536]); err != nil {
		return err
	}
	if _, err := c.Write(chunked(1, binary.BigEndian.AppendUint32(nil, outChunkSize))); err != nil {
		return err
	}
	if err := c.command("connect", 1, amf0.Object{
		{Key: "app", Value: app},
		{Key: "flashVer", Value: "LNX 9,0,124,2"},
		{Key: "tcUrl", Value: "rtmp://" + addr + "/" + app},
	}); err != nil {
		return err
	}
	if err := c.await("_result"); err != nil {
		return err
	}
	if err := c.command("createStream", 2, nil); err != nil {
		return err
	}
	return c.await("_result")
}

// command sends a command on stream 0, or on the media stream if it is about
// media.
func (c *conn) command(name string, args ...any) error {
	body, err := append(amf0.Data{name}, numbers(args)...).Marshal()
	if err != nil {
		return err
	}
	wire := chunked(commandType, body)
	if name == "publish" || name == "play" {
		wire[8] = mediaStream
	}
	_, err = c.Write(wire)
	return err
}

func numbers(args []any) []any {
	for i, a := range args {
		if n, ok := a.(int); ok {
			args[i] = float64(n)
		}
	}
	return args
}

// await reads until a command arrives and wants it to be of this name.
func (c *conn) await(name string) error {
	for {
		m, err := c.in.read()
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", name, err)
		}
		if m.kind != commandType {
			continue
		}
		got, err := amf0.Unmarshal(m.body)
		if err != nil {
			return err
		}
		if got[0] == name {
			return refusal(got)
		}
		if got[0] != "onBWDone" {
			return fmt.Errorf("waiting for %s: the server says %v", name, got)
		}
	}
}

// refusal returns what an answer of level "error" says.
func refusal(answer amf0.Data) error {
	info, _ := answer[len(answer)-1].(amf0.Object)
	if level, _ := info.Get("level"); level == "error" {
		return fmt.Errorf("refused: %v", info)
	}
	return nil
}

func (c *conn) publish(name string) error {
	if err := c.command("publish", 3, nil, name, "live"); err != nil {
		return err
	}
	if err := c.await("onStatus"); err != nil {
		return err
	}
	c.SetDeadline(time.Time{})
	return nil
}

func (c *conn) play(name string) error {
	if err := c.command("play", 3, nil, name, -2000); err != nil {
		return err
	}
	if err := c.await("onStatus"); err != nil {
		return err
	}
	c.SetDeadline(time.Time{})
	return nil
}
