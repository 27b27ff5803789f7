package mpegts

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkReader reads 10 s of picture and sound, 1.3 MB.
func BenchmarkReader(b *testing.B) {
	tracks, packets := made(10)
	ts := mux(b, tracks, packets)
	b.SetBytes(int64(len(ts)))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		r := NewReader(bytes.NewReader(ts), Config{})
		n = 0
		for {
			_, err := r.ReadPacket(context.Background())
			if err == io.EOF {
				break
			}
			require.NoError(b, err)
			n++
		}
		r.Close()
	}
	b.ReportMetric(float64(n), "units/op")
	b.ReportMetric(float64(len(ts)/packetSize), "packets/op")
}

// BenchmarkWriter writes the same.
func BenchmarkWriter(b *testing.B) {
	tracks, packets := made(10)
	ts := mux(b, tracks, packets)
	b.SetBytes(int64(len(ts)))
	b.ReportAllocs()
	for b.Loop() {
		w, err := NewWriter(io.Discard, tracks, began)
		require.NoError(b, err)
		for _, p := range packets {
			if err := w.WritePacket(p); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(len(ts)/packetSize), "packets/op")
}
