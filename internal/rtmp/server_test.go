package rtmp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/access"
	"github.com/sluice-live/sluice/internal/rtmp/amf"
	"github.com/sluice-live/sluice/internal/rtmp/chunk"
	"github.com/sluice-live/sluice/internal/rtmp/handshake"
)

func TestTarget(t *testing.T) {
	for _, c := range []struct {
		app, tcURL, stream string
		wantApp, wantName  string
		query              string
	}{
		{"live", "rtmp://h/live", "KEY", "live", "KEY", ""},
		{"live/", "rtmp://h/live/", "KEY", "live", "KEY", ""},
		{"live/KEY", "rtmp://h/live/KEY", "", "live", "KEY", ""},
		{"live/KEY/", "", "", "live", "KEY", ""},
		{"live", "rtmp://h/live", "", "live", "", ""},
		{"live/room", "rtmp://h/live/room", "KEY", "live/room", "KEY", ""},
		{"live", "rtmp://h/live", "KEY?token=a&x=1", "live", "KEY", "token=a&x=1"},
		{"live?token=a", "rtmp://h/live?token=a", "KEY", "live", "KEY", "token=a"},
		{"live/KEY?token=a", "", "", "live", "KEY", "token=a"},
		{"live", "rtmp://h/live?token=a", "KEY", "live", "KEY", "token=a"},
		{"live?token=a", "", "KEY?token=b", "live", "KEY", "token=b"},
		{"", "rtmp://h", "/KEY", "", "KEY", ""},
		{"live", "", "KEY?%zz&token=a", "live", "KEY", "token=a"},
	} {
		app, name, q := target(c.app, c.tcURL, c.stream)
		want, err := url.ParseQuery(c.query)
		require.NoError(t, err)
		assert.Equal(t, c.wantApp, app, "%+v", c)
		assert.Equal(t, c.wantName, name, "%+v", c)
		assert.Equal(t, want, q, "%+v", c)
	}
}

// dialed connects a client and returns it with what Accept made of it.
func dialed(t testing.TB, addr string, conns chan *ServerConn, path string, play bool) (*Client, *ServerConn, chan error) {
	ctx := testContext(t)
	c, err := Dial(ctx, "rtmp://"+addr+path, Config{Digests: play})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	answered := make(chan error, 1)
	go func() {
		if play {
			_, err := c.Play(ctx)
			answered <- err
			return
		}
		answered <- c.Publish(ctx, time.Time{})
	}()
	sc := <-conns
	t.Cleanup(func() { _ = sc.Close() })
	return c, sc, answered
}

func TestRefusals(t *testing.T) {
	addr, conns := accepted(t, Config{})
	for _, c := range []struct {
		play bool
		err  error
		code string
	}{
		{false, fmt.Errorf("stream key is not known: %w", access.ErrDenied), "NetStream.Publish.Denied"},
		{false, fmt.Errorf("demo: %w", access.ErrBusy), "NetStream.Publish.BadName"},
		{false, errors.New(strings.Repeat("ü", 1000)), "NetStream.Publish.Denied"},
		{true, access.ErrNotFound, "NetStream.Play.StreamNotFound"},
		{true, access.ErrDenied, "NetStream.Play.Failed"},
	} {
		client, sc, answered := dialed(t, addr, conns, "/app/name", c.play)
		assert.Equal(t, c.play, sc.Play())
		assert.Equal(t, "name", sc.Request().Name)
		rejected := make(chan error, 1)
		go func() { rejected <- sc.Reject(c.err) }()
		var status *StatusError
		require.ErrorAs(t, <-answered, &status)
		assert.Equal(t, c.code, status.Code)
		assert.True(t, strings.HasPrefix(c.err.Error(), status.Description))
		assert.NotEmpty(t, status.Description)
		require.NoError(t, client.Close())
		require.NoError(t, <-rejected)
	}
}

func TestPublishEnds(t *testing.T) {
	addr, conns := accepted(t, Config{IdleTimeout: 300 * time.Millisecond})
	for name, c := range map[string]struct {
		end  func(*Client)
		want error
	}{
		"graceful": {func(c *Client) { _ = c.Close() }, io.EOF},
		"abrupt":   {func(c *Client) { _ = c.nc.Close() }, io.ErrUnexpectedEOF},
		"reset":    {func(c *Client) { _ = c.nc.(*net.TCPConn).SetLinger(0); _ = c.nc.Close() }, io.ErrUnexpectedEOF},
		"silent":   {func(c *Client) {}, ErrIdle},
		"within a message": {func(c *Client) {
			b := chunk.Append(nil, chunk.Message{ID: 6, Type: chunk.TypeVideo, Data: make([]byte, 1000)}, outSize)
			_, _ = c.nc.Write(b[:500])
			_ = c.nc.Close()
		}, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			client, sc, answered := dialed(t, addr, conns, "/live/KEY", false)
			ctx := testContext(t)
			pub, err := sc.Publish(ctx)
			require.NoError(t, err)
			require.NoError(t, <-answered)
			c.end(client)
			for range 2 {
				_, err = pub.ReadPacket(ctx)
				require.ErrorIs(t, err, c.want)
			}
			if c.want == io.EOF {
				require.Equal(t, io.EOF, err)
			}
			require.NoError(t, pub.Close())
			require.NoError(t, pub.Close())
		})
	}
}

