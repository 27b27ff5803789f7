package sluice_test

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// BenchmarkStream writes to a crowd of readers. An operation is a packet
// written; readers take it as fast as they can, and lose what they cannot.
//
// "paced" waits for all readers after each packet, as a live stream does for
// its encoder: every packet wakes every reader. "flood" does not.
func BenchmarkStream(b *testing.B) {
	for _, readers := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("paced/readers=%d", readers), func(b *testing.B) { fanOut(b, readers, true) })
		b.Run(fmt.Sprintf("flood/readers=%d", readers), func(b *testing.B) { fanOut(b, readers, false) })
	}
}

func fanOut(b *testing.B, readers int, paced bool) {
	s := new(sluice.Stream)
	var read, behind atomic.Int64
	all := make(chan struct{}, 1)
	var crowd sync.WaitGroup
	for range readers {
		sub := s.Subscribe(sluice.Subscription{})
		crowd.Go(func() {
			defer sub.Close()
			for {
				_, err := sub.ReadPacket(context.Background())
				if err == io.EOF {
					return
				}
				read.Add(1)
				if paced && behind.Add(-1) == 0 {
					all <- struct{}{}
				}
			}
		})
	}
	p := packets("a0")[0]
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		p.DTS += 40
		p.PTS = p.DTS
		behind.Store(int64(readers))
		if err := s.Write(context.Background(), p); err != nil {
			b.Fatal(err)
		}
		if paced {
			<-all
		}
	}
	s.End(nil)
	crowd.Wait()
	b.ReportMetric(float64(read.Load())/b.Elapsed().Seconds(), "delivered/s")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(max(1, read.Load())), "ns/delivered")
	b.ReportMetric(float64(s.Stats().Dropped)/float64(b.N), "dropped/op")
}

// BenchmarkRead is a reader that finds its packets waiting.
func BenchmarkRead(b *testing.B) {
	s := new(sluice.Stream)
	sub := s.Subscribe(sluice.Subscription{})
	defer sub.Close()
	ps := frames("v", 0, 64, 64)
	b.ReportAllocs()
	for i := range b.N {
		if i%64 == 0 {
			b.StopTimer()
			for j := range ps {
				s.Write(context.Background(), ps[j])
				ps[j].DTS += 64 * 40
			}
			b.StartTimer()
		}
		if _, err := sub.ReadPacket(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSubscribe(b *testing.B) {
	s := new(sluice.Stream)
	for _, p := range frames("v", 0, 100, 25) {
		require.NoError(b, s.Write(context.Background(), p))
	}
	subs := make([]*sluice.Subscriber, b.N)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range subs {
		subs[i] = s.Subscribe(sluice.Subscription{})
		subs[i].ReadPacket(context.Background())
	}
	b.StopTimer()
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(b.N), "heap-B/subscriber")
	for _, sub := range subs {
		sub.Close()
	}
}
