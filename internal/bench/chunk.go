package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// outChunkSize is what OBS Studio uses.
const outChunkSize = 4096

// headerSize is the length of the chunk header that a message begins with.
const headerSize = 12

// mediaStream is the message stream that servers give the first createStream.
const mediaStream = 1

// chunked cuts a message with time stamp 0 into chunks. Media goes to message
// stream 1, everything else to stream 0 on a chunk stream of its own.
func chunked(kind byte, body []byte) []byte {
	chunkStream, stream := byte(3), byte(0)
	if kind == tagAudio || kind == tagVideo || kind == tagData {
		chunkStream, stream = 4+kind%2, mediaStream
	}
	n := len(body)
	out := []byte{chunkStream, 0, 0, 0, byte(n >> 16), byte(n >> 8), byte(n), kind, stream, 0, 0, 0}
	for {
		cut := min(len(body), outChunkSize)
		out = append(out, body[:cut]...)
		body = body[cut:]
		if len(body) == 0 {
			return out
		}
		out = append(out, 0xC0|chunkStream)
	}
}

// setTime writes the time stamp of a chunked message. The benchmarks end long
// before it needs more than three bytes.
func setTime(wire []byte, ms uint32) {
	wire[1], wire[2], wire[3] = byte(ms>>16), byte(ms>>8), byte(ms)
}

// message is one RTMP message. body is good until the next one of its chunk
// stream is read.
type message struct {
	kind byte
	body []byte
}

// inbound is what is known of one chunk stream.
type inbound struct {
	length   int
	kind     byte
	extended bool
	body     []byte
	partial  bool
}

// chunkReader joins chunks. It trusts its peer, which is a server of ours.
type chunkReader struct {
	r       *bufio.Reader
	size    int
	streams map[byte]*inbound
}

func newChunkReader(r io.Reader) *chunkReader {
	return &chunkReader{r: bufio.NewReaderSize(r, 64<<10), size: 128, streams: map[byte]*inbound{}}
}

// read returns the next whole message, and obeys those about the chunk size.
func (c *chunkReader) read() (message, error) {
	for {
		in, err := c.readChunk()
		if err != nil {
			return message{}, err
		}
		if in.partial {
			continue
		}
		if in.kind == 1 && len(in.body) >= 4 {
			c.size = int(binary.BigEndian.Uint32(in.body) & 0x7fffffff)
		}
		return message{in.kind, in.body}, nil
	}
}

func (c *chunkReader) readChunk() (*inbound, error) {
	basic, err := c.r.ReadByte()
	if err != nil {
		return nil, err
	}
	id := basic & 0x3f
	if id < 2 {
		return nil, fmt.Errorf("chunk stream with a long id (%#x)", basic)
	}
	in := c.streams[id]
	if in == nil {
		in = &inbound{}
		c.streams[id] = in
	}
	if err := c.readHeader(basic>>6, in); err != nil {
		return nil, err
	}
	if !in.partial {
		in.body = in.body[:0]
	}
	have := len(in.body)
	n := min(c.size, in.length-have)
	in.body = append(in.body, make([]byte, n)...)
	in.partial = len(in.body) < in.length
	_, err = io.ReadFull(c.r, in.body[have:])
	return in, err
}

func (c *chunkReader) readHeader(format byte, in *inbound) error {
	var h [11]byte
	if _, err := io.ReadFull(c.r, h[:[]int{11, 7, 3, 0}[format]]); err != nil {
		return err
	}
	if format < 3 {
		in.extended = h[0] == 0xff && h[1] == 0xff && h[2] == 0xff
	}
	if format < 2 {
		in.length, in.kind = int(h[3])<<16|int(h[4])<<8|int(h[5]), h[6]
	}
	if in.extended {
		_, err := c.r.Discard(4)
		return err
	}
	return nil
}
