package ingest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
