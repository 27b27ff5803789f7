package ingest

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// brokenPublisher sends what makes its parser panic.
type brokenPublisher struct {
	sluice.Source
	ended int
}

func (p *brokenPublisher) refuse(error)                                 {}
func (p *brokenPublisher) start(context.Context) (sluice.Source, error) { return p, nil }
func (p *brokenPublisher) end(error)                                    { p.ended++ }
func (p *brokenPublisher) ReadPacket(context.Context) (sluice.Packet, error) {
	panic(io.ErrShortBuffer)
}

// A panic ends its publisher as any error does: the connection is hung up and
// off the books.
func TestPublisherThatPanicsIsEnded(t *testing.T) {
	r := serve(t, &Server{})
	p := new(brokenPublisher)
	in := newInput(1000, 0, func() hints { return hints{} })
	require.NotPanics(t, func() { r.Server.publish(t.Context(), &Request{Name: "demo"}, in, p, slog.New(slog.DiscardHandler)) })
	assert.Equal(t, 1, p.ended)
	assert.Zero(t, (<-r.streams).Stats().Packets)
	assert.False(t, r.Broadcasts()[0].Stats().Live)
}
