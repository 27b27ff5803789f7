package ingest

import (
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Whatever publishers do, in whatever order, what comes out holds together: the
// checker's rules, and a frame of somebody's within a few seconds while anybody
// runs or the slate is on.
func TestRandomPublishers(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 9))
			c := broadcastConfig{grace: time.Hour, idle: time.Hour, standby: time.Duration(rng.IntN(3000)+200) * time.Millisecond}
			if rng.IntN(3) > 0 {
				c.slate = testSlate(t, rng.IntN(2) == 0)
			}
			var saved Position
			b := testBroadcastWith(c, &saved)
			v := view(t.Context(), b)
			var all []*camera
			frozen := map[*camera]bool{}
			for range 40 {
				time.Sleep(time.Duration(rng.IntN(4000)) * time.Millisecond)
				switch n := len(all); {
				case n == 0 || n < 6 && rng.IntN(3) == 0:
					one := newCamera(t, byte('a'+len(all)), 320+16*rng.IntN(4))
					one.gop = 5 + rng.IntN(120)
					if rng.IntN(8) == 0 {
						one.audio = nil
					}
					one.publish(t.Context(), b, Second(1+rng.IntN(3)))
					all = append(all, one)
				default:
					i := rng.IntN(n)
					one := all[i]
					switch {
					case frozen[one]:
						one.thaw()
						delete(frozen, one)
					case rng.IntN(2) == 0:
						one.freeze()
						frozen[one] = true
					default:
						one.kill()
						all = append(all[:i:i], all[i+1:]...)
					}
				}
				b.mu.Lock()
				require.LessOrEqual(t, len(b.waiting), maxSpares+1)
				for _, w := range b.waiting {
					require.LessOrEqual(t, w.group.bytes, groupBytes)
				}
				b.mu.Unlock()
			}
			if c.slate != nil {
				checkNoPause(t, v)
			}
			b.End()
			require.Equal(t, io.EOF, <-v.done)
			newChecker(t).packets(v.plain())
			for one := range frozen {
				one.thaw()
			}
			for _, one := range all {
				<-one.ended
			}
			require.NoError(t, b.Close())
		})
	}
}

// checkNoPause holds that with a slate the reader never waits long.
func checkNoPause(t *testing.T, v *viewing) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var last time.Time
	for _, p := range v.packets {
		if p.Data == nil {
			continue
		}
		if !last.IsZero() {
			require.Less(t, p.at.Sub(last), slateStalled*defaultSlateAfter+500*time.Millisecond, "at %v", p.at)
		}
		last = p.at
	}
	require.Less(t, time.Since(last), slateStalled*defaultSlateAfter+500*time.Millisecond)
}
