package sluice_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

func TestPipeEndsBehindWhatWasWritten(t *testing.T) {
	for _, end := range []error{nil, errBoom} {
		w, src := sluice.Pipe(8)
		for _, p := range packets("v0k a0 v40") {
			require.NoError(t, w.Write(t.Context(), p))
		}
		w.Close(end)
		w.Close(io.ErrNoProgress)
		require.ErrorIs(t, w.Write(t.Context(), packets("v80")[0]), io.ErrClosedPipe)
		got, err := rest(t, src)
		require.Equal(t, "v0k a0 v40", got)
		require.ErrorIs(t, err, end)
		require.Equal(t, []*sluice.Track{tracks["v"], tracks["a"]}, src.Tracks())
	}
}

func TestFullPipeMakesTheWriterWait(t *testing.T) {
	for name, c := range map[string]struct {
		release func(w *sluice.PipeWriter, src sluice.Source, cancel func())
		want    error
	}{
		"for a read":            {func(_ *sluice.PipeWriter, src sluice.Source, _ func()) { src.ReadPacket(context.Background()) }, nil},
		"until the reader goes": {func(_ *sluice.PipeWriter, src sluice.Source, _ func()) { src.Close() }, io.ErrClosedPipe},
		"until it is closed":    {func(w *sluice.PipeWriter, _ sluice.Source, _ func()) { w.Close(nil) }, io.ErrClosedPipe},
		"until ctx ends":        {func(_ *sluice.PipeWriter, _ sluice.Source, cancel func()) { cancel() }, context.Canceled},
	} {
		for _, depth := range []int{-1, 0, 3} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					w, src := sluice.Pipe(depth)
					for range depth {
						require.NoError(t, w.Write(ctx, packets("v0k")[0]))
					}
					wrote := make(chan error, 1)
					go func() { wrote <- w.Write(ctx, packets("v0k")[0]) }()
					synctest.Wait()
					require.Empty(t, wrote)
					c.release(w, src, cancel)
					require.ErrorIs(t, <-wrote, c.want)
				})
			})
		}
	}
}
