package ingest

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Over RTMP the one who is replaced is told so, and the newcomer is in from the
// first frame on.
func TestServerTellsAPublisherThatItWasTakenOver(t *testing.T) {
	r := serve(t, &Server{Second: Takeover})
	first, err := r.publish(t, "/live/demo")
	require.NoError(t, err)
	require.NoError(t, first.send(t, 10))
	second, err := r.publish(t, "/live/demo")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return second.send(t, 1) == nil && r.Broadcasts()[0].Stats().Connections == 2 && first.send(t, 1) != nil
	}, 30*time.Second, 50*time.Millisecond, "the first is ended")
	require.NoError(t, second.send(t, 10))
	assert.EqualValues(t, 1, r.broadcasts.Load())
	require.Len(t, r.Broadcasts(), 1)
	assert.EqualValues(t, 1, r.Broadcasts()[0].Stats().Switches)
}

// The Grant of the newcomer decides, where it says anything.
func TestGrantDecidesAboutTheSecond(t *testing.T) {
	r := serve(t, &Server{Second: Takeover, Authorize: func(_ context.Context, r *Request) (Grant, error) {
		return Grant{Stream: "demo", Second: map[string]Second{"refused": Refuse, "spare": Standby}[r.Name]}, nil
	}})
	first, err := r.publish(t, "/live/any")
	require.NoError(t, err)
	require.NoError(t, first.send(t, 10))
	_, err = r.publish(t, "/live/refused")
	require.Error(t, err)
	spare, err := r.publish(t, "/live/spare")
	require.NoError(t, err)
	require.NoError(t, spare.send(t, 10))
	require.NoError(t, first.send(t, 10))
	require.Eventually(t, func() bool { return r.Broadcasts()[0].Stats().Waiting == 1 }, 30*time.Second, 10*time.Millisecond)
}

// A broadcast that begins while its predecessor is still being read waits for
// it, so that the application never has two of one name.
func TestServerRunsOneBroadcastOfANameAtATime(t *testing.T) {
	release := make(chan struct{})
	var running, most atomic.Int32
	begun := make(chan *Broadcast, 4)
	r := serve(t, &Server{Broadcast: func(ctx context.Context, b *Broadcast) error {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		begun <- b
		for {
			if _, err := b.ReadPacket(ctx); err == io.EOF {
				break
			} else if err != nil {
				return err
			}
		}
		<-release // whatever it does at the end
		return nil
	}})
	first, err := r.publish(t, "/live/demo")
	require.NoError(t, err)
	require.NoError(t, first.send(t, 10))
	(<-begun).End()
	second, err := r.publish(t, "/live/demo")
	require.NoError(t, err, "it is taken all the same")
	require.NoError(t, second.send(t, 100))
	select {
	case <-begun:
		t.Fatal("the second begins while the first is read")
	case <-time.After(200 * time.Millisecond):
	}
	close(release)
	b := <-begun
	require.Eventually(t, func() bool { return b.Stats().Packets > 90 }, 30*time.Second, 10*time.Millisecond, "nothing of it is lost")
	assert.EqualValues(t, 1, most.Load())
}
