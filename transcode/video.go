package transcode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/asticode/go-astiav"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

// stamp is what a frame carries through filters and encoders, found again by
// its PTS.
type stamp struct {
	segment uint64
	key     bool // the source has a key frame here, or a segment opens
	opens   bool
	discont bool
	dur     int64
	origin  item          // without data
	late    time.Duration // when it came to the filters
}

// video decodes and scales the source's first video track for the renditions.
type video struct {
	o      *output
	queue  *queue
	source atomic.Uint32 // the track's ID; 0 before it is known
	pass   bool          // decided at the first packet, by the reading goroutine

	in      *sluice.Track
	dec     *decoder
	graph   *graph
	workers []*worker       // one for each rendition, in the order of the Ladder
	active  []*worker       // those that run in this era, from the largest picture down
	opened  bool            // they were chosen and started
	failed  bool            // there is no decoder for the track
	held    []sluice.Packet // without data, from before they were
	turned  int             // degrees clockwise that pictures are to be turned by
	overlay uint64          // the version that the graph was built with

	stamps  stamps
	segment uint64
	waiting map[int64]stamp // in the decoder
	inside  map[int64]stamp // in the graph
	newest  item            // went in last, without data
	last    int64           // PTS of the newest frame that left the decoder
	started bool            // a key frame was decoded since the decoder was opened
	discont bool
	decoded bool // something of this track was
	since   int64
	behind  bool
}

func newVideo(o *output) *video {
	v := &video{o: o, queue: newQueue()}
	for i, r := range o.ladder.Renditions {
		v.workers = append(v.workers, newWorker(o, r, i))
	}
	return v
}

// takes reports whether a track is the one to be transcoded.
func (v *video) takes(t *sluice.Track) bool {
	if t.Kind != sluice.Video {
		return false
	}
	if v.source.Load() == 0 {
		v.pass = v.o.ladder.maySource(t)
		v.source.Store(t.ID)
	}
	return t.ID == v.source.Load()
}

func (v *video) passes(*sluice.Track) bool { return v.pass }

// maySource decides whether the source's picture goes along.
func (l Ladder) maySource(t *sluice.Track) bool {
	burnt, _ := l.Overlays.now()
	switch {
	case l.Source == PassAlways:
		return true
	case l.Source == PassNever || len(l.Renditions) == 0:
		return false
	case t.Codec != sluice.AVC1 || len(burnt) > 0:
		return false
	}
	avcC, err := codec.AVCConfig(t)
	if err != nil {
		return false
	}
	sets, _, err := codec.AVCParameterSets(avcC)
	if err != nil {
		return false
	}
	sps, err := codec.ParseSPS(sets[0])
	return err == nil && sps.BitDepth == 8 && sps.ChromaFormat == 1 && !sps.Interlaced
}

// makes reports whether a track is one of the renditions.
func (v *video) makes(track uint32) bool {
	n := track - v.source.Load()*trackSpan
	return v.source.Load() != 0 && n >= 1 && n <= uint32(len(v.workers))
}

// trackSpan is how far apart the numbers of renditions are that are made of
// neighbouring tracks.
const trackSpan = 100

func (v *video) run(ctx context.Context) error {
	for _, w := range v.workers {
		v.o.spawn("encode", func() error { return w.run(ctx) })
	}
	defer func() {
		v.closeAll()
		for _, w := range v.workers {
			close(w.tasks)
		}
	}()
	if err := v.queue.each(ctx, v.packet); err != nil {
		return err
	}
	return v.settle(ctx)
}

func (v *video) closeAll() {
	release(&v.dec)
	release(&v.graph)
}

func (v *video) packet(ctx context.Context, it item) error {
	v.newest = it
	v.newest.Data = nil
	if it.Track != v.in {
		if err := v.change(ctx, it.Track); err != nil {
			return err
		}
	}
	if it.Data == nil && !it.lost {
		return v.marker(ctx, it.Packet)
	}
	v.stamps.note(it.Packet)
	if err := v.openDecoder(it.Packet); err != nil {
		return err
	}
	if v.skip(it) {
		return nil
	}
	origin := it
	origin.Data = nil
	v.waiting[it.PTS] = stamp{key: it.Key, dur: it.Dur, discont: it.Discont || v.discont, origin: origin}
	v.discont = false
	began := time.Now()
	err := v.dec.send(it.Packet, func(f *astiav.Frame) error { return v.frame(ctx, f) })
	v.o.stats.decode(time.Since(began))
	if errors.Is(err, errDamaged) {
		v.discont = true
		delete(v.waiting, it.PTS)
		v.o.stats.damaged(v.o.ladder.Log, it.Track, err)
	} else if err != nil {
		return err
	}
	return v.hopeless(it.Packet, err)
}

// skip reports whether a packet is not decoded: before the first key frame, and
// when the decoder itself is too late, up to the next one.
func (v *video) skip(it item) bool {
	if v.failed || v.opened && len(v.active) == 0 {
		v.stamps.rest()
		return true
	}
	if limit := v.o.ladder.MaxDelay; limit > 0 && !v.behind && it.lag(time.Now()) > limit {
		v.behind = true
		v.o.stats.overload(v.o.ladder.Log, "cannot decode in time")
	}
	if it.lost {
		v.behind = true
	}
	if it.Key && !it.lost {
		if limit := v.o.ladder.MaxDelay; limit < 0 || it.lag(time.Now()) <= limit {
			v.behind = false
		}
	}
	if !v.behind && (v.started || it.Key || it.Track.Duration(it.PTS-v.since) > hopelessAfter/2) {
		v.started = true
		return false
	}
	if v.behind {
		v.o.stats.lost()
	}
	v.discont = true
	return true
}

