package rtmp

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/access"
	"github.com/sluice-live/sluice/internal/rtmp/amf"
	"github.com/sluice-live/sluice/internal/rtmp/chunk"
	"github.com/sluice-live/sluice/internal/rtmp/handshake"
)

func TestRedirected(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"rtmp://a/live/KEY", "rtmp://b:1936/live", "rtmp://b:1936/live/KEY"},
		{"rtmp://a/live/KEY", "rtmp://b/other/room/", "rtmp://b/other/room/KEY"},
		{"rtmp://a/live/KEY", "rtmp://b/live/KEY", "rtmp://b/live/KEY"},
		{"rtmp://a/live/KEY?x=1", "rtmps://b/live/KEY", "rtmps://b/live/KEY?x=1"},
		{"rtmp://a/live/KEY?x=1", "rtmp://b/live?y=2", "rtmp://b/live/KEY?y=2"},
		{"rtmps://a/live/KEY", "rtmp://b/live", ""},
		{"rtmp://a/live/KEY", "http://b/live", ""},
		{"rtmp://a/live/KEY", "rtmp:///live", ""},
		{"rtmp://a/live/KEY", "://", ""},
	} {
		got, err := redirected(c.from, c.to)
		assert.Equal(t, c.want, got, "%+v", c)
		if c.want == "" {
			require.Error(t, err)
			assert.NotContains(t, err.Error(), "KEY")
		}
	}
}

// stranger is a server with answers of its own: on takes a command first, and
// reports whether it has answered it.
func stranger(t *testing.T, on func(*ServerConn, command) (bool, error)) (addr string) {
	return listen(t, func(ctx context.Context, nc net.Conn) {
		c := &ServerConn{conn: newConn(nc, Config{})}
		_ = c.within(ctx, func() error {
			err := handshake.Server(struct {
				io.Reader
				io.Writer
			}{c.in, c.nc})
			for err == nil {
				var m chunk.Message
				if m, err = c.read(); err != nil || !isCommand(m) {
					continue
				}
				var cmd command
				if cmd, err = parseCommand(m); err != nil {
					return err
				}
				var done bool
				if done, err = on(c, cmd); err == nil && !done {
					_, err = c.setUp(cmd)
				}
			}
			return err
		})
	})
}

func TestDialFollowsRedirect(t *testing.T) {
	addr, conns := accepted(t, Config{})
	asked := 0
	redirect := stranger(t, func(c *ServerConn, cmd command) (bool, error) {
		if cmd.name != "connect" {
			return false, nil
		}
		asked++
		return true, c.write(append(hello(), call("_error", cmd.tx, nil, amf.Object{
			{Name: "level", Value: "error"},
			{Name: "code", Value: "NetConnection.Connect.Rejected"},
			{Name: "description", Value: "go there"},
			{Name: "ex", Value: amf.Object{{Name: "code", Value: 302}, {Name: "redirect", Value: "rtmp://" + addr + "/there"}}},
		}))...)
	})
	_, sc, _ := dialed(t, redirect, conns, "/live/KEY?token=a", false)
	assert.Equal(t, "there", sc.App())
	assert.Equal(t, "KEY", sc.Request().Name)
	assert.Equal(t, "a", sc.Request().Token)
	assert.Equal(t, 1, asked)
}

func TestDialEndsCircleOfRedirects(t *testing.T) {
	var addr string
	addr = stranger(t, func(c *ServerConn, cmd command) (bool, error) {
		ex := amf.Object{{Name: "code", Value: 302}, {Name: "redirect", Value: "rtmp://" + addr + "/live"}}
		return true, c.write(call("_error", cmd.tx, nil, amf.Object{{Name: "code", Value: "x"}, {Name: "ex", Value: ex}}))
	})
	_, err := Dial(testContext(t), "rtmp://"+addr+"/live/KEY", Config{})
	require.ErrorContains(t, err, "redirects")
}

// pushed is a server that takes whoever publishes, and a way to publish to it
// from one Fanout.
type pushed struct {
	stream sluice.Stream
	fan    *Fanout
	addr   string
	conns  chan *ServerConn
}

func newPushed(t *testing.T, cfg FanoutConfig) *pushed {
	p := &pushed{}
	subscribe := func() sluice.Source { return p.stream.Subscribe(sluice.Subscription{}) }
	p.fan = NewPushFanout(subscribe, p.stream.Began, mediaStream, cfg)
	p.addr, p.conns = accepted(t, Config{})
	return p
}

func (p *pushed) write(t *testing.T, in sluice.Packet) {
	require.NoError(t, p.stream.Write(testContext(t), in))
}

// start publishes and returns both sides and what Fanout.Publish returns.
func (p *pushed) start(ctx context.Context, t *testing.T) (*Client, *Publisher, chan error) {
	client, sc, answered := dialed(t, p.addr, p.conns, "/live/KEY", false)
	pub, err := sc.Publish(testContext(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = pub.Close() })
	require.NoError(t, <-answered)
	done := make(chan error, 1)
	go func() { done <- p.fan.Publish(ctx, client) }()
	return client, pub, done
}

