package ingest

import (
	"context"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// slowPositions never load the stream "slow".
type slowPositions struct {
	memory
	asked chan struct{}
}

func (p *slowPositions) Load(ctx context.Context, stream string) (Position, error) {
	if stream == "slow" {
		p.asked <- struct{}{}
		<-ctx.Done()
		return Position{}, ctx.Err()
	}
	return p.memory.Load(ctx, stream)
}

// A stream whose position cannot be read holds up no other stream, no metrics
// and no end of the server.
func TestSlowPositionsHoldUpTheirStreamAlone(t *testing.T) {
	store := &slowPositions{asked: make(chan struct{}, 4)}
	r := serve(t, &Server{Positions: store})
	b, err := r.live.get(t.Context(), r.Server, Grant{Stream: "saving"})
	require.NoError(t, err)
	b.mu.Lock() // as while it saves
	defer b.mu.Unlock()
	_, err = r.live.get(t.Context(), r.Server, Grant{Stream: "saving"})
	require.NoError(t, err)
	work, cancel := context.WithCancel(t.Context())
	refused := make(chan error, 2)
	get := func() {
		_, err := r.live.get(work, r.Server, Grant{Stream: "slow"})
		refused <- err
	}
	go get()
	<-store.asked
	go get() // waits for the first
	got := make(chan *Broadcast)
	go func() {
		b, err := r.live.get(t.Context(), r.Server, Grant{Stream: "quick"})
		assert.NoError(t, err)
		got <- b
	}()
	select {
	case b := <-got:
		assert.Contains(t, r.Broadcasts(), b)
	case <-time.After(4 * time.Second): // less than storeTimeout
		require.Fail(t, "another stream waits")
	}
	cancel()
	for range 2 {
		require.ErrorIs(t, <-refused, context.Canceled)
	}
	assert.Empty(t, r.live.loading)
}

// fullPositions are on a disk that is full.
type fullPositions struct{ memory }

func (p *fullPositions) Save(context.Context, string, Position) error { return syscall.ENOSPC }

// While positions cannot be saved, names are still not given twice.
func TestPositionsOnAFullDisk(t *testing.T) {
	r := serve(t, &Server{Positions: new(fullPositions)})
	var last sluice.Packet
	for era := range uint32(3) {
		p, err := r.publish(t, "/live/demo")
		require.NoError(t, err)
		require.NoError(t, p.send(t, 100))
		sub := (<-r.streams).Subscribe(sluice.Subscription{})
		first, err := sub.ReadPacket(t.Context())
		require.NoError(t, err)
		assert.Equal(t, era+1, first.Track.Era)
		if era > 0 {
			assert.Greater(t, first.Segment, last.Segment)
		}
		r.Broadcasts()[0].End()
		for err == nil {
			last = first
			first, err = sub.ReadPacket(t.Context())
		}
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, sub.Close())
	}
}