func TestReadPacketGoesOnAfterContext(t *testing.T) {
	addr, conns := accepted(t, Config{})
	client, sc, answered := dialed(t, addr, conns, "/live/KEY", false)
	ctx := testContext(t)
	pub, err := sc.Publish(ctx)
	require.NoError(t, err)
	require.NoError(t, <-answered)
	g := &generator{video: testVideo(t, 640), began: time.Unix(1.7e9, 0), gop: 10, size: 100_000}
	require.NoError(t, client.WritePacket(ctx, g.frame()))
	nextMedia(t, pub)
	for n := 1; n < 20; n++ {
		short, cancel := context.WithTimeout(ctx, 2*time.Millisecond)
		_, err := pub.ReadPacket(short)
		cancel()
		require.Equal(t, context.DeadlineExceeded, err)
		require.NoError(t, client.WritePacket(ctx, g.frame()))
		require.Equal(t, n, sampleNumber(nextMedia(t, pub).Data))
	}
	// Another goroutine's Close ends the reading.
	go func() { _ = pub.Close() }()
	_, err = pub.ReadPacket(ctx)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestClientNoticesThatServerLeaves(t *testing.T) {
	addr, conns := accepted(t, Config{})
	client, sc, answered := dialed(t, addr, conns, "/live/KEY", false)
	_, err := sc.Publish(testContext(t))
	require.NoError(t, err)
	require.NoError(t, <-answered)
	require.NoError(t, sc.write(onStatus(mediaStream, "error", "NetStream.Publish.Denied", "key was rotated")))
	require.NoError(t, sc.Close())
	<-client.done
	g := &generator{video: testVideo(t, 640), began: time.Unix(1.7e9, 0), gop: 10, size: 1000}
	err = client.WritePacket(testContext(t), g.frame())
	var status *StatusError
	require.ErrorAs(t, err, &status)
	assert.Equal(t, "key was rotated", status.Description)
}

func TestClientIsBounded(t *testing.T) {
	addr := listen(t, func(ctx context.Context, nc net.Conn) { <-ctx.Done() })
	_, err := Dial(testContext(t), "rtmp://"+addr+"/live/KEY", Config{HandshakeTimeout: 50 * time.Millisecond})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	ctx, cancel := context.WithTimeout(testContext(t), 50*time.Millisecond)
	defer cancel()
	_, err = Dial(ctx, "rtmp://"+addr+"/live/KEY", Config{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	for _, bad := range []string{"http://h/a/b", "rtmp:///a", "rtmps://h/a/b", ":"} {
		_, err = Dial(ctx, bad, Config{})
		require.Error(t, err)
	}

	gone := listen(t, func(ctx context.Context, nc net.Conn) { _ = handshake.Server(nc) })
	_, err = Dial(testContext(t), "rtmp://"+gone+"/live/KEY", Config{})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

// shaken is what a client has sent when the handshake is over.
func shaken() []byte { return append([]byte{3}, make([]byte, 3072)...) }

func commands(ms ...chunk.Message) []byte {
	b := shaken()
	for _, m := range ms {
		b = chunk.Append(b, m, chunk.DefaultSize)
	}
	return b
}

// What strangers send ends their connection and nobody else's.
func TestAcceptRefusesBadInput(t *testing.T) {
	random := make([]byte, 100_000)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(random)
	connect := call("connect", 1, amf.Object{{Name: "app", Value: "live"}})
	bomb := chunk.Message{ID: 3, Type: chunk.TypeCommandAMF0, Data: bytes.Repeat([]byte{3, 0, 1, 'a'}, 10_000)}
	wide := chunk.Message{ID: 3, Type: chunk.TypeCommandAMF0, Data: []byte{0x0a, 0xff, 0xff, 0xff, 0xff}}
	long := append(shaken(), 3, 0, 0, 0, 0xff, 0xff, 0xff, 20, 0, 0, 0, 0)
	many := make([]chunk.Message, 100)
	for i := range many {
		many[i] = connect
	}
	for name, c := range map[string]struct {
		in   []byte
		want error
	}{
		"random bytes":         {random, handshake.ErrProtocol},
		"random after shaking": {append(shaken(), bytes.Repeat([]byte{0xee}, 1000)...), chunk.ErrProtocol},
		"HTTP":                 {[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), handshake.ErrProtocol},
		"truncated handshake":  {shaken()[:2000], io.ErrUnexpectedEOF},
		"nothing":              {nil, io.ErrUnexpectedEOF},
		"AMF bomb":             {commands(connect, bomb), amf.ErrTooComplex},
		"AMF array of 2^32":    {commands(connect, wide), amf.ErrTruncated},
		"a length of 16 MiB":   {long, chunk.ErrTooLarge},
		"commands without end": {commands(many...), ErrProtocol},
		"publish at once":      {commands(call("publish", 1, nil, "KEY")), ErrProtocol},
		"no name":              {commands(chunk.Message{ID: 3, Type: chunk.TypeCommandAMF0, Data: amf.Append(nil, 1)}), ErrProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			failed := make(chan error, 1)
			addr := listen(t, func(ctx context.Context, nc net.Conn) {
				_, err := Accept(ctx, nc, Config{})
				failed <- err
			})
			nc, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			defer nc.Close()
			go func() { _, _ = io.Copy(io.Discard, nc) }()
			_, _ = nc.Write(c.in)
			_ = nc.(*net.TCPConn).CloseWrite()
			require.ErrorIs(t, <-failed, c.want)
		})
	}
}

func TestSilentConnectionsTimeOut(t *testing.T) {
	failed := make(chan error, 500)
	addr := listen(t, func(ctx context.Context, nc net.Conn) {
		_, err := Accept(ctx, nc, Config{HandshakeTimeout: time.Second})
		failed <- err
	})
	for range 500 {
		nc, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer nc.Close()
	}
	for range 500 {
		require.ErrorIs(t, <-failed, context.DeadlineExceeded)
	}
}

// Accept's time bounds a peer that reads nothing of what it asks for, too.
func TestAcceptBoundsWriting(t *testing.T) {
	server, client := net.Pipe()
	defer client.Close()
	go func() { _, _ = client.Write(shaken()) }() // and reads nothing
	_, err := Accept(testContext(t), server, Config{HandshakeTimeout: 50 * time.Millisecond})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// What encoders send around publish is answered or passed over.
func TestToleratesCommands(t *testing.T) {
	addr, conns := accepted(t, Config{})
	ctx := testContext(t)
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer nc.Close()
	c := &Client{conn: newConn(nc, Config{})}
	require.NoError(t, handshake.Client(nc, false))
	c.letIn()
	amf3 := call("connect", 1, amf.Object{
		{Name: "app", Value: "live"}, {Name: "objectEncoding", Value: 3}, {Name: "fourCcList", Value: []any{"avc1"}},
	})
	amf3.Type, amf3.Data = chunk.TypeCommandAMF3, append([]byte{0}, amf3.Data...)
	small := func(ms ...chunk.Message) { // chunks of 128 bytes, as before any Set Chunk Size
		var b []byte
		for _, m := range ms {
			b = chunk.Append(b, m, chunk.DefaultSize)
		}
		_, err := nc.Write(b)
		require.NoError(t, err)
	}
	window := control(chunk.TypeWindowAckSize, 1000)
	small(window, amf3)
	require.NoError(t, c.within(ctx, func() error {
		res, err := c.await(1)
		assert.Equal(t, []any{"avc1", "hvc1", "av01", "vp09", "vp08", "mp4a", ".mp3", "Opus", "ac-3"}, amf.Members(res.arg(1)).Get("fourCcList"))
		return err
	}))
	small(
		call("releaseStream", 2, nil, "KEY"), call("FCPublish", 3, nil, "KEY"), call("_checkbw", 4, nil),
		call("getStreamLength", 5, nil, "KEY"), call("somethingNew", 6, nil, 1), call("onBWDone", 0, nil),
		userControl(eventPing, 77), userControl(3, 1), control(chunk.TypePeerBandwidth, 5000),
		chunk.Message{ID: 2, Type: chunk.TypeUserControl, Data: []byte{1}}, // too short to mean anything
		chunk.Message{ID: 2, Type: 99, Data: []byte("?")},
	)
	var names []string
	acknowledged, ponged := false, false
	require.NoError(t, c.within(ctx, func() error {
		for {
			m, err := c.r.ReadMessage()
			if err != nil {
				return err
			}
			switch {
			case m.Type == chunk.TypeAck:
				acknowledged = true
			case m.Type == chunk.TypeUserControl:
				ponged = bytes.Equal([]byte{0, 7, 0, 0, 0, 77}, m.Data)
			case isCommand(m):
				cmd, err := parseCommand(m)
				require.NoError(t, err)
				names = append(names, fmt.Sprint(cmd.name, cmd.tx))
			}
			if ponged && len(names) == 6 {
				return nil
			}
		}
	}))
	assert.Equal(t, []string{"_result2", "onFCPublish0", "_result3", "_result4", "_result5", "_result6"}, names)
	assert.True(t, acknowledged)
	small(call("createStream", 7, nil), call("publish", 8, nil, "KEY", "live"))
	sc := <-conns
	assert.Equal(t, "KEY", sc.Request().Name)
	_, err = sc.Publish(ctx)
	require.NoError(t, err)
	require.NoError(t, sc.Close())
}
