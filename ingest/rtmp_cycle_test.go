package ingest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/rtmp"
)

// publishRTMP publishes n frames of sound and leaves. It waits for the one
// before, if that publishes the same.
func publishRTMP(t *testing.T, url string, cfg rtmp.Config, frames int) {
	t.Helper()
	var c *rtmp.Client
	require.Eventually(t, func() bool {
		var err error
		c, err = rtmp.Dial(t.Context(), url, cfg)
		require.NoError(t, err)
		err = c.Publish(t.Context(), time.Unix(0, 0))
		var refused *rtmp.StatusError
		if errors.As(err, &refused) && refused.Code == "NetStream.Publish.BadName" {
			require.NoError(t, c.Close())
			return false
		}
		require.NoError(t, err)
		return true
	}, 30*time.Second, time.Millisecond)
	aac, err := codec.AAC([]byte{0x11, 0x90})
	require.NoError(t, err)
	track := *aac
	track.ID = 2
	for i := range int64(frames) {
		require.NoError(t, c.WritePacket(t.Context(), sluice.Packet{Track: &track, DTS: i * 1024, PTS: i * 1024, Dur: 1024, Key: true, Data: []byte{1, 2, 3}}))
	}
	require.NoError(t, c.Close())
}

// TestRTMPPublishersLeaveNothing publishes and leaves 1,000 times, and 100 times
// where it has to be quick: in one broadcast that goes on, and in many.
func TestRTMPPublishersLeaveNothing(t *testing.T) {
	cycles := 100
	if os.Getenv("SLUICE_INTEROP") != "" {
		cycles = 1000
	}
	web := httptest.NewTLSServer(nil) // for its certificate
	web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	client := rtmp.Config{TLS: &tls.Config{RootCAs: roots}}
	r := serve(t, &Server{
		RTMPS: "127.0.0.1:0", TLS: &tls.Config{Certificates: web.TLS.Certificates}, Grace: 10 * time.Millisecond,
		Broadcast: func(ctx context.Context, b *Broadcast) error { return new(sluice.Stream).Consume(ctx, b) },
	})
	for scheme, addr := range map[string]string{"rtmp": r.RTMPAddr().String(), "rtmps": r.RTMPSAddr().String()} {
		t.Run(scheme, func(t *testing.T) {
			for range 20 {
				publishRTMP(t, scheme+"://"+addr+"/live/same", client, 10)
			}
			before := r.left(t)
			for i := range cycles {
				name := "same"
				if i%2 == 0 {
					name = fmt.Sprintf("other-%d", i%20) // their positions stay
				}
				publishRTMP(t, scheme+"://"+addr+"/live/"+name, client, 10)
			}
			after := r.left(t)
			t.Logf("%d cycles: %+v, then %+v", cycles, before, after)
			assert.LessOrEqual(t, after.goroutines, before.goroutines+3)
			assert.LessOrEqual(t, after.files, before.files)
			assert.Less(t, after.heap, before.heap+2<<20)
		})
	}
}

// leftover is what publishers may leave behind.
type leftover struct {
	goroutines, files int
	heap              uint64
}

// left waits until all broadcasts and connections are over and returns what
// there is.
func (r *running) left(t *testing.T) leftover {
	t.Helper()
	require.Eventually(t, func() bool { return len(r.Broadcasts()) == 0 && r.ConnStats().Open == 0 }, 30*time.Second, time.Millisecond)
	files, _ := os.ReadDir("/proc/self/fd") // none where there is no such thing
	runtime.GC()
	runtime.GC() // what finalizers held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return leftover{runtime.NumGoroutine(), len(files), m.HeapAlloc}
}