func TestPushFanout(t *testing.T) {
	p := newPushed(t, FanoutConfig{})
	g := &generator{video: testVideo(t, 1280), audio: testAudio(t), began: time.Unix(1.7e9, 0), gop: 10, size: 1000}
	for range 15 {
		p.write(t, g.frame())
		p.write(t, g.sound())
	}
	ctx, cancel := context.WithCancel(testContext(t))
	client, first, done := p.start(ctx, t)
	_, second, done2 := p.start(testContext(t), t)
	for range 5 {
		p.write(t, g.frame())
		p.write(t, g.sound())
	}
	for _, pub := range []*Publisher{first, second} {
		for n := 10; n < 20; n++ {
			v := nextMedia(t, pub)
			assert.Equal(t, sample(n == 10, n, 1000), v.Data)
			assert.EqualValues(t, n*40, v.DTS)
			assert.Equal(t, []byte{0x21, byte(n + 1), 3, 4}, nextMedia(t, pub).Data)
		}
		assert.True(t, pub.Metadata().Known, "metadata must be set")
	}
	assert.Equal(t, 1, p.stream.Stats().Subscribers)
	assert.GreaterOrEqual(t, client.Stats().Packets, uint64(20))
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	_, err := first.ReadPacket(testContext(t))
	require.Equal(t, io.EOF, err, "a target detached is told of the end")

	g.video = testVideo(t, 640) // another encoder takes over
	g.n = 30
	p.write(t, g.frame())
	v := nextMedia(t, second)
	assert.Equal(t, 640, v.Track.Width)
	assert.EqualValues(t, 1200, v.DTS)
	p.stream.End(nil)
	require.NoError(t, <-done2)
	_, err = second.ReadPacket(testContext(t))
	require.Equal(t, io.EOF, err)
}

func TestPushFanoutReportsWhatTheServerSays(t *testing.T) {
	p := newPushed(t, FanoutConfig{})
	client, sc, answered := dialed(t, p.addr, p.conns, "/live/KEY", false)
	_, err := sc.Publish(testContext(t))
	require.NoError(t, err)
	require.NoError(t, <-answered)
	done := make(chan error, 1)
	go func() { done <- p.fan.Publish(testContext(t), client) }()
	require.NoError(t, sc.Reject(access.ErrDenied))
	var status *StatusError
	require.ErrorAs(t, <-done, &status)
	assert.Equal(t, "NetStream.Publish.Denied", status.Code)

	_, pub, done := p.start(testContext(t), t)
	require.NoError(t, pub.Close())
	require.ErrorIs(t, <-done, io.ErrUnexpectedEOF)
}

func TestPushFanoutEndsBeforeItBegan(t *testing.T) {
	p := newPushed(t, FanoutConfig{})
	_, _, done := p.start(testContext(t), t)
	p.stream.End(io.ErrNoProgress)
	require.ErrorIs(t, <-done, io.ErrNoProgress)
}

// A server that takes nothing ends alone.
func TestPushFanoutDeafServer(t *testing.T) {
	p := newPushed(t, FanoutConfig{WriteTimeout: 500 * time.Millisecond, Backlog: 1 << 30, BacklogTime: time.Hour})
	_, good, goodDone := p.start(testContext(t), t)
	client, sc, answered := dialed(t, p.addr, p.conns, "/live/KEY", false)
	require.NoError(t, sc.nc.(*net.TCPConn).SetReadBuffer(4<<10))
	_, err := sc.Publish(testContext(t))
	require.NoError(t, err)
	require.NoError(t, <-answered)
	done := make(chan error, 1)
	go func() { done <- p.fan.Publish(testContext(t), client) }()
	g := &generator{video: testVideo(t, 1280), began: time.Unix(1.7e9, 0), gop: 10, size: 100_000}
	gone := false
	for n := 0; !gone; n++ {
		p.write(t, g.frame())
		require.Equal(t, n, sampleNumber(nextMedia(t, good).Data))
		select {
		case err := <-done:
			require.ErrorIs(t, err, ErrSlow)
			gone = true
		default:
		}
	}
	p.stream.End(nil)
	require.NoError(t, <-goodDone)
}

// Servers give out the message stream that media has to be sent on.
func TestPublishOnTheServersMessageStream(t *testing.T) {
	got := make(chan uint32, 100)
	addr := listen(t, func(ctx context.Context, nc net.Conn) {
		c := &ServerConn{conn: newConn(nc, Config{})}
		_ = c.within(ctx, func() error {
			err := handshake.Server(struct {
				io.Reader
				io.Writer
			}{c.in, c.nc})
			c.letIn()
			for err == nil {
				var m chunk.Message
				if m, err = c.read(); err != nil {
					return err
				}
				if !isCommand(m) {
					got <- m.Stream
					continue
				}
				cmd, _ := parseCommand(m)
				switch cmd.name {
				case "createStream":
					err = c.write(result(cmd.tx, nil, 7))
				case "publish":
					err = c.write(onStatus(7, "status", "NetStream.Publish.Start", "go on"))
				default:
					_, err = c.setUp(cmd)
				}
			}
			return err
		})
	})
	ctx := testContext(t)
	g := &generator{video: testVideo(t, 1280), began: time.Unix(1.7e9, 0), gop: 10, size: 1000}
	var stream sluice.Stream
	require.NoError(t, stream.Write(ctx, g.frame()))
	for _, fanned := range []bool{false, true} {
		c, err := Dial(ctx, "rtmp://"+addr+"/live/KEY", Config{})
		require.NoError(t, err)
		require.NoError(t, c.Publish(ctx, time.Time{}))
		require.EqualValues(t, 7, c.MessageStream())
		if !fanned {
			require.NoError(t, c.WritePacket(ctx, g.frame()))
			require.NoError(t, c.Close())
		} else {
			own, cancel := context.WithCancelCause(ctx)
			subscribe := func() sluice.Source { return stream.Subscribe(sluice.Subscription{}) }
			done := make(chan error, 1)
			go func() { done <- NewPushFanout(subscribe, stream.Began, 7, FanoutConfig{}).Publish(own, c) }()
			require.Eventually(t, func() bool { return c.Stats().Packets > 0 }, 10*time.Second, time.Millisecond)
			cancel(errors.New("enough"))
			<-done
		}
		for range 3 { // metadata, configuration, frame
			assert.EqualValues(t, 7, <-got)
		}
	}
}
