package origin

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// A broadcast that is forgotten between two sources is not brought back: its
// viewers and its spool are gone.
func TestSinkBeginsAnewWhenItsBroadcastIsForgotten(t *testing.T) {
	srv := &Server{Spool: t.TempDir()}
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	broken := fmt.Errorf("broken")
	s := srv.Stream("demo").(*sink)
	w, src := sluice.Pipe(0)
	w.Close(broken)
	require.ErrorIs(t, s.Consume(t.Context(), src), broken)
	old := s.b
	names := srv.names.Load()
	srv.remove(old)        // Linger is over
	srv.names.Store(names) // and the sink had looked just before
	require.Error(t, srv.enter(old))
	w, src = sluice.Pipe(0)
	w.Close(io.EOF)
	require.NoError(t, s.Consume(t.Context(), src))
}
