package rtmp

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/rtmp/flv"
)

// feed is what is known of one track of a Publisher.
type feed struct {
	id     uint32
	codec  *codecEntry
	track  *sluice.Track // nil until it can be described
	config []byte        // as the sender wrote it
	sample func([]byte) ([]byte, error)
	open   sluice.Packet // a codec.OpenStart, held until it is known what follows
}

// trackID is the ID of a track, which lasts for as long as the publisher numbers
// its tracks the same way.
func trackID(kind sluice.Kind, number uint8) uint32 {
	if kind == sluice.Audio {
		return AudioID + 2*uint32(number)
	}
	return VideoID + 2*uint32(number)
}

// feed returns the feed of a track.
func (p *Publisher) feed(id uint32) (*feed, error) {
	for _, f := range p.feeds {
		if f.id == id {
			return f, nil
		}
	}
	if len(p.feeds) == maxTracks {
		return nil, fmt.Errorf("%w: more than %d tracks: set the encoder to fewer", flv.ErrUnsupported, maxTracks)
	}
	f := &feed{id: id}
	p.feeds = append(p.feeds, f)
	slices.SortFunc(p.feeds, func(a, b *feed) int { return cmp.Compare(a.id, b.id) })
	return f, nil
}

// tag makes packets of a tag. An error means that the publisher has to be set
// up otherwise.
func (p *Publisher) tag(q queued) error {
	if q.tag.Kind == flv.Other {
		return nil
	}
	c, err := codecOf(q.kind, q.tag)
	if err != nil {
		return err
	}
	if c.composed {
		if err := q.tag.TakeCTS(); err != nil {
			p.drop(q.kind, q.time, err)
			return nil
		}
	}
	f, err := p.feed(trackID(q.kind, q.tag.Track))
	if err != nil {
		return err
	}
	if q.tag.Kind == flv.Config {
		return p.configure(f, c, q)
	}
	if len(q.tag.Data) > 0 {
		p.frame(f, c, q)
	}
	return nil
}

// configure takes a configuration record. One that changes the track announces
// it.
func (p *Publisher) configure(f *feed, c *codecEntry, q queued) error {
	config := q.tag.Data
	if c.parse == nil || f.codec == c && string(f.config) == string(config) {
		return nil
	}
	t, err := c.parse(config)
	if err != nil && c.inBand != nil {
		// The frames will tell.
		p.cfg.Log.Debug("rtmp: configuration cannot be used", "remote", remote(p.nc), "codec", c.name, "err", err)
		t, err = nil, nil
	}
	if err != nil {
		return fmt.Errorf("%s configuration: %w", c.name, err)
	}
	f.sample = nil
	if c.sampler != nil {
		if f.sample, err = c.sampler(config); err != nil {
			return fmt.Errorf("%s configuration: %w", c.name, err)
		}
	}
	p.release(f, true)
	if f.codec != c {
		f.track = nil
	}
	f.codec, f.config = c, config
	if t != nil {
		p.replace(f, t, int64(q.time))
	}
	return nil
}

// replace makes t the feed's track, and announces it if it differs from the
// last.
func (p *Publisher) replace(f *feed, t *sluice.Track, at int64) {
	if f.track != nil && f.track.Codec == t.Codec && string(f.track.Config) == string(t.Config) {
		return
	}
	own := *t
	own.ID = f.id
	own.Timescale = 1000
	if t.FrameDur > 0 {
		own.FrameDur = sluice.Rescale(t.FrameDur, int64(t.Timescale), 1000)
	}
	f.track = &own
	tracks := make([]*sluice.Track, 0, len(p.feeds))
	for _, f := range p.feeds {
		if f.track != nil {
			tracks = append(tracks, f.track)
		}
	}
	p.tracks = tracks
	p.ready = append(p.ready, sluice.Packet{Track: f.track, DTS: at, PTS: at})
}

var errNotConfigured = errors.New("frame before its codec's configuration")

func (p *Publisher) frame(f *feed, c *codecEntry, q queued) {
	if f.codec != c && c.parse != nil {
		p.drop(q.kind, q.time, errNotConfigured)
		return
	}
	data := q.tag.Data
	var err error
	if f.sample != nil {
		if data, err = f.sample(data); err != nil {
			p.drop(q.kind, q.time, err)
			return
		}
	}
	picture := c.picture(data)
	p.release(f, picture != codec.Leading)
	if c.inBand != nil && picture == codec.Start {
		t, err := c.inBand(f.config, data)
		if err != nil {
			p.drop(q.kind, q.time, err)
			return
		}
		if f.codec != c {
			f.codec, f.config, f.sample = c, nil, nil
		}
		p.replace(f, t, int64(q.time))
	}
	if f.track == nil {
		p.drop(q.kind, q.time, errNotConfigured)
		return
	}
	out := sluice.Packet{
		Track: f.track,
		DTS:   int64(q.time),
		PTS:   int64(q.time) + int64(q.tag.CTS),
		Key:   picture == codec.Start,
		Data:  data,
	}
	if picture == codec.OpenStart {
		f.open = out
		return
	}
	p.ready = append(p.ready, out)
}

// release lets a frame go that was held until its successor told whether a
// decoder may start at it.
func (p *Publisher) release(f *feed, key bool) {
	if f.open.Track == nil {
		return
	}
	f.open.Key = key
	p.ready = append(p.ready, f.open)
	f.open = sluice.Packet{}
}

// releaseAll lets go what is held when nothing follows.
func (p *Publisher) releaseAll() {
	for _, f := range p.feeds {
		p.release(f, true)
	}
}
