package origin

import (
	"hash/maphash"
	"math"
	"math/bits"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	viewerBits = 1 << 15 // good for 100,000 viewers within a few percent; 4 KiB
	viewerSpan = 10 * time.Second
)

// viewers estimates how many different clients asked for playlists within the
// last 10 to 20 s, by linear counting: each sets one of many bits. No lock is
// taken and nobody is remembered.
type viewers struct {
	epoch atomic.Int64 // of sets[epoch%2]
	sets  [2][viewerBits / 64]atomic.Uint64
}

var viewerSeed = maphash.MakeSeed()

// saw counts the client of r, which is told by its address, program and key.
func (v *viewers) saw(r *http.Request, token string) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	sum := maphash.String(viewerSeed, host) ^ bits.RotateLeft64(maphash.String(viewerSeed, token), 1)
	for i, name := range [...]string{"User-Agent", "X-Forwarded-For"} {
		if h := r.Header[name]; len(h) > 0 {
			sum ^= bits.RotateLeft64(maphash.String(viewerSeed, h[0]), i+2)
		}
	}
	set := &v.sets[v.turn(time.Now())&1]
	bit := sum % viewerBits
	if word := &set[bit/64]; word.Load()&(1<<(bit%64)) == 0 {
		word.Or(1 << (bit % 64))
	}
}

// turn begins a new set when it is time, and returns the current epoch.
func (v *viewers) turn(now time.Time) int64 {
	epoch, old := now.UnixNano()/int64(viewerSpan), v.epoch.Load()
	if epoch == old || !v.epoch.CompareAndSwap(old, epoch) {
		return epoch
	}
	stale := []int64{epoch & 1}
	if epoch != old+1 {
		stale = []int64{0, 1}
	}
	for _, i := range stale {
		for w := range v.sets[i] {
			v.sets[i][w].Store(0)
		}
	}
	return epoch
}

// count estimates how many there were.
func (v *viewers) count() int {
	epoch := v.turn(time.Now())
	a, b := &v.sets[epoch&1], &v.sets[(epoch-1)&1]
	set := 0
	for w := range a {
		set += bits.OnesCount64(a[w].Load() | b[w].Load())
	}
	empty := max(viewerBits-set, 1)
	return int(math.Round(-viewerBits * math.Log(float64(empty)/viewerBits)))
}
