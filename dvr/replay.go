package dvr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-live/sluice"
)

// Replay returns what was recorded of [from, to) as packets again, stamped as
// they were, all tracks merged by their DTS, at the speed of the reader; Paced
// slows them down. Each track begins with the announcement of the segment that
// holds from, so that a packager makes the very segments again; Gaps are
// watermarks. It ends at to or, if that is earlier, with the last segment that
// is complete when the reader comes to it.
//
// It holds one part of each track in memory. It implements sluice.Recorder.
func (s *Stream) Replay(ctx context.Context, from, to time.Time) (sluice.Source, error) {
	st, err := s.opened()
	if err == nil {
		err = ctx.Err()
	}
	var ids []uint32
	if err == nil {
		ids, err = s.trackIDs()
	}
	if err != nil {
		return nil, fmt.Errorf("dvr: replay %q: %w", s.Name, err)
	}
	r := &replay{}
	for _, id := range ids {
		r.lanes = append(r.lanes, &playLane{stream: s, st: st, id: id, from: from, to: to})
	}
	return r, nil
}

// replay is the Source that Replay returns.
type replay struct {
	mu     sync.Mutex // held by the reader
	closed atomic.Bool
	lanes  []*playLane
	tracks []*sluice.Track
}

var _ sluice.Source = (*replay)(nil)

// Tracks implements sluice.Source.
func (r *replay) Tracks() []*sluice.Track { return r.tracks }

// ReadPacket implements sluice.Source.
func (r *replay) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed.Load() {
		return sluice.Packet{}, io.ErrClosedPipe
	}
	if err := ctx.Err(); err != nil {
		return sluice.Packet{}, err
	}
	var next *playLane
	for _, l := range r.lanes {
		if err := l.fill(ctx); err != nil {
			return sluice.Packet{}, err
		}
		if len(l.out) > 0 && (next == nil || l.at().Before(next.at())) {
			next = l
		}
	}
	if next == nil {
		return sluice.Packet{}, io.EOF
	}
	p := next.out[0]
	next.out[0] = sluice.Packet{}
	next.out = next.out[1:]
	r.note(p.Track)
	return p, nil
}

func (r *replay) note(t *sluice.Track) {
	for i, old := range r.tracks {
		if old == t {
			return
		}
		if old.ID == t.ID {
			r.tracks = append([]*sluice.Track(nil), r.tracks...)
			r.tracks[i] = t
			return
		}
	}
	r.tracks = append(r.tracks[:len(r.tracks):len(r.tracks)], t)
}

