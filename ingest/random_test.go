package ingest

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Any encoder, with any fault, restarted any number of times, on any length of
// segments: the invariants of the checker hold, and what was sound comes out.
func TestRandomSources(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 99))
		sounds := []*sluice.Track{aac48(t), aac44(t), mp3(t), aac(t, 0x15, 0x88)}
		r := newRun(t, time.Duration(1+rng.IntN(10))*time.Second, Position{})
		defer func() {
			if t.Failed() {
				t.Logf("seed %d", seed)
			}
		}()
		var connections uint32
		for range 1 + rng.IntN(4) {
			s := r.after(time.Duration(rng.ExpFloat64()*1e10), randomSource(rng, sounds))
			r.connect(s, hints{})
			connections++
			if rng.IntN(3) == 0 {
				r.tl = newTimeline(r.tl.segment, r.tl.position())
			}
		}
		require.GreaterOrEqual(t, r.era, connections, "seed %d", seed)
		assert.NotEmpty(t, r.lines, "seed %d", seed)
		for id, l := range r.lines {
			assert.LessOrEqual(t, l.track.Era, r.era, "seed %d, track %d", seed, id)
		}
	}
}

func randomSource(rng *rand.Rand, sounds []*sluice.Track) simulation {
	rates := [][2]int64{{30000, 1001}, {24000, 1001}, {25, 1}, {60, 1}, {10, 1}, {7, 1}}
	s := simulation{
		length: time.Duration(1+rng.IntN(60)) * time.Second, truncate: rng.IntN(2) == 0,
		start: rng.Int64N(1 << 32), rng: rng,
	}
	kinds := rng.IntN(5)
	if kinds != 0 {
		rate := rates[rng.IntN(len(rates))]
		s.picture = &picture{
			num: rate[0], den: rate[1], gop: groups[rng.IntN(len(groups))], scenes: rng.IntN(3) == 0, b: rng.IntN(4),
			declared: rng.IntN(2) == 0, vary: rng.IntN(6) == 0, width: 640 + 16*rng.IntN(3),
		}
	}
	if kinds != 1 {
		s.sound = &sound{track: sounds[rng.IntN(len(sounds))], early: time.Duration(rng.IntN(1000)-500) * time.Millisecond}
	}
	var lost [3]float64
	var step [3]time.Duration
	s.edit = func(f *simFrame) bool {
		id := f.track.ID
		switch rng.IntN(3000) {
		case 0:
			lost[id] = f.sent + rng.ExpFloat64()*3
		case 1:
			lost[videoID] = f.sent + rng.ExpFloat64()*10
			lost[audioID] = lost[videoID]
		case 2:
			step[id] += time.Duration(rng.NormFloat64() * 1e10)
		case 3:
			step[videoID] += time.Duration(rng.NormFloat64() * 1e12)
			step[audioID] = step[videoID]
		case 4:
			return shift(f, true, time.Duration(rng.NormFloat64()*1e11))
		case 5:
			f.pts += rng.Int64N(1<<20) - 1<<19
		}
		return f.sent >= lost[id] && shift(f, true, step[id])
	}
	return s
}
