package transcode

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-live/sluice"
)

// Stats describe a running ladder, since its start.
type Stats struct {
	Name string
	// Speed is the media decoded a second of the decoder's and scaler's time:
	// below 1 the machine cannot keep up.
	Speed float64
	// QueuedPackets and QueuedBytes wait to be decoded.
	QueuedPackets, QueuedBytes int
	// Damaged packets could not be decoded; Lost were not, or their pictures
	// came out of order.
	Damaged, Lost uint64
	// Restarts of an isolated or remote ladder's worker after it failed; Missed
	// packets of the source did not reach one, because it was away too long.
	Restarts, Missed uint64
	Renditions       []RenditionStats
}

// RenditionStats describe one rendition of the picture.
type RenditionStats struct {
	Name    string
	Encoder string // in use; "" where the source is too small for the rendition
	Frames  uint64 // encoded
	Bytes   uint64
	Dropped uint64        // frames, because the machine could not keep up
	Encode  time.Duration // in the encoder, summed over frames
	Delay   time.Duration // of the newest picture, from the packet's arrival to its own
}

// FPS is the mean of frames a second that the encoder could do.
func (s RenditionStats) FPS() float64 {
	if s.Encode <= 0 {
		return 0
	}
	return float64(s.Frames) / s.Encode.Seconds()
}

type renditionCounters struct {
	frames, bytes, dropped atomic.Uint64
	encode, delay          atomic.Int64
	encoder                atomic.Pointer[string]
}

func (c *renditionCounters) encoded(d time.Duration) { c.encode.Add(int64(d)) }

func (c *renditionCounters) out(bytes int, delay time.Duration) {
	c.frames.Add(1)
	c.bytes.Add(uint64(bytes))
	c.delay.Store(int64(delay))
}

type counters struct {
	damagedCount, lostCount atomic.Uint64
	decoding                atomic.Int64 // time spent
	media                   atomic.Int64 // of video that arrived
	saidOverload            atomic.Bool
	saidDamaged             atomic.Bool
	saidGPU                 atomic.Bool
}

func newCounters(Ladder) *counters { return &counters{} }

func (c *counters) in(p sluice.Packet) {
	if p.Track.Kind == sluice.Video && p.Data != nil {
		c.media.Add(int64(p.Track.Duration(p.Dur)))
	}
}

func (c *counters) decode(d time.Duration) { c.decoding.Add(int64(d)) }

func (c *counters) lost() { c.lostCount.Add(1) }

// damaged counts a packet that cannot be decoded; the first is logged.
func (c *counters) damaged(log *slog.Logger, t *sluice.Track, err error) {
	c.damagedCount.Add(1)
	if c.saidDamaged.CompareAndSwap(false, true) {
		log.Warn("part of the stream cannot be decoded", "track", t.ID, "error", err)
	}
}

// noGPU logs, once, that the CPU encodes what a GPU was wanted for; cause is
// nil where the build knows of none.
func (c *counters) noGPU(log *slog.Logger, encoder string, cause error) {
	if c.saidGPU.CompareAndSwap(false, true) {
		log.Warn("no GPU encodes, the CPU does", "encoder", encoder, "error", cause)
	}
}

// overload logs, once, that the machine cannot keep up.
func (c *counters) overload(log *slog.Logger, what string, args ...any) {
	if c.saidOverload.CompareAndSwap(false, true) {
		log.Warn("frames are dropped: the machine "+what, args...)
	}
}

// Monitor lists the ladders that were started with it. The zero value is ready.
type Monitor struct {
	mu      sync.Mutex
	running []measured
}

// measured is a ladder that runs, here or elsewhere.
type measured interface{ snapshot() Stats }

func (m *Monitor) add(o measured) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running = append(m.running, o)
}

func (m *Monitor) remove(o measured) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running = slices.DeleteFunc(m.running, func(r measured) bool { return r == o })
}

// Stats returns the figures of every ladder that runs, in the order of their
// starts.
func (m *Monitor) Stats() []Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Stats
	for _, o := range m.running {
		all = append(all, o.snapshot())
	}
	return all
}

func (o *output) snapshot() Stats {
	s := Stats{Name: o.ladder.Name, Damaged: o.stats.damagedCount.Load(), Lost: o.stats.lostCount.Load()}
	if d := o.stats.decoding.Load(); d > 0 {
		s.Speed = float64(o.stats.media.Load()) / float64(d)
	}
	s.QueuedPackets, s.QueuedBytes = o.video.queue.length()
	for _, w := range o.video.workers {
		r := RenditionStats{
			Name:   w.rendition.name(size{h: w.rendition.Height, w: max(w.rendition.Width, w.rendition.Height)}),
			Frames: w.stats.frames.Load(), Bytes: w.stats.bytes.Load(), Dropped: w.stats.dropped.Load(),
			Encode: time.Duration(w.stats.encode.Load()), Delay: time.Duration(w.stats.delay.Load()),
		}
		if name := w.stats.encoder.Load(); name != nil {
			r.Encoder = *name
		}
		s.Renditions = append(s.Renditions, r)
	}
	return s
}
