package mpegts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/sluice-live/sluice"
)

// Errors that end a Reader, wrapped with what to do.
var (
	// ErrFormat is input that is no transport stream, or one without a program.
	ErrFormat = errors.New("not an MPEG transport stream")
	// ErrScrambled is a transport stream whose media are encrypted.
	ErrScrambled = errors.New("the transport stream is scrambled")
)

// Bounds of a Reader, beside Config.MaxUnit.
const (
	maxStreams    = 16       // of a program; further ones are left out
	maxBefore     = 64 << 10 // bytes before the first packets in step
	maxUnmapped   = 4 << 20  // bytes before the first program map
	scrambledRun  = 16       // scrambled packets without a clear one: not one bit of damage
	maxComplaints = 32       // log lines
)

// Config sets up a Reader. The zero value works.
type Config struct {
	// MaxUnit is the largest PES packet without a length, in bytes; all those
	// that are incomplete may take twice as much together. Default 8 MiB: a key
	// frame of 4K video at 100 Mbit/s has about 2. A larger one is dropped, and
	// one of sound beyond 256 KiB.
	MaxUnit int
	// Log takes what is left out and why. Default: nothing is logged.
	Log *slog.Logger
}

// Stats are a Reader's counters.
type Stats struct {
	Bytes      uint64 // read, all told
	Packets    uint64 // transport packets, null packets included
	Lost       uint64 // transport packets missing by their continuity counters, modulo 16 at a time
	Duplicates uint64 // transport packets sent twice
	Resyncs    uint64 // times that packets were out of step
	CRCErrors  uint64 // tables
	Flagged    uint64 // transport packets marked as damaged, or contradicting themselves
	Damaged    uint64 // PES packets dropped: incomplete, too large or not valid
	Unusable   uint64 // units dropped: before their configuration, or not valid
}

type counters struct {
	bytes, packets, lost, duplicates, resyncs, crcErrors, flagged, damaged, unusable atomic.Uint64
}

// Reader is a transport stream as a Source. Its packets' clock is described in
// the package's documentation: Track.Timescale 90,000, raw time stamps of 33
// bits, Segment 0.
type Reader struct {
	cfg    Config
	pump   *pump
	tracks []*sluice.Track
	queue  []queued
	done   int
	err    error // final, behind the queue

	buf    []byte // not yet cut into packets, from at on
	at     int
	synced bool
	ended  bool
	seen   bool // packets in step have been

	demux
}

var _ sluice.Source = (*Reader)(nil)

// queued is a packet and the tracks there are once it is read.
type queued struct {
	sluice.Packet
	tracks []*sluice.Track
}

// NewReader returns a Reader that reads r, at once and ahead, by 64 KiB at
// most. The caller must Close it. That closes r if it is an io.Closer; if it is
// not, a Read under way ends when it ends.
func NewReader(r io.Reader, cfg Config) *Reader {
	out := newReader(cfg)
	out.pump = startPump(r)
	return out
}

// newReader returns one without a pump.
func newReader(cfg Config) *Reader {
	if cfg.MaxUnit <= 0 {
		cfg.MaxUnit = 8 << 20
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	out := &Reader{cfg: cfg}
	out.demux.r = out
	return out
}

// Tracks implements sluice.Source.
func (r *Reader) Tracks() []*sluice.Track { return r.tracks }

// Announced returns what the program map lists that the Reader reads; known is
// false until one has come. It may be called at any time.
func (r *Reader) Announced() (video, audio, known bool) {
	v := r.announced.Load()
	return v&1 != 0, v&2 != 0, v&4 != 0
}

// Stats returns the counters. It may be called at any time.
func (r *Reader) Stats() Stats {
	c := &r.counters
	return Stats{
		c.bytes.Load(), c.packets.Load(), c.lost.Load(), c.duplicates.Load(), c.resyncs.Load(),
		c.crcErrors.Load(), c.flagged.Load(), c.damaged.Load(), c.unusable.Load(),
	}
}

// ReadPacket implements sluice.Source.
func (r *Reader) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	if r.pump.isStopped() {
		return sluice.Packet{}, io.ErrClosedPipe
	}
	if err := ctx.Err(); err != nil {
		return sluice.Packet{}, err
	}
	for r.done == len(r.queue) {
		if r.err != nil {
			return sluice.Packet{}, r.err
		}
		r.queue, r.done = r.queue[:0], 0
		if b, ok := r.cut(); ok {
			r.packet(b)
		} else if err := r.fill(ctx); err != nil {
			return sluice.Packet{}, err
		}
	}
	q := r.queue[r.done]
	r.queue[r.done] = queued{}
	r.done++
	r.tracks = q.tracks
	return q.Packet, nil
}

