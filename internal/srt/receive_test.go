package srt

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestInbox puts packets in any order, some of them twice and some never, with
// sequence numbers that wrap, and expects each once and in order, or counted.
func TestInbox(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		const n, delay = 500, 5000
		start := random.Uint32() & seqMask
		if random.IntN(2) == 0 {
			start = seqMask - n/2
		}
		type event struct {
			at int64
			no int
		}
		var events []event
		loss, jitter := random.Float64()*0.5, 1+random.Int64N(3000)
		for i := range n {
			for random.Float64() < 0.1 || len(events) == 0 || events[len(events)-1].no != i {
				if random.Float64() < loss {
					break
				}
				events = append(events, event{int64(i)*100 + random.Int64N(jitter), i})
			}
		}
		slices.SortStableFunc(events, func(a, b event) int { return int(a.at - b.at) })
		b := newInbox(start)
		next, total, came := 0, 0, 0
		read := func(now int64) {
			b.ticked = now
			for {
				buf, missing := b.take(now)
				if buf == nil {
					require.Zero(t, missing)
					return
				}
				no := int(binary.BigEndian.Uint32(buf.payload()))
				require.Equal(t, next+missing, no, "what is missing is counted")
				require.LessOrEqual(t, int64(no)*100+delay, now, "nothing comes early")
				next = no + 1
				total += missing
				came++
				buf.free()
			}
		}
		seen := make(map[int]bool)
		var payload [8]byte
		for _, e := range events {
			binary.BigEndian.PutUint32(payload[:], uint32(e.no))
			was, _ := b.put(advance(start, e.no), int64(e.no)*100+delay, payload[:], e.at, false)
			require.Equal(t, seen[e.no], was != fresh, "nothing is late here")
			seen[e.no] = true
			for _, s := range b.lost(e.at, 1) {
				for seq := s.from; distance(s.to, seq) >= 0; seq = advance(seq, 1) {
					require.False(t, seen[distance(seq, start)], "only what is missing is asked for")
				}
			}
			read(e.at)
		}
		read(n*100 + delay)
		assert.Len(t, seen, came)
		assert.Equal(t, next, came+total)
		assert.Equal(t, b.end, b.first)
		assert.Equal(t, b.end, b.whole)
	}
}

func TestInboxIsBounded(t *testing.T) {
	b := newInbox(10)
	was, gap := b.put(10+maxWindow, 1, []byte("far"), 0, false)
	assert.Equal(t, fresh, was, "after an outage it goes on there")
	assert.Zero(t, gap)
	buf, missing := b.take(1)
	require.NotNil(t, buf)
	assert.Equal(t, maxWindow, missing)
	was, _ = b.put(12+maxWindow, 5, []byte("x"), 0, false)
	assert.Equal(t, fresh, was)
	was, _ = b.put(advance(12+maxWindow, maxWindow), 5, []byte("x"), 0, false)
	assert.Equal(t, beyond, was)
	assert.LessOrEqual(t, len(b.slots), maxWindow)
}

func TestLossReports(t *testing.T) {
	spans := []span{{1, 1}, {5, 9}, {seqMask - 1, 3}}
	var got []span
	parseLoss(appendLoss(nil, spans), func(s span) bool { got = append(got, s); return true })
	assert.Equal(t, spans, got)
	assert.LessOrEqual(t, len(appendLoss(nil, make([]span, 5000))), maxPayload)
	parseLoss([]byte{0x80, 0, 0, 9, 0, 0, 0, 1}, func(s span) bool { t.Errorf("%v runs backward", s); return true })
	parseLoss([]byte{0x80, 0, 0, 9, 0}, func(s span) bool { t.Errorf("%v is cut off", s); return true })
}

func TestOutboxKeepsWhatMayBeAskedFor(t *testing.T) {
	o := newOutbox(seqMask-2, 100)
	for i := range 10 {
		o.add(newBuffer([]byte{byte(i)}), int64(i))
	}
	assert.Equal(t, 10, o.waiting())
	o.acknowledge(advance(seqMask-2, 4), 20)
	assert.Equal(t, 6, o.waiting())
	assert.EqualValues(t, 4, o.at(o.first).buf.payload()[0])
	o.acknowledge(advance(seqMask-2, 3), 20) // an old one
	o.acknowledge(advance(seqMask-2, 99), 20)
	assert.Equal(t, 6, o.waiting(), "nobody has what was not sent")
	assert.Equal(t, 2, o.expire(6))
	assert.Equal(t, 4, o.waiting())
	assert.True(t, o.room())
	o.window = 4
	assert.False(t, o.room())
	o.clear()
}
