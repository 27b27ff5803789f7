package transcode

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// rendered is a rendition of ten pictures a segment, by one maker.
func rendered(maker uint32, from, to int64) (all []sluice.Packet) {
	t := &sluice.Track{ID: 101, Kind: sluice.Video, Codec: sluice.AVC1, Timescale: 10, Config: []byte{byte(maker)}, Era: 1, Maker: maker}
	for n := from; n < to; n++ {
		all = append(all, sluice.Packet{Track: t, DTS: n, PTS: n, Dur: 1, Segment: uint64(n / 10), Key: n%10 == 0 || n == from, Data: []byte{byte(n)}})
	}
	return all
}

func admitAll(s *sent, packets []sluice.Packet) (out []sluice.Packet) {
	for _, p := range packets {
		if s.admit(&p) {
			out = append(out, p)
		}
	}
	return out
}

// Whatever is sent again, and wherever workers end, nothing is sent twice,
// nothing is missing, and the Maker stays.
func TestNothingTwiceNothingMissing(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		s := &sent{}
		var out []sluice.Packet
		for at := int64(0); at < 100; {
			end := min(100, at+1+r.Int64N(30))
			s.joined = false
			out = append(out, admitAll(s, rendered(1, max(0, at-r.Int64N(25)), end))...)
			at = end
		}
		require.Len(t, out, 100)
		for n, p := range out {
			require.Equal(t, int64(n), p.DTS)
			require.False(t, p.Discont)
			require.Same(t, out[0].Track, p.Track)
		}
	}
}

// Another Maker begins with a number of its own, and the gap is marked.
func TestAnotherMakerBeginsASegment(t *testing.T) {
	s := &sent{}
	out := admitAll(s, rendered(1, 0, 25))
	s.joined = false
	out = append(out, admitAll(s, rendered(2, 20, 50))...)
	require.Len(t, out, 25+20)
	p := out[25]
	assert.Equal(t, uint64(3), p.Segment)
	assert.True(t, p.Key && p.Discont)
	assert.Equal(t, uint32(2), p.Track.Maker)
	assert.False(t, out[26].Discont)
}

// What is lost for good is marked, with numbers as the source has them.
func TestLossIsMarked(t *testing.T) {
	s := &sent{}
	admitAll(s, rendered(1, 0, 25))
	s.joined = false
	out := admitAll(s, rendered(1, 60, 70))
	require.Len(t, out, 10)
	assert.True(t, out[0].Discont)
	assert.Equal(t, uint64(6), out[0].Segment)
}

// A worker begins at the newest start that leaves nothing out, on any track.
func TestBacklogStart(t *testing.T) {
	in := livelike(t, 6)
	b := newBacklog()
	for _, p := range in {
		require.NoError(t, b.write(t.Context(), p, false))
	}
	at := func(seconds float64) time.Time { return time.Unix(testStart, int64(seconds*1e9)) }
	for _, c := range []struct{ video, audio, want float64 }{
		{3.5, 3.5, 3}, {3.5, 2.9, 2}, {2.99, 4.5, 2}, {3.01, 3.01, 2}, {0.1, 0.1, 0}, {5.9, 5.9, 5},
	} {
		number, ok := b.start([]missing{{1, at(c.video)}, {2, at(c.audio)}}, true)
		require.True(t, ok)
		sub := b.stream.Subscribe(sluice.Subscription{Resume: true, At: number})
		var firsts [3]time.Time
		for firsts[1].IsZero() || firsts[2].IsZero() {
			p, err := sub.ReadPacket(t.Context())
			require.NoError(t, err)
			if p.Data != nil && firsts[p.Track.ID].IsZero() {
				firsts[p.Track.ID] = p.Track.Time(p.PTS)
				require.True(t, p.Key)
			}
		}
		sub.Close()
		assert.False(t, firsts[1].After(at(c.video)), c)
		assert.False(t, firsts[2].After(at(c.audio)), c)
		assert.False(t, firsts[1].Before(at(c.want)), c)
	}
	_, ok := b.start(nil, true)
	assert.True(t, ok)
	b.stream.MaxBytes = 1
	require.NoError(t, b.write(t.Context(), in[len(in)-1], false))
	_, ok = b.start(nil, true)
	assert.False(t, ok, "the ring has lost every start")
}
