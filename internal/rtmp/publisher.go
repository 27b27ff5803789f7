package rtmp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/rtmp/chunk"
	"github.com/sluice-live/sluice/internal/rtmp/flv"
)

// The IDs of a Publisher's tracks. Those of further tracks (Enhanced RTMP's
// trackId n) follow: video has 2n+1, audio 2n+2.
const (
	VideoID = 1
	AudioID = 2
)

// maxTracks bounds the tracks of a Publisher. OBS sends up to six of each kind.
const maxTracks = 32

// maxTags bounds what is taken of an aggregate message: some seconds of media.
const maxTags = 4096

// Publisher is the media that a peer sends: a publisher's to our server, or
// that of a server which a Client plays from.
//
// Packets are in the source's clock: Timescale 1000, DTS the time stamp as it
// came (0 to 2^32-1, not unwrapped), PTS = DTS + composition offset, Dur and
// Segment 0. Each new *Track is announced by a packet without Data. The end is
// io.EOF if the peer said so, and wraps io.ErrUnexpectedEOF if it was just gone.
type Publisher struct {
	*conn
	stream uint32
	tracks []*sluice.Track
	feeds  []*feed         // in order of their IDs
	tags   []flv.Tag       // of the tag being parsed
	queue  []queued        // tags of the message being dealt with: one, or several of an aggregate or of several tracks
	done   int             // of them
	ready  []sluice.Packet // to be returned
	taken  int             // of them
	broken error           // comes after what is ready
	err    error           // final

	mu   sync.Mutex
	meta Metadata

	messages, packets, dropped atomic.Uint64
}

var _ sluice.Source = (*Publisher)(nil)

type queued struct {
	kind sluice.Kind
	time uint32
	tag  flv.Tag
}

// PublisherStats are a Publisher's counters.
type PublisherStats struct {
	Bytes    uint64 // received, all told
	Messages uint64
	Packets  uint64
	Dropped  uint64 // media that could not be used: damaged, or before its configuration
}

func newPublisher(c *conn, stream uint32) *Publisher {
	c.in.idle = c.cfg.IdleTimeout
	return &Publisher{conn: c, stream: stream}
}

// Stats returns the counters. It may be called at any time.
func (p *Publisher) Stats() PublisherStats {
	return PublisherStats{p.in.total.Load(), p.messages.Load(), p.packets.Load(), p.dropped.Load()}
}

// Metadata returns what the publisher's onMetaData said; Known tells whether
// it has come, which is usual before the first packet. It may be called at any
// time.
func (p *Publisher) Metadata() Metadata {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.meta
}

// End tells a publisher why it may not go on, waits up to a second for it to
// hang up, and closes the connection. It is not for use while a packet is read.
func (p *Publisher) End(reason error) error {
	err := p.write(onStatus(p.stream, "error", "NetStream.Publish.Denied", explain(reason)))
	if err == nil {
		p.linger()
	}
	return errors.Join(err, p.Close())
}

// Tracks implements sluice.Source.
func (p *Publisher) Tracks() []*sluice.Track { return p.tracks }

// ReadPacket implements sluice.Source.
func (p *Publisher) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	if p.err != nil {
		return sluice.Packet{}, p.err
	}
	var out sluice.Packet
	err := p.within(ctx, func() (err error) {
		out, err = p.readPacket()
		return err
	})
	if err == nil {
		p.packets.Add(1)
		return out, nil
	}
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return sluice.Packet{}, ctx.Err()
	}
	p.err = p.final(err)
	return sluice.Packet{}, p.err
}

// final is the error that goes on being returned.
func (p *Publisher) final(err error) error {
	if err == errEnd {
		return io.EOF
	}
	return fmt.Errorf("rtmp: reading from %s: %w", remote(p.nc), peerGone(err))
}

// errEnd says that the peer ended its stream; a bare io.EOF from below is a
// connection that broke off.
var errEnd = errors.New("end of stream")

func (p *Publisher) readPacket() (sluice.Packet, error) {
	for {
		if p.taken < len(p.ready) {
			out := p.ready[p.taken]
			p.ready[p.taken] = sluice.Packet{}
			p.taken++
			return out, nil
		}
		p.ready, p.taken = p.ready[:0], 0
		if p.broken != nil {
			return sluice.Packet{}, p.broken
		}
		if err := p.step(); err != nil {
			if ctx := p.in.ctx; ctx != nil && ctx.Err() != nil {
				return sluice.Packet{}, err
			}
			p.broken = err
			p.releaseAll()
		}
	}
}

