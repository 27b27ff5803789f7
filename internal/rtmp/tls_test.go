package rtmp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/testmedia"
)

// testTLS returns the configurations of a server and of a client that trusts it.
func testTLS() (server, client *tls.Config) {
	s := httptest.NewTLSServer(nil)
	s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates}, &tls.Config{RootCAs: roots}
}

// newTLSSite is a site that is played over TLS as well as without.
func newTLSSite(t testing.TB, cfg FanoutConfig) (s *site, secure string, client *tls.Config) {
	s = newSite(t, cfg)
	server, client := testTLS()
	secure = listen(t, func(ctx context.Context, nc net.Conn) {
		c, err := Accept(ctx, tls.Server(nc, server), Config{})
		if err != nil {
			t.Logf("accept: %v", err)
			return
		}
		assert.Equal(t, "rtmps", c.Request().Protocol)
		s.served <- s.fan.Serve(ctx, c)
	})
	return s, secure, client
}

func TestRTMPSPlays(t *testing.T) {
	s, addr, client := newTLSSite(t, FanoutConfig{})
	ctx := testContext(t)
	_, err := Dial(ctx, "rtmps://"+addr+"/play/demo", Config{})
	require.ErrorContains(t, err, "certificate", "nobody vouches for it")

	c, err := Dial(ctx, "rtmps://"+addr+"/play/demo", Config{TLS: client})
	require.NoError(t, err)
	p, err := c.Play(ctx)
	require.NoError(t, err)
	plain := s.play(t)
	g := &generator{video: testVideo(t, 1280), audio: testAudio(t), began: time.Unix(1.7e9, 0), gop: 10, size: 200_000}
	for n := range 30 {
		s.write(t, g.frame())
		for _, p := range []*Publisher{p, plain} {
			require.Equal(t, sample(n%10 == 0, n, 200_000), nextMedia(t, p).Data)
		}
	}
	s.stream.End(nil)
	_, err = p.ReadPacket(ctx)
	require.ErrorContains(t, err, "EOF")
	require.NoError(t, p.Close())
	require.NoError(t, plain.Close())
	require.NoError(t, <-s.served)
	require.NoError(t, <-s.served)
}

func TestRTMPSPublishes(t *testing.T) {
	server, client := testTLS()
	conns := make(chan *ServerConn, 1)
	addr := listen(t, func(ctx context.Context, nc net.Conn) {
		c, err := Accept(ctx, tls.Server(nc, server), Config{})
		if assert.NoError(t, err) {
			conns <- c
			<-ctx.Done()
		}
	})
	ctx := testContext(t)
	c, err := Dial(ctx, "rtmps://"+addr+"/live/KEY", Config{TLS: client})
	require.NoError(t, err)
	published := make(chan error, 1)
	go func() { published <- c.Publish(ctx, time.Time{}) }()
	sc := <-conns
	assert.Equal(t, "KEY", sc.Request().Name)
	pub, err := sc.Publish(ctx)
	require.NoError(t, err)
	defer pub.Close()
	require.NoError(t, <-published)
	g := &generator{video: testVideo(t, 1280), began: time.Unix(1.7e9, 0), gop: 10, size: 70_000}
	for n := range 20 {
		require.NoError(t, c.WritePacket(ctx, g.frame()))
		require.Equal(t, n, sampleNumber(nextMedia(t, pub).Data))
	}
	require.NoError(t, c.Close())
	_, err = pub.ReadPacket(ctx)
	require.ErrorContains(t, err, "EOF")
}

// A player that takes nothing has the goroutine that writes to it to itself, and
// goes when its time is up.
func TestFanoutDeafTLSPlayerHarmsNobody(t *testing.T) {
	s, addr, client := newTLSSite(t, FanoutConfig{Backlog: 1 << 20, WriteTimeout: 500 * time.Millisecond})
	g := &generator{video: testVideo(t, 1280), began: time.Unix(1.7e9, 0), gop: 10, size: 100_000}
	s.write(t, g.frame())
	good := s.play(t)
	nextMedia(t, good)
	ctx := testContext(t)
	for range 3 { // more than there are shards, on most machines
		c, err := Dial(ctx, "rtmps://"+addr+"/play/demo", Config{TLS: client})
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.conn.nc.(*tls.Conn).NetConn().Close() })
		require.NoError(t, c.write(call("createStream", c.nextTx(), nil)))
		m := call("play", c.nextTx(), nil, "demo")
		m.Stream = mediaStream
		require.NoError(t, c.write(m))
	}
	require.Eventually(t, func() bool { return s.fan.Stats().Players == 4 }, 10*time.Second, time.Millisecond)
	for n, gone := 1, 0; gone < 3; n++ {
		s.write(t, g.frame())
		require.Equal(t, n, sampleNumber(nextMedia(t, good).Data))
		select {
		case err := <-s.served:
			require.ErrorIs(t, err, ErrSlow)
			gone++
		default:
		}
	}
	assert.EqualValues(t, 3, s.fan.Stats().TooSlow)
}

// FFmpeg publishes and plays over TLS.
func TestFFmpegRTMPS(t *testing.T) {
	ffmpeg := testmedia.Need(t, "ffmpeg")
	clip := testmedia.Clip(t, testmedia.Spec{Audio: "aac", BFrames: 2, Seconds: 4})
	s, secure, _ := newTLSSite(t, FanoutConfig{})
	server, _ := testTLS()
	conns := make(chan *ServerConn, 1)
	addr := listen(t, func(ctx context.Context, nc net.Conn) {
		if c, err := Accept(ctx, tls.Server(nc, server), Config{}); assert.NoError(t, err) {
			conns <- c
			<-ctx.Done()
		}
	})
	ctx, cancel := context.WithCancel(testContext(t))
	testmedia.Publish(ctx, t, clip, "rtmps://"+addr+"/live/KEY", "-tls_verify", "0")
	pub, err := (<-conns).Publish(ctx)
	require.NoError(t, err)
	relayed := make(chan error, 1)
	go func() { relayed <- relay(ctx, pub, s.stream) }()
	defer func() { cancel(); <-relayed }()

	out, err := exec.CommandContext(ctx, ffmpeg, "-nostdin", "-v", "error", "-xerror", "-tls_verify", "0",
		"-i", "rtmps://"+secure+"/play/demo", "-t", "2", "-f", "null", "-").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Empty(t, string(out))
	assert.Len(t, s.stream.Tracks(), 2)
	assert.Equal(t, sluice.AVC1, s.stream.Tracks()[0].Codec)
}
