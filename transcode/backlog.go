package transcode

import (
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
)

// Bounds of what is kept of the source for a worker that has to begin again. A
// segment lasts up to 2T, 8 s: this is two, a stall, and time to catch up.
const (
	backlogSpan  = 40 * time.Second
	backlogBytes = 128 << 20
	aheadSpan    = 10 * time.Second // of a worker, that a source faster than its clock may get
	aheadBytes   = backlogBytes / 4
	earlySpan    = 5 * time.Second        // by which a live source may be early
	preroll      = 200 * time.Millisecond // of sound, for decoder and encoder to get going
)

// backlog keeps the newest of a source in a ring, with the places where a
// worker may begin.
type backlog struct {
	stream sluice.Stream

	mu      sync.Mutex
	next    uint64 // number of the packet to be written
	bytes   uint64 // written
	marks   []mark // in order
	segment map[uint32]uint64
	head    time.Time // of the newest packet
	fed     time.Time // of the newest that a worker was given
	fedSize uint64    // value of bytes when it was written, about
	room    chan struct{}

	wall, media time.Time // of the era's first packet
	era         uint32
}

// mark is a packet with which a worker may begin.
type mark struct {
	packet uint64
	kind   sluice.Kind
	at     time.Time
	first  map[uint32]time.Time // of each track, at or behind it
}

func newBacklog() *backlog {
	b := &backlog{segment: make(map[uint32]uint64), room: make(chan struct{}, 1)}
	b.stream.Window, b.stream.MaxBytes = backlogSpan, backlogBytes
	b.marks = []mark{{first: map[uint32]time.Time{}}}
	return b
}

// write adds a packet of the source. A source ahead of its own clock waits for
// the worker, a patient one always.
func (b *backlog) write(ctx context.Context, p sluice.Packet, patient bool) error {
	at := p.Track.Time(p.DTS)
	if b.wall.IsZero() || p.Track.Era != b.era {
		b.wall, b.media, b.era = time.Now(), at, p.Track.Era
	}
	due := b.wall.Add(at.Sub(b.media) - earlySpan)
	for b.full(at) && (patient || time.Now().Before(due)) {
		if err := b.wait(ctx, due, patient); err != nil {
			return err
		}
	}
	b.note(p, at)
	return b.stream.Write(ctx, p)
}

func (b *backlog) full(at time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.fed.IsZero() && at.Sub(b.fed) > aheadSpan || b.bytes-b.fedSize > aheadBytes
}

func (b *backlog) wait(ctx context.Context, due time.Time, patient bool) error {
	var late <-chan time.Time
	if !patient {
		t := time.NewTimer(time.Until(due))
		defer t.Stop()
		late = t.C
	}
	select {
	case <-b.room:
	case <-late:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// note keeps the books of a packet about to be written.
func (b *backlog) note(p sluice.Packet, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := p.Track.ID
	if p.Data != nil {
		if b.mayBegin(p, at) {
			b.marks = append(b.marks, mark{b.next, p.Track.Kind, at, map[uint32]time.Time{}})
		}
		b.segment[id] = p.Segment
		for i := range b.marks {
			if _, ok := b.marks[i].first[id]; !ok {
				b.marks[i].first[id] = p.Track.Time(p.PTS)
			}
		}
	}
	b.next++
	b.bytes += uint64(len(p.Data))
	b.head = at
	if b.fed.IsZero() {
		b.fed = at
	}
	b.trim()
}

// mayBegin reports whether a worker may begin with a packet: the key frame that
// opens a segment, and others a second apart; mu is held.
func (b *backlog) mayBegin(p sluice.Packet, at time.Time) bool {
	if p.Track.Kind == sluice.Video && !p.Key || p.Track.Kind != sluice.Video && p.Track.Kind != sluice.Audio {
		return false
	}
	if p.Segment > b.segment[p.Track.ID] {
		return true
	}
	for _, m := range slices.Backward(b.marks) {
		if m.kind == p.Track.Kind {
			return at.Sub(m.at) >= time.Second
		}
	}
	return true
}

const maxMarks = 512

// trim forgets marks that the ring has lost; mu is held.
func (b *backlog) trim() {
	st := b.stream.Stats()
	first := st.Packets - uint64(st.HeldPackets)
	b.marks = slices.DeleteFunc(b.marks, func(m mark) bool { return m.packet < first })
	if n := len(b.marks) - maxMarks; n > 0 {
		b.marks = slices.Delete(b.marks, 0, n)
	}
}

// gave notes that a worker was given a packet.
func (b *backlog) gave(p sluice.Packet) {
	b.mu.Lock()
	b.fed = p.Track.Time(p.DTS)
	b.fedSize = min(b.bytes, b.fedSize+uint64(len(p.Data)))
	b.mu.Unlock()
	poke(b.room)
}

// begin says that a worker is given the packets from number on.
func (b *backlog) begin(number uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if number >= b.next { // what is before it will never be fed
		b.fed, b.fedSize = b.head, b.bytes
	}
	poke(b.room)
}

// missing is where a track of the source goes on that renditions are made of.
type missing struct {
	track uint32
	at    time.Time
}

// start returns the newest mark behind which nothing is missing, or the oldest;
// ok is false where there is none. Of pictures it is one of video.
func (b *backlog) start(need []missing, video bool) (number uint64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trim()
	for i, m := range slices.Backward(b.marks) {
		usable := m.kind == sluice.Video || !video || m.packet == 0
		if usable {
			number, ok = m.packet, true
		}
		if usable && len(need) > 0 && b.marks[i].covers(need) {
			return number, true
		}
	}
	return number, ok
}

func (m *mark) covers(need []missing) bool {
	return !slices.ContainsFunc(need, func(n missing) bool {
		first, ok := m.first[n.track]
		return ok && first.After(n.at)
	})
}

// feed is the Source that one worker is given.
type feed struct {
	*sluice.Subscriber
	d        *detached
	announce bool // begin with an announcement
	held     sluice.Packet
	holding  bool
}

// ReadPacket implements sluice.Source. A source that fails is complete for the
// worker: what there is of it is to be finished.
func (f *feed) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	if f.holding {
		f.holding = false
		return f.held, nil
	}
	p, err := f.Subscriber.ReadPacket(ctx)
	if err != nil {
		if f.d.backlog.stream.Ended() && ctx.Err() == nil {
			f.d.progress.close()
			return p, io.EOF
		}
		return p, err
	}
	f.d.gave(p)
	if f.announce && p.Track.Kind == sluice.Video {
		f.announce = false
		if p.Data != nil && p.Segment != 0 {
			f.held, f.holding = p, true
			return sluice.Packet{Track: p.Track, DTS: p.DTS, PTS: p.PTS, Segment: p.Segment, Discont: p.Discont}, nil
		}
	}
	return p, nil
}

// Next and Buffered count the packet that is held behind its announcement.
func (f *feed) Next() uint64 {
	if f.holding {
		return f.Subscriber.Next() - 1
	}
	return f.Subscriber.Next()
}

// Buffered returns how many packets can be had without waiting.
func (f *feed) Buffered() int {
	if f.holding {
		return f.Subscriber.Buffered() + 1
	}
	return f.Subscriber.Buffered()
}

// RequestKey asks the detached ladder's source.
func (f *feed) RequestKey(track uint32) bool { return sluice.RequestKey(f.d.src, track) }

var (
	_ sluice.Source       = (*feed)(nil)
	_ sluice.KeyRequester = (*feed)(nil)
)
