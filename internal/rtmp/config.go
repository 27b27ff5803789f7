package rtmp

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/sluice-live/sluice/internal/rtmp/chunk"
)

// Errors that connections end with, to be matched with errors.Is.
var (
	// ErrIdle says that the peer sent nothing for Config.IdleTimeout.
	ErrIdle = errors.New("rtmp: peer has gone silent")
	// ErrProtocol says that the peer does not keep to the protocol.
	ErrProtocol = errors.New("rtmp: protocol error")
	// ErrCodec says that a codec is not carried.
	ErrCodec = errors.New("codec is not supported")
	// ErrSlow says that a player took no byte for the write timeout.
	ErrSlow = errors.New("rtmp: player takes no bytes")
)

// Config configures connections. The zero value is good.
type Config struct {
	// HandshakeTimeout bounds Accept, and Dial up to the answer to connect:
	// 10 s if 0.
	HandshakeTimeout time.Duration
	// IdleTimeout is how long a publisher may send no byte: 30 s if 0.
	IdleTimeout time.Duration
	// WriteTimeout bounds each write of a control message, and how long a
	// player may take no byte: 20 s if 0.
	WriteTimeout time.Duration
	// MaxMessage is the largest message taken from a peer that has been let
	// in: 16 MiB if 0, the most that RTMP can say. A key frame of 8K video at
	// 100 Mbit/s has about 4 MB.
	MaxMessage int
	// TLS is for rtmps URLs; nil verifies the server against the system's roots.
	TLS *tls.Config
	// Multitrack makes a client that publishes send all tracks, those after the
	// first of each kind as Enhanced RTMP's further tracks, to servers that say
	// they take them. It has to be known before Publish.
	Multitrack bool
	// Digests makes a client ask for the handshake with digests.
	Digests bool
	// Log takes what is odd but not an error; nil discards it.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	setDefault(&c.HandshakeTimeout, 10*time.Second)
	setDefault(&c.IdleTimeout, 30*time.Second)
	setDefault(&c.WriteTimeout, 20*time.Second)
	setDefault(&c.MaxMessage, chunk.MaxSize)
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.Level(127)}))
	}
	return c
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// outSize is the size of chunks that we send. With 64 KiB most messages are one
// chunk, and no client is known to refuse it.
const outSize = 64 << 10

// strangerLimits hold until a peer has been let in: its commands are small.
var strangerLimits = chunk.Limits{Message: 64 << 10, Partial: 128 << 10, Streams: 8}

func (c Config) guestLimits() chunk.Limits {
	return chunk.Limits{Message: c.MaxMessage, Partial: 2 * max(c.MaxMessage, 64<<10), Streams: 64}
}
