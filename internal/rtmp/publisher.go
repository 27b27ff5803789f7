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

// The IDs of a Publisher's tracks.
const (
	VideoID = 1
	AudioID = 2
)

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
	feeds  [3]feed       // by track ID
	queue  []queued      // tags of the message being dealt with: one, or several of an aggregate
	done   int           // of them
	next   sluice.Packet // held back by its track's announcement
	err    error         // final

	mu   sync.Mutex
	meta Metadata

	messages, packets, dropped atomic.Uint64
}

var _ sluice.Source = (*Publisher)(nil)

// feed is what is known of one track.
type feed struct {
	codec  *codecEntry
	track  *sluice.Track
	config []byte // as the sender wrote it
	sample func([]byte) ([]byte, error)
}

type queued struct {
	kind sluice.Kind
	time uint32
	data []byte
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
		if p.next.Track != nil {
			out := p.next
			p.next = sluice.Packet{}
			return out, nil
		}
		if p.done < len(p.queue) {
			q := p.queue[p.done]
			p.done++
			out, err := p.tag(q)
			if out.Track != nil || err != nil {
				return out, err
			}
			continue
		}
		m, err := p.read()
		if err != nil {
			return sluice.Packet{}, err
		}
		p.messages.Add(1)
		if err := p.message(m); err != nil {
			return sluice.Packet{}, err
		}
	}
}

// message sorts a message: media into the queue, the rest is done at once.
func (p *Publisher) message(m chunk.Message) error {
	p.queue, p.done = p.queue[:0], 0
	switch m.Type {
	case chunk.TypeVideo:
		p.queue = append(p.queue, queued{sluice.Video, m.Time, m.Data})
	case chunk.TypeAudio:
		p.queue = append(p.queue, queued{sluice.Audio, m.Time, m.Data})
	case chunk.TypeAggregate:
		p.aggregate(m)
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
func (p *Publisher) aggregate(m chunk.Message) {
	var first uint32
	b := m.Data
	for n := 0; len(b) >= 11; n++ {
		size := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		t := uint32(b[7])<<24 | uint32(b[4])<<16 | uint32(b[5])<<8 | uint32(b[6])
		if size > len(b)-11 {
			break
		}
		if n == 0 {
			first = t
		}
		q := queued{0, m.Time + t - first, b[11 : 11+size : 11+size]}
		switch b[0] {
		case chunk.TypeVideo:
			q.kind = sluice.Video
		case chunk.TypeAudio:
			q.kind = sluice.Audio
		}
		if q.kind != 0 {
			p.queue = append(p.queue, q)
		} else if b[0] == chunk.TypeDataAMF0 {
			p.data(chunk.Message{Type: b[0], Data: q.data})
		}
		b = b[min(len(b), 11+size+4):] // the size again follows
	}
	if len(b) > 0 {
		p.dropped.Add(1)
	}
}

// tag makes a packet of a tag; none of one that holds no media. An error means
// that the publisher has to be set up otherwise.
func (p *Publisher) tag(q queued) (sluice.Packet, error) {
	if len(q.data) == 0 {
		return sluice.Packet{}, nil // librtmp's keep-alive
	}
	parse, id := flv.ParseVideo, VideoID
	if q.kind == sluice.Audio {
		parse, id = flv.ParseAudio, AudioID
	}
	t, err := parse(q.data)
	if errors.Is(err, flv.ErrUnsupported) {
		return sluice.Packet{}, err
	}
	if err != nil || t.Kind == flv.Other || len(t.Data) == 0 {
		if err != nil {
			p.drop(q, err)
		}
		return sluice.Packet{}, nil
	}
	c, err := codecOf(q.kind, t)
	if err != nil {
		return sluice.Packet{}, err
	}
	f := &p.feeds[id]
	if t.Kind == flv.Config {
		return p.configure(f, c, q, t.Data)
	}
	return p.frame(f, c, q, t)
}

func (p *Publisher) drop(q queued, err error) {
	p.dropped.Add(1)
	p.cfg.Log.Debug("rtmp: media dropped", "remote", remote(p.nc), "kind", q.kind, "time", q.time, "err", err)
}

// configure takes a configuration record. One that changes the track returns
// the announcement.
func (p *Publisher) configure(f *feed, c *codecEntry, q queued, config []byte) (sluice.Packet, error) {
	if f.codec == c && string(f.config) == string(config) {
		return sluice.Packet{}, nil
	}
	t, err := c.parse(config)
	if err != nil {
		return sluice.Packet{}, fmt.Errorf("%s configuration: %w", c.name, err)
	}
	f.sample = nil
	if c.sampler != nil {
		if f.sample, err = c.sampler(config); err != nil {
			return sluice.Packet{}, fmt.Errorf("%s configuration: %w", c.name, err)
		}
	}
	f.codec, f.config = c, config
	if !p.replace(f, t) {
		return sluice.Packet{}, nil
	}
	return sluice.Packet{Track: f.track, DTS: int64(q.time), PTS: int64(q.time)}, nil
}

// replace makes t the feed's track and reports whether it differs from the last.
func (p *Publisher) replace(f *feed, t *sluice.Track) bool {
	if f.track != nil && f.track.Codec == t.Codec && string(f.track.Config) == string(t.Config) {
		return false
	}
	own := *t
	own.ID = VideoID
	if t.Kind == sluice.Audio {
		own.ID = AudioID
	}
	own.Timescale = 1000
	if t.FrameDur > 0 {
		own.FrameDur = sluice.Rescale(t.FrameDur, int64(t.Timescale), 1000)
	}
	f.track = &own
	tracks := make([]*sluice.Track, 0, 2)
	for id := range p.feeds {
		if p.feeds[id].track != nil {
			tracks = append(tracks, p.feeds[id].track)
		}
	}
	p.tracks = tracks
	return true
}

func (p *Publisher) frame(f *feed, c *codecEntry, q queued, t flv.Tag) (sluice.Packet, error) {
	announce := false
	switch {
	case c.inBand:
		track, err := c.parse(t.Data)
		if err != nil {
			p.drop(q, err)
			return sluice.Packet{}, nil
		}
		f.codec, f.config, f.sample = c, nil, nil
		announce = p.replace(f, track)
	case f.codec != c:
		p.drop(q, errors.New("frame before its codec's configuration"))
		return sluice.Packet{}, nil
	}
	data := t.Data
	if f.sample != nil {
		var err error
		if data, err = f.sample(data); err != nil {
			p.drop(q, err)
			return sluice.Packet{}, nil
		}
	}
	out := sluice.Packet{
		Track: f.track,
		DTS:   int64(q.time),
		PTS:   int64(q.time) + int64(t.CTS),
		Key:   c.key == nil || c.key(data),
		Data:  data,
	}
	if announce {
		p.next = out
		out = sluice.Packet{Track: out.Track, DTS: out.DTS, PTS: out.PTS}
	}
	return out, nil
}
