package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

const (
	settleTime   = 2 * time.Second
	fanoutWindow = 16 * time.Second // a whole clip: its halves differ in size
	watchers     = 4                // players that measure, among those that discard: each wakes up for every packet
	joins        = 12
)

// watch is a player that measures the delay of every frame.
type watch struct {
	conn   *conn
	record *atomic.Bool
	delays []float64 // milliseconds
	done   chan struct{}
}

func startWatch(ctx context.Context, s *server, name string, record *atomic.Bool) (*watch, error) {
	c, err := dial(ctx, s.rtmp, s.playApp)
	if err != nil {
		return nil, err
	}
	err = c.play(name)
	if err == nil {
		c.arrived, err = newArrivals(c.TCPConn)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	w := &watch{conn: c, record: record, done: make(chan struct{})}
	go w.run()
	return w, nil
}

func (w *watch) run() {
	defer close(w.done)
	for {
		m, err := w.conn.in.read()
		if err != nil {
			return // closed by stop, or by the server, which the missing bytes show
		}
		if m.kind != tagAudio && m.kind != tagVideo || !w.record.Load() {
			continue
		}
		if sent, ok := stampOf(m); ok {
			w.delays = append(w.delays, float64(w.conn.arrived.newest-sent)/1e6)
		}
	}
}

func (w *watch) stop() []float64 {
	w.conn.Close()
	<-w.done
	return w.delays
}

// fanoutFigures are of one server in one round.
type fanoutFigures struct {
	cpuPerGbit, share float64
	delays, joins     []float64 // milliseconds
}

// fanout measures one publisher and many players.
func fanout(ctx context.Context, launch launcher, c *clip, players int) (f fanoutFigures, err error) {
	s, err := launch(ctx)
	if err != nil {
		return f, err
	}
	defer s.stop()
	p, err := startPublisher(ctx, s.rtmp, "live", "bench", c)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := sleepUntil(ctx, time.Now().Add(time.Second)); err != nil { // so that there is something to play
		return f, err
	}
	a := audience{record: &atomic.Bool{}}
	defer a.stop()
	if err := a.join(ctx, s, players); err != nil {
		return f, fmt.Errorf("%d players: %w", players, err)
	}
	if err := f.window(ctx, s, c, &a, players); err != nil {
		return f, err
	}
	f.joins, err = measureJoins(ctx, s)
	return f, err
}

// audience is all players of a stream.
type audience struct {
	crowds   []*crowd
	watching []*watch
	record   *atomic.Bool
}

// join has n players join. Servers write to them in the order in which they
// came, or, as nginx does, in the opposite one: those that measure come in the
// middle.
func (a *audience) join(ctx context.Context, s *server, n int) error {
	half := (n - watchers) / 2
	if err := a.crowd(ctx, s, half); err != nil {
		return err
	}
	for range watchers {
		w, err := startWatch(ctx, s, "bench", a.record)
		if err != nil {
			return err
		}
		a.watching = append(a.watching, w)
	}
	return a.crowd(ctx, s, n-watchers-half)
}

func (a *audience) crowd(ctx context.Context, s *server, n int) error {
	c, err := startCrowd(ctx, s.rtmp, s.playApp, "bench", n)
	if err == nil {
		a.crowds = append(a.crowds, c)
	}
	return err
}

// bytes returns what all have received.
func (a *audience) bytes() (total int64, err error) {
	for _, w := range a.watching {
		total += w.conn.bytes.Load()
	}
	for _, c := range a.crowds {
		n, err := c.bytes()
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// leave ends those that measure, and returns the delays they saw.
func (a *audience) leave() (delays []float64) {
	for _, w := range a.watching {
		delays = append(delays, w.stop()...)
	}
	a.watching = nil
	return delays
}

func (a *audience) stop() {
	a.leave()
	for _, c := range a.crowds {
		c.stop()
	}
}

func (f *fanoutFigures) window(ctx context.Context, s *server, c *clip, a *audience, players int) error {
	defer func() { f.delays = a.leave() }()
	count := func() (bytes int64, cpu float64, err error) {
		if bytes, err = a.bytes(); err != nil {
			return 0, 0, err
		}
		cpu, err = s.cpu()
		return bytes, cpu, err
	}
	if err := sleepUntil(ctx, time.Now().Add(settleTime)); err != nil {
		return err
	}
	a.record.Store(true)
	defer a.record.Store(false)
	start := time.Now()
	bytesBefore, cpuBefore, err := count()
	if err != nil {
		return err
	}
	if err := sleepUntil(ctx, start.Add(fanoutWindow)); err != nil {
		return err
	}
	bytesAfter, cpuAfter, err := count()
	if err != nil {
		return err
	}
	gbit := float64(bytesAfter-bytesBefore) * 8 / 1e9
	f.cpuPerGbit = (cpuAfter - cpuBefore) / gbit
	f.share = gbit * 1e9 / (c.bitRate() * time.Since(start).Seconds() * float64(players)) * 100
	return nil
}

// bitRate returns the mean bits a second of a clip.
func (c *clip) bitRate() float64 {
	total := 0
	for _, t := range c.media {
		total += len(t.wire)
	}
	return float64(total) * 8 / (float64(c.length) / 1000)
}

// measureJoins lets players come one after the other, at different places of
// the group of pictures, and returns the milliseconds from the begin of each
// connection to its first key frame.
func measureJoins(ctx context.Context, s *server) (times []float64, err error) {
	for i := range joins {
		start := time.Now()
		c, err := dial(ctx, s.rtmp, s.playApp)
		if err != nil {
			return nil, err
		}
		err = awaitKeyFrame(c, "bench")
		times = append(times, time.Since(start).Seconds()*1000)
		c.Close()
		if err != nil {
			return nil, fmt.Errorf("joining player: %w", err)
		}
		// The player before may have waited for a key frame: so many parts of
		// the two seconds after it.
		if err := sleepUntil(ctx, time.Now().Add(time.Duration(i)*2*time.Second/joins)); err != nil {
			return nil, err
		}
	}
	return times, nil
}

func awaitKeyFrame(c *conn, name string) error {
	if err := c.play(name); err != nil {
		return err
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	for {
		m, err := c.in.read()
		if err != nil {
			return err
		}
		if m.kind == tagVideo && len(m.body) > 1 && m.body[0]>>4 == 1 && m.body[1] == 1 {
			return nil
		}
	}
}

// benchFanout is the first group of figures.
func benchFanout(ctx context.Context, o options, r results) error {
	return o.eachRound(func(name string, launch launcher) error {
		many, err := fanout(ctx, launch, o.clip720, o.Players)
		if err != nil {
			return err
		}
		r.add(fanoutCPU, name, many.cpuPerGbit)
		r.add(fanoutWhole, name, many.share)
		r.add(delayMedian, name, quantile(many.delays, 0.5))
		r.add(delayP99, name, quantile(many.delays, 0.99))
		if name == "sluice" {
			bare, err := floor(ctx, o.clip720, o.Players)
			if err != nil {
				return fmt.Errorf("bare writes: %w", err)
			}
			r.add(delayBare, name, quantile(many.delays, 0.5))
			r.add(delayBare, bareWrites, quantile(bare, 0.5))
		}
		few, err := fanout(ctx, launch, o.clip720, 20)
		if err != nil {
			return err
		}
		r.add(fewMedian, name, quantile(few.delays, 0.5))
		r.add(fewP99, name, quantile(few.delays, 0.99))
		r.add(joinMedian, name, quantile(few.joins, 0.5))
		r.add(joinWorst, name, quantile(few.joins, 1))
		return nil
	})
}
