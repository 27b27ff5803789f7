package m4s

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/sluicetest"
)

// The same bytes connect a worker process over a Unix socket.
func TestOverAUnixSocket(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "worker"))
	require.NoError(t, err)
	defer l.Close()
	want := stampedPackets(5)
	done := make(chan error, 1)
	go func() {
		c, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			done <- err
			return
		}
		defer c.Close()
		e := NewEncoder(c, EncoderConfig{})
		if !e.vector {
			t.Error("data is copied on its way to a socket")
		}
		done <- e.Consume(t.Context(), &sluicetest.Slice{Packets: want})
	}()
	c, err := l.Accept()
	require.NoError(t, err)
	src := NewSource(c, Limits{})
	defer src.Close()
	got, err := readAll(testContext(t), src)
	require.NoError(t, err)
	require.NoError(t, <-done)
	requireSame(t, want, got)
}