// fail ends the Reader behind what is queued. The first error counts.
func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// fill takes more bytes from the pump.
func (r *Reader) fill(ctx context.Context) error {
	if r.err != nil { // what cut found
		return nil
	}
	c, err := r.pump.next(ctx)
	if err != nil {
		return err
	}
	r.take(c)
	r.pump.recycle(c)
	return nil
}

// take appends to what is to be cut into packets. If it is the last, all is
// dealt with.
func (r *Reader) take(c chunk) {
	r.counters.bytes.Add(uint64(len(c.b)))
	r.buf = append(r.buf[:copy(r.buf, r.buf[r.at:])], c.b...)
	r.at = 0
	if c.err == nil {
		return
	}
	r.ended = true
	for b, ok := r.cut(); ok; b, ok = r.cut() {
		r.packet(b)
	}
	switch {
	case c.err != io.EOF:
		r.fail(fmt.Errorf("mpegts: reading: %w", c.err))
	case !r.seen:
		r.fail(fmt.Errorf("mpegts: %w: it ended before two packets of 188 bytes in a row", ErrFormat))
	default:
		r.flush()
		r.fail(io.EOF)
	}
}

// cut returns the next transport packet of what has been read.
func (r *Reader) cut() ([]byte, bool) {
	for r.err == nil {
		b := r.buf[r.at:]
		if !r.synced {
			if !r.search(b) {
				break
			}
			continue
		}
		if len(b) < packetSize {
			break
		}
		if b[0] != syncByte { // and the packet before may have been cut short
			r.synced = false
			r.counters.resyncs.Add(1)
			r.suspect()
			continue
		}
		if len(b) > packetSize && b[packetSize] != syncByte {
			r.synced = false
			r.counters.resyncs.Add(1)
			r.at++
			continue
		}
		r.at += packetSize
		return b[:packetSize], true
	}
	return nil, false
}

// search looks for three packets in a row, or what the end leaves of them. It
// returns false if there are not enough bytes to tell.
func (r *Reader) search(b []byte) bool {
	i := bytes.IndexByte(b, syncByte)
	if i < 0 {
		i = len(b)
	}
	r.at += i
	b = b[i:]
	if !r.seen {
		if r.skipped += i; r.skipped > maxBefore {
			r.fail(fmt.Errorf("mpegts: %w: no packets of 188 bytes in its first %d bytes (set the encoder's format to MPEG-TS)", ErrFormat, maxBefore))
			return false
		}
	}
	switch {
	case len(b) <= 2*packetSize && !r.ended, len(b) < packetSize:
		return false
	case len(b) > packetSize && b[packetSize] != syncByte, len(b) > 2*packetSize && b[2*packetSize] != syncByte:
		r.at++
		r.skipped++
	default:
		r.synced, r.seen = true, true
	}
	return true
}

// Close implements sluice.Source.
func (r *Reader) Close() error { return r.pump.stop() }

// emit queues a packet.
func (r *Reader) emit(p sluice.Packet) {
	r.queue = append(r.queue, queued{p, r.known})
}

// announce makes t a track of the stream, if it is another one than it has.
func (r *Reader) announce(s *stream, t *sluice.Track, dts, pts int64) {
	if s.track != nil && s.track.Codec == t.Codec && bytes.Equal(s.track.Config, t.Config) {
		return
	}
	own := *t
	own.ID = s.id
	if own.Timescale != clockRate {
		own.FrameDur = sluice.Rescale(own.FrameDur, int64(own.Timescale), clockRate)
		own.Timescale = clockRate
	}
	s.track = &own
	known := slices.DeleteFunc(slices.Clone(r.known), func(k *sluice.Track) bool { return k.ID == own.ID })
	known = append(known, s.track)
	slices.SortFunc(known, func(a, b *sluice.Track) int { return int(a.ID) - int(b.ID) })
	r.known = known
	r.emit(sluice.Packet{Track: s.track, DTS: dts, PTS: pts})
}

// complain logs, so often.
func (r *Reader) complain(msg string, args ...any) {
	if r.complaints++; r.complaints <= maxComplaints {
		r.cfg.Log.Warn("mpegts: "+msg, args...)
	}
}