// Close implements sluice.Source.
func (r *replay) Close() error {
	if r.closed.Swap(true) {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lanes {
		l.leave()
	}
	return nil
}

// playLane plays one track.
type playLane struct {
	stream   *Stream
	st       *state
	id       uint32
	from, to time.Time

	placed  bool // seg is one that was come to
	begun   bool // and something of it was played
	ended   bool
	segs    []found // the next of the hour that was looked at last
	seg     found   // being played
	r       *Reader // its bytes
	parts   []Part  // its parts, of which next is due
	next    int
	track   *sluice.Track
	last    uint64 // number of the segment before
	dts     int64  // of the newest packet
	end     int64  // until where its media lasts
	missing bool   // something between it and the next was lost
	out     []sluice.Packet
}

// at is the time of the next packet.
func (l *playLane) at() time.Time { return l.out[0].Track.Time(l.out[0].DTS) }

// fill makes packets until there is one, or the track has ended.
func (l *playLane) fill(ctx context.Context) error {
	for len(l.out) == 0 && !l.ended {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := l.step(ctx); err != nil {
			return fmt.Errorf("dvr: replay %q: %w", l.stream.Name, err)
		}
	}
	return nil
}

func (l *playLane) step(ctx context.Context) error {
	switch {
	case l.r != nil && l.next < len(l.parts):
		return l.part()
	case l.r != nil:
		l.leave()
		l.close()
		return nil
	}
	f, ok, err := l.advance(ctx)
	if err != nil {
		return err
	}
	if !ok {
		l.ended = true
		return nil
	}
	return l.enter(f)
}

// advance returns the next segment. It looks for some at once, but no further
// than the next hour.
func (l *playLane) advance(ctx context.Context) (f found, ok bool, err error) {
	if len(l.segs) == 0 {
		from := l.from
		if l.placed {
			from = l.seg.Track.Time(l.seg.Start + max(l.seg.Dur, 1)).Add(-time.Nanosecond)
		}
		err = l.stream.walk(ctx, l.st, l.id, from, l.to, func(f found) bool {
			if l.placed && (f.blob == l.seg.blob && f.i <= l.seg.i || f.Number == l.seg.Number) {
				return true
			}
			l.segs = append(l.segs, f)
			return f.blob == l.segs[0].blob
		})
		if err != nil || len(l.segs) == 0 {
			return found{}, false, err
		}
	}
	f = l.segs[0]
	l.segs = l.segs[1:]
	return f, true, nil
}

// enter opens a segment.
func (l *playLane) enter(f found) error {
	l.placed, l.seg = true, f
	if l.begun && f.Number < l.last {
		return nil // numbers went back, and those above were played
	}
	if err := l.load(); err != nil {
		return err
	}
	first := !l.begun
	if first && len(l.parts) > 0 && l.before() {
		l.leave()
		return nil
	}
	l.missing = l.missing || l.begun && f.Number > l.last+1
	l.begun, l.last = true, f.Number
	l.describe(f.Track)
	if l.r == nil || first || l.parts[0].Samples[0].PTS != f.Start {
		l.announce()
	}
	if l.r == nil && !l.ended { // until when it lasts, should another era follow
		l.push(sluice.Packet{Track: l.track, DTS: l.dts, PTS: f.Start + f.Dur, Segment: f.Number})
	}
	return nil
}

// load opens the segment's media; where it is not well, it is missing.
func (l *playLane) load() (err error) {
	l.parts, l.next = nil, 0
	if l.seg.Gap {
		return nil
	}
	if l.r, err = l.stream.open(l.seg); err == nil {
		l.parts, err = l.r.parts()
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrDamaged) || errors.Is(err, ErrFormat) {
		l.leave()
		l.parts, l.missing, err = nil, true, nil
	}
	return err
}

// before reports whether all of the segment's frames are shown before from: it
// holds from only because its last one lasts.
func (l *playLane) before() bool {
	for i := range l.parts {
		for _, s := range l.parts[i].Samples {
			if !l.seg.Track.Time(s.PTS).Before(l.from) {
				return false
			}
		}
	}
	return true
}

// describe takes a new description of the track, unless it says the same.
func (l *playLane) describe(t *sluice.Track) {
	if l.track != nil && l.track != t {
		if same, err := sameTrack(l.track, t); err == nil && same {
			return
		}
		l.dts, l.end = 0, 0
	}
	l.track = t
}

func sameTrack(a, b *sluice.Track) (bool, error) {
	x, err := trackBody(0, a)
	if err != nil {
		return false, err
	}
	y, err := trackBody(0, b)
	return string(x) == string(y), err
}

// announce says that a segment has begun, where no media does so first: it
// begins at its PTS, and what follows has no smaller DTS.
func (l *playLane) announce() {
	p := sluice.Packet{Track: l.track, DTS: l.seg.Start, PTS: l.seg.Start, Segment: l.seg.Number}
	if l.r != nil && len(l.parts) > 0 {
		p.DTS = min(p.DTS, l.parts[0].Samples[0].DTS)
	} else if l.end > 0 {
		p.DTS = min(p.DTS, l.end)
	}
	p.DTS = max(p.DTS, l.dts)
	l.push(p)
}

// push takes a packet that is before to.
func (l *playLane) push(p sluice.Packet) {
	if !l.track.Time(p.DTS).Before(l.to) {
		l.ended = true
		l.leave()
		return
	}
	if l.missing {
		p.Discont, l.missing = true, false
	}
	l.dts = p.DTS
	l.out = append(l.out, p)
}

// part reads the next part.
func (l *playLane) part() error {
	p := &l.parts[l.next]
	l.next++
	b := make([]byte, p.Size)
	if _, err := l.r.f.ReadAt(b, l.r.entry.off+p.Offset); err != nil {
		return err
	}
	if checksum(b) != p.crc {
		l.missing = true
		l.stream.archive.metrics.damaged.Add(1)
		return nil
	}
	l.out = l.out[:0:0]
	for i := range p.Samples {
		s := &p.Samples[i]
		if l.ended {
			break
		}
		at := s.Offset - p.Offset
		l.push(sluice.Packet{
			Track: l.track, DTS: s.DTS, PTS: s.PTS, Dur: s.Dur, Segment: l.seg.Number, Key: s.Key, Discont: s.Discont,
			Data: b[at : at+s.Size : at+s.Size],
		})
		l.end = s.DTS + s.Dur
	}
	return nil
}

// close says until when the segment lasted, where its media does not: after it
// come another era, or nothing.
func (l *playLane) close() {
	end, media := l.seg.Start+l.seg.Dur, int64(0)
	for i := range l.parts {
		for _, s := range l.parts[i].Samples {
			media = max(media, s.PTS+s.Dur)
		}
	}
	if end > media && !l.ended && !l.missing {
		l.push(sluice.Packet{Track: l.track, DTS: l.dts, PTS: end, Segment: l.seg.Number})
	}
}

func (l *playLane) leave() {
	if l.r != nil {
		_ = l.r.Close() // only read from
		l.r = nil
	}
}
