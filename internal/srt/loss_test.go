package srt

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/testmedia"
)

// lossFor is how long a lossy path is held up: 15 s, and SLUICE_SRT_LOSS in the
// matrix, which takes ten minutes each for `make interop`.
func lossFor(t *testing.T) time.Duration {
	t.Helper()
	if os.Getenv("SLUICE_INTEROP") == "" {
		return 15 * time.Second
	}
	d, err := time.ParseDuration(orDefault(os.Getenv("SLUICE_SRT_LOSS"), "10m"))
	require.NoError(t, err)
	return d
}

func orDefault(v, def string) string {
	if v == "" {
		return def
	}
	return v
}

// TestNothingMissingOnALossyPath sends 2 Mbit/s over paths that lose, delay and
// reorder, with a latency of eight round trips.
func TestNothingMissingOnALossyPath(t *testing.T) {
	rtts := []time.Duration{100 * time.Millisecond}
	losses := []float64{0.05}
	if os.Getenv("SLUICE_INTEROP") != "" {
		rtts = []time.Duration{40 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 400 * time.Millisecond}
		losses = []float64{0.02, 0.05}
	}
	length := lossFor(t)
	for _, rtt := range rtts {
		for _, loss := range losses {
			t.Run(fmt.Sprintf("%v/%v%%", rtt, loss*100), func(t *testing.T) {
				t.Parallel()
				p := testmedia.Path{Delay: rtt/2 - rtt/20, Jitter: rtt / 10, Loss: loss}
				st, stall := overPath(t, p, 8*rtt, length)
				if st.Missing > 0 && stall > rtt {
					t.Skipf("%d packets are missing, but the machine is too busy to tell: it stood still for %v", st.Missing, stall)
				}
				assert.Zero(t, st.Missing)
			})
		}
	}
}

// TestGapsAreCounted loses more than the latency can make good.
func TestGapsAreCounted(t *testing.T) {
	st, _ := overPath(t, testmedia.Path{Delay: 50 * time.Millisecond, Loss: 0.10}, 150*time.Millisecond, 5*time.Second)
	assert.Positive(t, st.Missing)
}

// overPath sends numbered packets and checks that each one came or was counted
// as missing, in order.
func overPath(t *testing.T, p testmedia.Path, latency, length time.Duration) (_ Stats, stall time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), length+time.Minute)
	defer cancel()
	l := listen(t, Config{})
	r := testmedia.NewRelay(t, l.Addr(), testmedia.Path{Delay: p.Delay, Jitter: p.Jitter})
	more := url.Values{"latency": {strconv.Itoa(int(latency.Milliseconds()))}}
	d, a := pair(ctx, t, l, r.Addr(), more, Config{})
	r.Lose(p.Loss)
	const every = 5264 * time.Microsecond // 2 Mbit/s
	total := int(length / every)
	go func() {
		numbered(t, d, total, every)
		d.Flush()
		assert.NoError(t, d.Close())
	}()
	n, missing := count(t, a)
	st := a.Stats()
	assert.Equal(t, int(st.Missing), missing, "each gap is counted")
	if t.Failed() || missing > 0 || testing.Verbose() {
		out := d.Stats()
		t.Logf("the machine stood still for %v at most; of %d packets %d came, %d missing; RTT %v ± %v; lost on the way %d, repeated %d, belated %d, twice %d, given up %d",
			r.Stall(), total, n, missing, st.RTT, st.RTTVar, st.Lost, out.Repeated, st.Belated, st.Duplicates, out.SendDropped)
	}
	require.GreaterOrEqual(t, n+missing, total-8, "nothing but the very end is not accounted for")
	assert.NoError(t, a.Close())
	return st, r.Stall()
}
