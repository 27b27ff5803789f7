package rtmp

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
)

// runPlayers is the other process: it plays until the stream ends and prints
// what it measured.
func runPlayers(spec string) error {
	var addr string
	var n int
	if _, err := fmt.Sscan(spec, &addr, &n); err != nil {
		return err
	}
	ctx := context.Background()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var delays, firsts []float64
	for i := range n {
		started := time.Now()
		c, err := Dial(ctx, "rtmp://"+addr+"/play/demo", Config{})
		if err != nil {
			return err
		}
		p, err := c.Play(ctx)
		if err != nil {
			return err
		}
		wg.Go(func() {
			defer p.Close()
			if i%(max(1, n/20)) != 0 {
				discard(c.nc)
				return
			}
			first, ds := measure(ctx, p, started)
			mu.Lock()
			defer mu.Unlock()
			firsts, delays = append(firsts, first), append(delays, ds...)
		})
	}
	wg.Wait()
	slices.Sort(delays)
	slices.Sort(firsts)
	fmt.Println("ms-p50", delays[len(delays)/2])
	fmt.Println("ms-p99", delays[len(delays)*99/100])
	fmt.Println("ms-first-p50", firsts[len(firsts)/2])
	return nil
}

// discard reads as cheaply as can be.
func discard(nc net.Conn) {
	_ = nc.SetReadDeadline(time.Time{})
	b := make([]byte, 64<<10)
	for {
		if _, err := nc.Read(b); err != nil {
			return
		}
	}
}

// measure returns the milliseconds to the first frame and those of each frame
// from the stream to here, without the frames of the first second.
func measure(ctx context.Context, p *Publisher, started time.Time) (first float64, delays []float64) {
	for n := 0; ; {
		in, err := p.ReadPacket(ctx)
		if err != nil {
			return first, delays
		}
		if in.Data == nil || in.Track.Kind != sluice.Video {
			continue
		}
		if n++; n == 1 {
			first = float64(time.Since(started).Microseconds()) / 1000
		}
		if n > 75 {
			sent := int64(binary.BigEndian.Uint64(in.Data[9:]))
			delays = append(delays, float64(time.Now().UnixNano()-sent)/1e6)
		}
	}
}
