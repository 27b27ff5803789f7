package ingest

import (
	"errors"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/mpegts"
	"github.com/sluice-live/sluice/internal/srt"
)

// publishSRT publishes n frames of sound and leaves.
func (r *running) publishSRT(t *testing.T, frames int) {
	t.Helper()
	var c *srt.Conn
	require.Eventually(t, func() bool {
		var err error
		c, err = srt.Dial(t.Context(), r.srtURL("publish:open", ""), srt.Config{Latency: time.Millisecond})
		if errors.Is(err, ErrBusy) { // with the one before
			return false
		}
		require.NoError(t, err)
		return true
	}, 30*time.Second, time.Millisecond)
	aac, err := codec.AAC([]byte{0x11, 0x90})
	require.NoError(t, err)
	track := *aac
	track.ID = 2
	w, err := mpegts.NewWriter(c, []*sluice.Track{&track}, time.Unix(0, 0))
	require.NoError(t, err)
	for i := range int64(frames) {
		require.NoError(t, w.WritePacket(sluice.Packet{Track: &track, DTS: i * 1024, PTS: i * 1024, Dur: 1024, Key: true, Data: []byte{1, 2, 3}}))
	}
	c.Flush()
	require.NoError(t, c.Close())
}

// TestSRTPublishersLeaveNothing publishes and leaves 1,000 times, and 50 times
// where it has to be quick.
func TestSRTPublishersLeaveNothing(t *testing.T) {
	cycles := 50
	if os.Getenv("SLUICE_INTEROP") != "" {
		cycles = 1000
	}
	r := serve(t, &Server{SRT: "127.0.0.1:0", SRTLatency: time.Millisecond})
	measure := func() (goroutines int, heap uint64) {
		require.Eventually(t, func() bool { return len(r.SRTStats()) == 0 }, 10*time.Second, time.Millisecond)
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), m.HeapAlloc
	}
	for range 10 {
		r.publishSRT(t, 10)
	}
	goroutines, heap := measure()
	for range cycles {
		r.publishSRT(t, 10)
	}
	after, heapAfter := measure()
	t.Logf("goroutines %d, then %d; heap %d kB, then %d kB", goroutines, after, heap>>10, heapAfter>>10)
	assert.LessOrEqual(t, after, goroutines+3)
	// What was broadcast stays in the ring of the test's stream, 4 s of it.
	assert.Less(t, heapAfter, heap+8<<20)
	st := r.srt.listener.Stats()
	assert.Zero(t, st.Conns)
	assert.Zero(t, st.Pending)
	assert.Zero(t, r.ConnStats().Open)
	assert.GreaterOrEqual(t, st.Handshakes, uint64(cycles)) // those that found it busy included
}

// chunks passes on what is written in pieces of n bytes.
type chunks struct {
	w io.Writer
	n int
	b []byte
}

func (c *chunks) Write(p []byte) (int, error) {
	c.b = append(c.b, p...)
	for len(c.b) >= c.n {
		if _, err := c.w.Write(c.b[:c.n]); err != nil {
			return 0, err
		}
		c.b = c.b[c.n:]
	}
	return len(p), nil
}

// TestSRTMisalignedPackets publishes a transport stream whose packets are cut
// anywhere, behind some bytes that belong to none.
func TestSRTMisalignedPackets(t *testing.T) {
	r := serve(t, &Server{SRT: "127.0.0.1:0"})
	c, err := srt.Dial(t.Context(), r.srtURL("publish:open", ""), srt.Config{})
	require.NoError(t, err)
	out := &chunks{w: c, n: 1000}
	aac, err := codec.AAC([]byte{0x11, 0x90})
	require.NoError(t, err)
	track := *aac
	track.ID = 2
	_, err = out.Write([]byte("not a transport stream"))
	require.NoError(t, err)
	w, err := mpegts.NewWriter(out, []*sluice.Track{&track}, time.Unix(0, 0))
	require.NoError(t, err)
	for i := range int64(300) {
		require.NoError(t, w.WritePacket(sluice.Packet{Track: &track, DTS: i * 1024, PTS: i * 1024, Dur: 1024, Key: true, Data: []byte{1, 2, 3}}))
	}
	sub := (<-r.streams).Subscribe(sluice.Subscription{})
	defer sub.Close()
	for range 200 {
		p, err := sub.ReadPacket(t.Context())
		require.NoError(t, err)
		if p.Data != nil {
			require.Equal(t, []byte{1, 2, 3}, p.Data)
			require.False(t, p.Discont)
		}
	}
	require.NoError(t, c.Close())
}
