package sluice_test

import (
	"context"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// model is a Stream that forgets nothing and looks everything up anew. What
// the ring has lost it takes from the Stream under test, whose bounds are
// checked on their own.
type model struct {
	log    []sluice.Packet
	opened []bool // which of them opens a segment
	first  int    // the oldest that is held
}

func (m *model) write(p sluice.Packet) {
	m.opened = append(m.opened, m.opens(p))
	m.log = append(m.log, p)
}

// opens says by its definition whether the next packet opens a segment.
func (m *model) opens(p sluice.Packet) bool {
	last, found := uint64(0), false
	for _, old := range m.log {
		if old.Track.ID == p.Track.ID {
			last, found = max(last, old.Segment), true
		}
	}
	if !found {
		return p.Data == nil && p.Segment != 0
	}
	return p.Segment > last
}

func isKey(p sluice.Packet) bool { return p.Track.Kind == sluice.Video && p.Key && p.Data != nil }

// newest returns the newest held packet of a track that has a property, or -1.
func (m *model) newest(track uint32, has func(i int) bool) int {
	for i := len(m.log) - 1; i >= m.first; i-- {
		if m.log[i].Track.ID == track && has(i) {
			return i
		}
	}
	return -1
}

func (m *model) tracks() (ids []uint32) {
	for _, p := range m.log {
		if !slices.Contains(ids, p.Track.ID) {
			ids = append(ids, p.Track.ID)
		}
	}
	return ids
}

func (m *model) start(at sluice.Start) int {
	begin := len(m.log) - 1
	for _, id := range m.tracks() {
		key := m.newest(id, func(i int) bool { return isKey(m.log[i]) })
		if at == sluice.StartKey {
			if key >= 0 {
				return key
			}
			continue
		}
		if open := m.newest(id, func(i int) bool { return m.opened[i] }); open >= 0 {
			begin = min(begin, open)
		} else if key >= 0 && !slices.ContainsFunc(m.log, func(p sluice.Packet) bool { return p.Track.ID == id && p.Segment != 0 }) {
			begin = min(begin, key)
		}
	}
	return max(begin, 0)
}

// modelReader is what a Subscriber should be.
type modelReader struct {
	conf    sluice.Subscription
	cursor  int
	taken   []int // entries fetched, not yet read
	begun   map[uint32]bool
	missed  map[uint32]bool
	dropped uint64
	held    []sluice.Packet
	resumed bool
}

func newModelReader(m *model, c sluice.Subscription) modelReader {
	r := modelReader{conf: c, cursor: m.start(c.Start), begun: make(map[uint32]bool), missed: make(map[uint32]bool)}
	if c.Resume {
		r.cursor, r.resumed = int(c.At), true
	}
	return r
}

// next is the number of the packet that comes next.
func (r *modelReader) next() uint64 {
	return uint64(r.cursor - len(r.taken) - len(r.held))
}

func (r modelReader) clone() modelReader {
	r.taken, r.held = slices.Clone(r.taken), slices.Clone(r.held)
	begun, missed := make(map[uint32]bool), make(map[uint32]bool)
	for id, b := range r.begun {
		begun[id] = b
	}
	for id, b := range r.missed {
		missed[id] = b
	}
	r.begun, r.missed = begun, missed
	return r
}

// read returns the next packet, or ok false where the reader would wait.
func (r *modelReader) read(m *model) (p sluice.Packet, ok bool, err error) {
	if len(r.held) > 0 {
		p, r.held = r.held[0], nil
		return p, true, nil
	}
	for {
		if len(r.taken) == 0 {
			if r.cursor < m.first {
				if r.conf.Slow == sluice.Fail {
					return sluice.Packet{}, true, sluice.ErrLagged
				}
				to := m.start(r.conf.Start)
				r.dropped += uint64(to - r.cursor)
				r.cursor, r.resumed = to, false
				for _, id := range m.tracks() {
					r.begun[id], r.missed[id] = false, true
				}
			}
			for len(r.taken) < 16 && r.cursor < len(m.log) {
				r.taken = append(r.taken, r.cursor)
				r.cursor++
			}
			if len(r.taken) == 0 {
				return sluice.Packet{}, false, nil
			}
		}
		i := r.taken[0]
		r.taken = r.taken[1:]
		p = m.log[i]
		id := p.Track.ID
		if r.begun[id] || r.resumed {
			return p, true, nil
		}
		stamped := r.conf.Start == sluice.StartSegment && p.Segment != 0
		if stamped && !m.opened[i] || !stamped && p.Track.Kind == sluice.Video && !isKey(p) {
			if r.missed[id] {
				r.dropped++
			}
			continue
		}
		p.Discont = p.Discont || r.missed[id]
		r.begun[id], r.missed[id] = true, false
		if stamped && p.Data != nil {
			r.held = []sluice.Packet{p}
			p.Key, p.Dur, p.Data = false, 0, nil
		}
		return p, true, nil
	}
}

// generator makes packets of up to three tracks whose clocks run together.
type generator struct {
	*rand.Rand
	now      int64
	stamped  bool
	segments map[string]uint64
}

func (g *generator) packet() sluice.Packet {
	letter := []string{"v", "v", "a", "a", "a", "w"}[g.IntN(6)]
	p := packets(letter + "0")[0]
	g.now += g.Int64N(30)
	p.DTS, p.PTS = g.now, g.now
	p.Key = g.IntN(12) == 0 || p.Track.Kind == sluice.Audio
	p.Data = p.Data[:g.IntN(size)+1]
	if g.IntN(15) == 0 {
		p.Data = nil
	}
	if g.stamped {
		if g.segments[letter] == 0 {
			g.segments[letter] = uint64(1 + g.IntN(3))
		} else if g.IntN(12) == 0 {
			g.segments[letter]++
		}
		p.Segment = g.segments[letter]
	}
	return p
}

type pair struct {
	sub   *sluice.Subscriber
	model modelReader
}

// Random writes, reads and subscriptions, compared with the model.
func TestStreamAgreesWithItsModel(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 0))
		g := &generator{Rand: r, stamped: r.IntN(4) > 0, segments: make(map[string]uint64)}
		s := &sluice.Stream{
			Window:   time.Duration(1+r.IntN(400)) * time.Millisecond,
			MaxBytes: 200 + r.IntN(10_000),
		}
		m := new(model)
		var readers []pair
		for range 600 {
			switch op := r.IntN(20); {
			case op < 10:
				p := g.packet()
				require.NoError(t, s.Write(t.Context(), p))
				m.write(p)
				checkBounds(t, s, m, seed)
			case op < 11 && len(readers) < 8:
				c := sluice.Subscription{Start: sluice.Start(r.IntN(2)), Slow: sluice.Slow(r.IntN(2))}
				readers = append(readers, pair{s.Subscribe(c), newModelReader(m, c)})
			case op < 12 && len(readers) > 0:
				i := r.IntN(len(readers))
				readers[i].sub.Close()
				readers = slices.Delete(readers, i, i+1)
			case op < 13 && len(readers) > 0:
				p := &readers[r.IntN(len(readers))]
				p.sub.Close()
				c := sluice.Subscription{Start: p.model.conf.Start, Slow: p.model.conf.Slow, Resume: true, At: p.sub.Next()}
				*p = pair{s.Subscribe(c), newModelReader(m, c)}
			case len(readers) > 0:
				p := &readers[r.IntN(len(readers))]
				for range r.IntN(12) {
					p.step(t, m, seed)
				}
			}
		}
		require.Equal(t, len(readers), s.Stats().Subscribers)
		s.End(nil)
		for _, p := range readers {
			for p.step(t, m, seed) {
			}
			if _, err := p.sub.ReadPacket(t.Context()); p.model.cursor >= m.first {
				require.Equal(t, io.EOF, err)
			}
			p.sub.Close()
		}
	}
}