// step deals with the next tag, or reads the next message.
func (p *Publisher) step() error {
	if p.done < len(p.queue) {
		q := p.queue[p.done]
		p.done++
		return p.tag(q)
	}
	m, err := p.read()
	if err != nil {
		return err
	}
	p.messages.Add(1)
	return p.message(m)
}

// message sorts a message: media into the queue, the rest is done at once.
func (p *Publisher) message(m chunk.Message) error {
	p.queue, p.done = p.queue[:0], 0
	switch m.Type {
	case chunk.TypeVideo:
		return p.parse(sluice.Video, m.Time, m.Data)
	case chunk.TypeAudio:
		return p.parse(sluice.Audio, m.Time, m.Data)
	case chunk.TypeAggregate:
		return p.aggregate(m)
	case chunk.TypeDataAMF0, chunk.TypeDataAMF3:
		p.data(m)
	case chunk.TypeCommandAMF0, chunk.TypeCommandAMF3:
		return p.command(m)
	case chunk.TypeUserControl:
		return errEnd // StreamEOF: conn keeps the others
	}
	return nil
}

func (p *Publisher) data(m chunk.Message) {
	if meta, ok := parseMetadata(m); ok {
		p.mu.Lock()
		p.meta = meta
		p.mu.Unlock()
	}
}

func (p *Publisher) command(m chunk.Message) error {
	cmd, err := parseCommand(m)
	if err != nil {
		p.cfg.Log.Debug("rtmp: command cannot be read", "remote", remote(p.nc), "err", err)
		return nil
	}
	switch cmd.name {
	case "deleteStream", "closeStream", "FCUnpublish":
		p.reply(onStatus(p.stream, "status", "NetStream.Unpublish.Success", "stopped"))
		return errEnd
	case "onStatus":
		switch code, _ := cmd.status(); code {
		case "NetStream.Play.UnpublishNotify", "NetStream.Play.Stop", "NetStream.Play.Complete":
			return errEnd
		}
	default:
		if cmd.tx != 0 && cmd.name != "_result" && cmd.name != "_error" {
			p.reply(result(cmd.tx, nil))
		}
	}
	return nil
}

// aggregate takes an aggregate message apart: FLV tags with their heads, whose
// times count from the message's.
func (p *Publisher) aggregate(m chunk.Message) error {
	var first uint32
	b := m.Data
	for n := 0; len(b) >= 11 && len(p.queue) < maxTags; n++ {
		size := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		t := uint32(b[7])<<24 | uint32(b[4])<<16 | uint32(b[5])<<8 | uint32(b[6])
		if size > len(b)-11 {
			break
		}
		if n == 0 {
			first = t
		}
		at, body := m.Time+t-first, b[11:11+size:11+size]
		var err error
		switch b[0] {
		case chunk.TypeVideo:
			err = p.parse(sluice.Video, at, body)
		case chunk.TypeAudio:
			err = p.parse(sluice.Audio, at, body)
		case chunk.TypeDataAMF0:
			p.data(chunk.Message{Type: b[0], Data: body})
		}
		if err != nil {
			return err
		}
		b = b[min(len(b), 11+size+4):] // the size again follows
	}
	if len(b) > 0 {
		p.dropped.Add(1)
	}
	return nil
}

// parse puts what a tag holds into the queue. An error means that the publisher
// has to be set up otherwise.
func (p *Publisher) parse(kind sluice.Kind, at uint32, body []byte) error {
	if len(body) == 0 {
		return nil // librtmp's keep-alive, a period of silence
	}
	parse := flv.ParseVideo
	if kind == sluice.Audio {
		parse = flv.ParseAudio
	}
	var err error
	p.tags, err = parse(p.tags[:0], body)
	for _, t := range p.tags {
		p.queue = append(p.queue, queued{kind, at, t})
	}
	if err != nil && !errors.Is(err, flv.ErrUnsupported) {
		p.drop(kind, at, err)
		err = nil
	}
	return err
}

func (p *Publisher) drop(kind sluice.Kind, at uint32, err error) {
	p.dropped.Add(1)
	p.cfg.Log.Debug("rtmp: media dropped", "remote", remote(p.nc), "kind", kind, "time", at, "err", err)
}
