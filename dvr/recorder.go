package dvr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/cmaf"
)

// recorder is one run of Consume.
type recorder struct {
	stream  *Stream
	st      *state
	policy  Policy
	queue   *queue
	lanes   map[uint32]*lane
	refused map[*sluice.Track]bool
	full    time.Time // when it was last said that the disk is slow

	// Of the disk's goroutine until it has ended:
	recording *Recording // that Policy.Keep makes
	keepErr   error
	last      time.Time // until when there is something recorded
}

// Consume records src until its end. It implements sluice.Sink.
//
// It fails with ErrBusy where the stream is being recorded already, here or by
// another process. It does not fail for the disk: what cannot be written is
// left out, counted and logged, and recording goes on when it can. It waits for
// the disk only at its end.
func (s *Stream) Consume(ctx context.Context, src sluice.Source) error {
	st, err := s.opened()
	if err != nil {
		return fmt.Errorf("dvr: record %q: %w", s.Name, err)
	}
	r, release, err := s.begin(st)
	if err != nil {
		return fmt.Errorf("dvr: record %q: %w", s.Name, err)
	}
	defer release()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(st.ctx, cancel)()

	d := newDisk(r)
	var disk sync.WaitGroup
	disk.Go(d.run)
	err = r.consume(ctx, src)
	r.finish(err == nil)
	r.queue.end()
	disk.Wait()
	r.endRecording(err == nil)
	if err != nil && st.ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return fmt.Errorf("dvr: record %q: %w", s.Name, ErrClosed)
	}
	return err
}

