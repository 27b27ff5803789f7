package handshake_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"

	gortmp "github.com/bluenviron/gortmplib/pkg/handshake"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	yutopp "github.com/yutopp/go-rtmp/handshake"

	"github.com/sluice-live/sluice/internal/rtmp/handshake"
)

func Example() {
	server, client := net.Pipe()
	done := make(chan error)
	go func() { done <- handshake.Server(server) }()
	fmt.Println(handshake.Client(client, true), <-done)
	// Output: <nil> <nil>
}

// shake runs both sides; each ends its side of the pipe when it fails.
func shake(t *testing.T, server, client func(io.ReadWriter) error) {
	s, c := net.Pipe()
	done := make(chan error, 1)
	go func() {
		err := server(s)
		if err != nil {
			_ = s.Close()
		}
		done <- err
	}()
	err := client(c)
	if err != nil {
		_ = c.Close()
	}
	require.NoError(t, <-done)
	require.NoError(t, err)
}

func TestHandshakes(t *testing.T) {
	ours := func(digests bool) func(io.ReadWriter) error {
		return func(rw io.ReadWriter) error { return handshake.Client(rw, digests) }
	}
	clients := map[string]func(io.ReadWriter) error{
		"simple": ours(false),
		"digest": ours(true),
		"go-rtmp": func(rw io.ReadWriter) error {
			return yutopp.HandshakeWithServer(rw, rw, &yutopp.Config{})
		},
		"gortmplib": func(rw io.ReadWriter) error {
			_, _, err := gortmp.DoClient(rw, false, true)
			return err
		},
	}
	for name, client := range clients {
		t.Run("client "+name, func(t *testing.T) { shake(t, handshake.Server, client) })
	}
	servers := map[string]func(io.ReadWriter) error{
		"gortmplib": func(rw io.ReadWriter) error {
			_, _, err := gortmp.DoServer(rw, true)
			return err
		},
	}
	for name, server := range servers {
		t.Run("server "+name, func(t *testing.T) { shake(t, server, ours(false)) })
	}
}

// pair is a peer whose every word is known beforehand.
type pair struct {
	io.Reader
	bytes.Buffer
}

func (p *pair) Read(b []byte) (int, error)  { return p.Reader.Read(b) }
func (p *pair) Write(b []byte) (int, error) { return p.Buffer.Write(b) }

func TestServerRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		want error
	}{
		"nothing":      {nil, io.ErrUnexpectedEOF},
		"HTTP":         {[]byte("GET / HTTP/1.1\r\n\r\n"), handshake.ErrProtocol},
		"RTMPE":        {append([]byte{6}, make([]byte, 3072)...), handshake.ErrProtocol},
		"truncated C1": {append([]byte{3}, make([]byte, 1535)...), io.ErrUnexpectedEOF},
		"truncated C2": {append([]byte{3}, make([]byte, 3071)...), io.ErrUnexpectedEOF},
	} {
		err := handshake.Server(&pair{Reader: bytes.NewReader(c.in)})
		assert.ErrorIs(t, err, c.want, name)
	}
}

func FuzzServer(f *testing.F) {
	f.Add(append([]byte{3}, make([]byte, 3072)...))
	f.Add(append([]byte{3}, bytes.Repeat([]byte{0xff}, 3072)...))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		p := &pair{Reader: bytes.NewReader(in)}
		err := handshake.Server(p)
		require.Equal(t, len(in) > 3072 && in[0] == 3 || len(in) == 3073 && in[0] == 3, err == nil)
		if len(in) > 1536 && in[0] == 3 {
			require.Equal(t, 1+2*1536, p.Len())
		} else {
			require.Zero(t, p.Len(), "nothing is answered before C1 is there")
		}
	})
}