// step reads a packet from both and reports false where there is none.
func (p *pair) step(t *testing.T, m *model, seed uint64) bool {
	after := p.model.clone()
	want, ok, wantErr := after.read(m)
	if !ok {
		return false
	}
	p.model = after
	got, err := p.sub.ReadPacket(t.Context())
	require.Equal(t, wantErr, err, "seed %d", seed)
	require.Equal(t, show(want), show(got), "seed %d", seed)
	require.Equal(t, p.model.dropped, p.sub.Dropped(), "seed %d", seed)
	require.Equal(t, p.model.next(), p.sub.Next(), "seed %d", seed)
	return err == nil
}

// show is text, and nothing for no packet.
func show(p sluice.Packet) string {
	if p.Track == nil {
		return ""
	}
	return text(p)
}

// checkBounds checks that a Stream holds what it must and no more, and tells
// the model.
func checkBounds(t *testing.T, s *sluice.Stream, m *model, seed uint64) {
	st := s.Stats()
	first := len(m.log) - st.HeldPackets
	require.GreaterOrEqual(t, first, m.first)
	bytes := heldBytes(m.log[first:])
	require.Equal(t, bytes, st.HeldBytes, "seed %d", seed)
	require.True(t, bytes <= s.MaxBytes || st.HeldPackets == 1, "seed %d: %d bytes held", seed, bytes)
	for i := m.first; i < first; i++ { // what was dropped just now
		p, newest := m.log[i], m.log[len(m.log)-1]
		old := newest.Track.Time(newest.DTS).Sub(p.Track.Time(p.DTS)) > s.Window
		m.first = i
		needed := i >= min(m.start(sluice.StartKey), m.start(sluice.StartSegment))
		full := heldBytes(m.log[i:]) > s.MaxBytes
		require.True(t, full || old && !needed, "seed %d: packet %d was dropped without need", seed, i)
	}
	m.first = first
}

func heldBytes(ps []sluice.Packet) (n int) {
	for _, p := range ps {
		n += len(p.Data) + 88
	}
	return n
}

// Readers in goroutines of their own, with all policies at once: whoever
// blocks gets everything, the others what was not counted as dropped.
func TestStreamWithReadersOfEveryKind(t *testing.T) {
	s := &sluice.Stream{Window: 200 * time.Millisecond, MaxBytes: 20_000}
	all := frames("a", 0, 20_000, 1)
	type outcome struct {
		read, dropped uint64
		err           error
	}
	outcomes := make(chan outcome)
	const each = 4
	for _, slow := range []sluice.Slow{sluice.Resync, sluice.Fail, sluice.Block} {
		for range each {
			sub := s.Subscribe(sluice.Subscription{Slow: slow})
			go func() {
				defer sub.Close()
				var o outcome
				last := int64(-40)
				for {
					p, err := sub.ReadPacket(context.Background())
					if err != nil {
						o.err, o.dropped = err, sub.Dropped()
						outcomes <- o
						return
					}
					if p.DTS <= last || p.Discont != (p.DTS != last+40) {
						o.err = io.ErrNoProgress
						outcomes <- o
						return
					}
					last = p.DTS
					o.read++
				}
			}()
		}
	}
	go func() {
		for _, p := range all {
			s.Write(context.Background(), p)
		}
		s.End(nil)
	}()
	var missed uint64
	for range 3 * each {
		o := <-outcomes
		if o.err != sluice.ErrLagged {
			require.Equal(t, io.EOF, o.err)
			require.EqualValues(t, len(all), o.read+o.dropped)
		}
		missed += o.dropped
	}
	require.Equal(t, missed, s.Stats().Dropped)
}