// begin makes this the stream's one recorder, until release.
func (s *Stream) begin(st *state) (r *recorder, release func(), err error) {
	limit := s.archive.Queue
	if limit <= 0 {
		limit = defaultQueue
	}
	r = &recorder{
		stream: s, st: st, policy: s.archive.policy(s.Name), queue: newQueue(limit),
		lanes: map[uint32]*lane{}, refused: map[*sluice.Track]bool{},
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.ctx.Err() != nil {
		return nil, nil, ErrClosed
	}
	if st.recording[s.Name] != nil {
		return nil, nil, fmt.Errorf("%w: one in this process", ErrBusy)
	}
	if err := s.archive.mounted(st); err != nil {
		return nil, nil, err
	}
	f, err := s.acquire()
	if err != nil {
		return nil, nil, err
	}
	st.recording[s.Name] = r
	st.running.Add(1)
	return r, func() {
		st.mu.Lock()
		delete(st.recording, s.Name)
		st.mu.Unlock()
		f.Close()
		st.running.Done()
	}, nil
}

func (r *recorder) consume(ctx context.Context, src sluice.Source) error {
	for {
		p, err := src.ReadPacket(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if p.Track == nil {
			continue
		}
		l := r.lanes[p.Track.ID]
		if l == nil {
			l = &lane{rec: r}
			l.pack.Out = l
			r.lanes[p.Track.ID] = l
		}
		l.take(p)
	}
}

// finish ends the open segments: at the source's end they are complete.
func (r *recorder) finish(complete bool) {
	for _, l := range r.lanes {
		if complete {
			_ = l.pack.Flush() // never fails
		} else {
			l.stop()
		}
	}
}

// refuse logs, once, that something cannot be recorded.
func (r *recorder) refuse(t *sluice.Track, err error) {
	r.stream.archive.metrics.refused.Add(1)
	if !r.refused[t] && len(r.refused) < 64 {
		r.refused[t] = true
		r.stream.archive.log().Warn("dvr: packets are left out", "stream", r.stream.Name, "track", t.ID, "codec", t.Codec, "err", err)
	}
}

// slow says, now and then, that the disk does not keep up.
func (r *recorder) slow(s sluice.Segment) {
	if now := time.Now(); now.Sub(r.full) > 10*time.Second {
		r.full = now
		r.stream.archive.log().Error("dvr: the disk does not keep up, segments are left out", "stream", r.stream.Name, "track", s.Track.ID, "segment", s.Number)
	}
}

// stamp is what a moof does not say of a sample.
type stamp struct {
	dts, dur int64
	discont  bool
}

// lane is the way of one track's packets to the queue.
type lane struct {
	rec     *recorder
	pack    cmaf.Packager
	pending []stamp // of packets that are in no part yet
	seg     sluice.Segment
	open    bool  // the segment is recorded
	lost    bool  // some of it found no room
	end     int64 // until where there is media
}

var _ cmaf.Handler = (*lane)(nil)

func (l *lane) take(p sluice.Packet) {
	if p.Data != nil {
		if len(l.pending) >= maxSamples { // the packager has not begun
			l.pending = l.pending[:0]
		}
		l.pending = append(l.pending, stamp{p.DTS, p.Dur, p.Discont})
	}
	if err := l.pack.Write(p); err != nil {
		if p.Data != nil && len(l.pending) > 0 {
			l.pending = l.pending[:len(l.pending)-1]
		}
		l.rec.refuse(p.Track, err)
	}
}

// OpenSegment implements cmaf.Handler.
func (l *lane) OpenSegment(s sluice.Segment) {
	l.seg, l.end, l.lost = s, s.Start, false
	l.open = !l.rec.st.isPaused(l.rec.stream.Name) && l.rec.policy.records(s.Track.Time(s.Start))
	if l.open && !l.rec.queue.push(event{kind: opened, seg: s}) {
		l.open = false
		l.rec.stream.archive.metrics.gap(gapQueue)
		l.rec.slow(s)
	}
}

// ClosePart implements cmaf.Handler.
func (l *lane) ClosePart(p cmaf.Part) {
	f, err := cmaf.ParseFragment(p.Data)
	if err != nil {
		l.lost = true // not of this packager's making
		l.rec.refuse(p.Track, err)
		return
	}
	part := partOf(&f, l.seg.Size, p.Data)
	l.restamp(part.Samples)
	for i := range part.Samples {
		l.end = max(l.end, part.Samples[i].PTS+part.Samples[i].Dur)
	}
	l.seg.Size += part.Size
	l.seg.Independent = l.seg.Independent || p.Index == 0 && p.Independent
	if l.open && !l.lost && !l.rec.queue.push(event{kind: partDone, seg: l.seg, part: part, data: p.Data}) {
		l.lost = true
		l.rec.slow(l.seg)
	}
}

// restamp gives samples what their packets said and their moof does not.
func (l *lane) restamp(samples []Sample) {
	next := 0
	for i := range samples {
		s := &samples[i]
		for next < len(l.pending) && l.pending[next].dts < s.DTS {
			next++
		}
		if next < len(l.pending) && l.pending[next].dts == s.DTS {
			s.Dur, s.Discont = l.pending[next].dur, l.pending[next].discont
			next++
		}
	}
	l.pending = append(l.pending[:0], l.pending[next:]...)
}

// CloseSegment implements cmaf.Handler.
func (l *lane) CloseSegment(s sluice.Segment) {
	if !l.open {
		return
	}
	if s.Dur <= 0 && !s.Gap { // the next one begins before it: the clock was set back
		s.Dur = l.end - s.Start
	}
	e := event{kind: closed, seg: s}
	if l.lost {
		e.kind = lost
		l.rec.stream.archive.metrics.gap(gapQueue)
	} else if s.Gap {
		l.rec.stream.archive.metrics.gap(gapSource)
	}
	l.rec.queue.push(e)
	l.open = false
}

// stop ends an open segment that is not complete.
func (l *lane) stop() {
	if !l.open {
		return
	}
	s := l.seg
	s.Dur = l.end - s.Start
	e := event{kind: stopped, seg: s}
	if l.lost || s.Dur <= 0 {
		e.kind = dropped
	}
	l.rec.queue.push(e)
	l.open = false
}
