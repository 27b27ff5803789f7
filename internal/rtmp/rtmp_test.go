package rtmp

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/testmedia"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv("RTMP_PLAYERS"); spec != "" {
		if err := runPlayers(spec); err != nil {
			fmt.Fprintln(os.Stderr, "players:", err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// listen accepts connections on a port of its own and hands each to serve, in a
// goroutine. The test ends when all have returned.
func listen(t testing.TB, serve func(ctx context.Context, nc net.Conn)) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	running := make(chan struct{}, 10000)
	go func() {
		defer close(done)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			running <- struct{}{}
			go func() {
				serve(ctx, nc)
				_ = nc.Close()
				<-running
			}()
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		<-done
		for range cap(running) {
			running <- struct{}{}
		}
	})
	return l.Addr().String()
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// accepted hands out the connections that come as far as publish or play.
func accepted(t testing.TB, cfg Config) (addr string, conns chan *ServerConn) {
	conns = make(chan *ServerConn)
	return listen(t, func(ctx context.Context, nc net.Conn) {
		c, err := Accept(ctx, nc, cfg)
		if err != nil {
			t.Logf("accept: %v", err)
			return
		}
		select {
		case conns <- c:
			<-ctx.Done() // the test owns the connection
		case <-ctx.Done():
		}
	}), conns
}

func TestFFmpegPublishes(t *testing.T) {
	clip := testmedia.Clip(t, testmedia.Spec{Audio: "aac", BFrames: 2, Seconds: 4})
	addr, conns := accepted(t, Config{})
	testmedia.Publish(testContext(t), t, clip, "rtmp://"+addr+"/live/KEY?token=abc&x=1")
	c := <-conns
	assert.False(t, c.Play())
	assert.Equal(t, "live", c.App())
	assert.Equal(t, "KEY", c.Request().Name)
	assert.Equal(t, "abc", c.Request().Token)
	assert.Equal(t, "1", c.Request().Query.Get("x"))
	assert.Contains(t, c.Request().Agent, "FMLE")
	pub, err := c.Publish(testContext(t))
	require.NoError(t, err)
	defer pub.Close()
	var video, audio, keys int
	for video+audio < 200 {
		p, err := pub.ReadPacket(testContext(t))
		require.NoError(t, err)
		require.Contains(t, pub.Tracks(), p.Track)
		switch {
		case p.Data == nil:
		case p.Track.Kind == sluice.Video:
			require.GreaterOrEqual(t, p.PTS, p.DTS)
			video++
			if p.Key {
				keys++
			}
		default:
			audio++
		}
	}
	assert.Greater(t, keys, 1)
	assert.Greater(t, audio, 20)
	require.Len(t, pub.Tracks(), 2)
	assert.Equal(t, 640, pub.Tracks()[0].Width)
	assert.Equal(t, 48000, pub.Tracks()[1].SampleRate)
	meta := pub.Metadata()
	assert.True(t, meta.Known && meta.HasVideo && meta.HasAudio)
	assert.InDelta(t, 30, meta.FrameRate, 0)
	assert.Zero(t, pub.Stats().Dropped)
}

// nopConn is a peer that has gone.
type nopConn struct{ net.Conn }

func (nopConn) Read([]byte) (int, error)         { return 0, io.EOF }
func (nopConn) Write(b []byte) (int, error)      { return len(b), nil }
func (nopConn) SetReadDeadline(time.Time) error  { return nil }
func (nopConn) SetWriteDeadline(time.Time) error { return nil }
func (nopConn) RemoteAddr() net.Addr             { return nil }