// hopelessAfter is how much of a stream may pass without a picture.
const hopelessAfter = 10 * time.Second

// hopeless ends a stream of which nothing can be decoded, unless its source
// goes along.
func (v *video) hopeless(p sluice.Packet, cause error) error {
	if v.decoded || p.Track.Duration(p.PTS-v.since) < hopelessAfter {
		return nil
	}
	v.decoded = true // said once
	err := fmt.Errorf("transcode: track %d is announced as %q, but nothing in %v of it could be decoded: does the encoder send something else? %w",
		p.Track.ID, p.Track.Codec, hopelessAfter, orError(cause, errDamaged))
	if v.pass {
		v.o.ladder.Log.Warn("only the source itself is there", "error", err)
		return nil
	}
	return err
}

func orError(err, other error) error {
	if err == nil {
		return other
	}
	return err
}

// change makes ready for a new description of the track.
func (v *video) change(ctx context.Context, t *sluice.Track) error {
	old := v.in
	if old != nil && old.Era == t.Era && old.Maker == t.Maker && old.Codec == t.Codec && old.Timescale == t.Timescale && slices.Equal(old.Config, t.Config) {
		v.in = t
		return nil
	}
	if err := v.settle(ctx); err != nil {
		return err
	}
	v.closeAll()
	v.in, v.active, v.held, v.opened, v.failed = t, nil, nil, false, false
	v.waiting, v.inside = make(map[int64]stamp), make(map[int64]stamp)
	v.last, v.since, v.started, v.decoded = noPTS, noPTS, false, false
	return nil
}

// settle drains everything, so that what follows comes behind it.
func (v *video) settle(ctx context.Context) error {
	if v.in == nil {
		return nil
	}
	if err := v.drain(ctx); err != nil {
		return err
	}
	for _, o := range v.stamps.rest() {
		if err := v.open(ctx, o); err != nil {
			return err
		}
	}
	return v.toAll(ctx, task{drain: true})
}

func (v *video) drain(ctx context.Context) error {
	if v.dec != nil && len(v.waiting) > 0 {
		if err := v.dec.drain(func(f *astiav.Frame) error { return v.frame(ctx, f) }); err != nil {
			return err
		}
		clear(v.waiting)
		v.started = false
	}
	return v.flushGraph(ctx)
}

// flushGraph gets the frames out that the graph holds back; it ends it.
func (v *video) flushGraph(ctx context.Context) error {
	if v.graph == nil || !v.graph.delays {
		return nil
	}
	defer release(&v.graph)
	err := v.graph.push(nil, v.deliver(ctx))
	if errors.Is(err, errDamaged) {
		return nil
	}
	return err
}

// marker passes on a packet without data.
func (v *video) marker(ctx context.Context, p sluice.Packet) error {
	if err := v.openDecoder(p); err != nil {
		return err
	}
	first := v.last == noPTS && len(v.held) == 0 && !v.opened
	if !first {
		if err := v.drain(ctx); err != nil {
			return err
		}
	}
	for _, o := range v.stamps.rest() {
		if err := v.open(ctx, o); err != nil {
			return err
		}
	}
	v.stamps.last = max(v.stamps.last, p.Segment)
	v.segment = max(v.segment, p.Segment)
	if !v.opened {
		if len(v.held) < maxAhead {
			v.held = append(v.held, p)
		}
		if first {
			return nil // the frame that follows tells the size
		}
		return v.openDeclared(ctx)
	}
	if err := v.toAll(ctx, task{drain: true}); err != nil {
		return err
	}
	return v.toAll(ctx, task{marker: &p})
}

// open opens a segment that has no frame to open it.
func (v *video) open(ctx context.Context, o opening) error {
	v.segment = max(v.segment, o.segment)
	p := sluice.Packet{Track: v.in, DTS: o.pts, PTS: o.pts, Segment: o.segment}
	if !v.opened {
		if len(v.held) < maxAhead {
			v.held = append(v.held, p)
		}
		return nil
	}
	if err := v.toAll(ctx, task{drain: true}); err != nil {
		return err
	}
	return v.toAll(ctx, task{marker: &p})
}

// openDecoder opens it for the first packet of a track. Without a decoder the
// stream ends, or its source goes on alone.
func (v *video) openDecoder(p sluice.Packet) (err error) {
	if v.dec != nil || v.failed {
		return nil
	}
	v.since = p.PTS
	ts := int64(p.Track.Timescale)
	base := (p.PTS/ts - 3600) * ts // whole seconds, for the clock; an hour for what comes before
	if v.dec, err = openDecoder(p.Track, base, 0); err == nil {
		return nil
	}
	err = fmt.Errorf("transcode: track %d: %w", p.Track.ID, err)
	if !v.pass {
		return err
	}
	v.failed = true
	v.o.ladder.Log.Warn("only the source itself is there", "error", err)
	return nil
}

func (v *video) toAll(ctx context.Context, t task) error {
	for _, w := range v.active {
		if err := w.put(ctx, t); err != nil {
			return err
		}
	}
	return nil
}
