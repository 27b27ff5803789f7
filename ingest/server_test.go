package ingest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/rtmp"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

// running is a Server that runs for a test, and what came out of it.
type running struct {
	*Server
	broadcasts atomic.Int32
	streams    chan *sluice.Stream
	stop       func() error
}

// serve starts a server whose broadcasts go into streams that Play finds.
func serve(t *testing.T, s *Server) *running {
	r := &running{Server: s, streams: make(chan *sluice.Stream, 16)}
	var playing atomic.Pointer[sluice.Stream]
	s.RTMP = "127.0.0.1:0"
	if s.Broadcast == nil {
		s.Broadcast = func(ctx context.Context, b *Broadcast) error {
			r.broadcasts.Add(1)
			stream := &sluice.Stream{}
			playing.Store(stream)
			r.streams <- stream
			return stream.Consume(ctx, b)
		}
	}
	if s.Play == nil {
		s.Play = func(context.Context, *Request) (*sluice.Stream, error) {
			if stream := playing.Load(); stream != nil {
				return stream, nil
			}
			return nil, ErrNotFound
		}
	}
	require.NoError(t, s.Listen())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { assert.NoError(t, r.stop()) })
	return r
}

// sender publishes AAC.
type sender struct {
	*rtmp.Client
	track *sluice.Track
	n     int64
}

func (r *running) publish(t *testing.T, path string) (*sender, error) {
	c, err := rtmp.Dial(t.Context(), "rtmp://"+r.RTMPAddr().String()+path, rtmp.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	if err := c.Publish(t.Context(), time.Unix(0, 0)); err != nil {
		return nil, err
	}
	aac, err := codec.AAC([]byte{0x11, 0x90})
	require.NoError(t, err)
	track := *aac
	track.ID = 2
	p := &sender{Client: c, track: &track}
	require.NoError(t, c.Describe(t.Context(), []*sluice.Track{p.track}))
	return p, nil
}

func (p *sender) send(t *testing.T, frames int) error {
	for range frames {
		dts := p.n * 1024
		p.n++
		err := p.WritePacket(t.Context(), sluice.Packet{Track: p.track, DTS: dts, PTS: dts, Dur: 1024, Key: true, Data: []byte{1, 2, 3}})
		if err != nil {
			return err
		}
	}
	return nil
}

func TestServerAuthorizesBeforeItSaysYes(t *testing.T) {
	r := serve(t, &Server{Authorize: func(_ context.Context, r *Request) (Grant, error) {
		if r.Name != "secret" {
			return Grant{}, fmt.Errorf("%w: stream key is not known (was it rotated?)", ErrDenied)
		}
		return Grant{Stream: "demo"}, nil
	}})
	_, err := r.publish(t, "/live/wrong")
	var refused *rtmp.StatusError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, "NetStream.Publish.Denied", refused.Code)
	assert.Contains(t, refused.Description, "was it rotated?")
	assert.Zero(t, r.broadcasts.Load())

	p, err := r.publish(t, "/live/secret")
	require.NoError(t, err)
	require.NoError(t, p.send(t, 100))
	sub := (<-r.streams).Subscribe(sluice.Subscription{})
	defer sub.Close()
	first, err := sub.ReadPacket(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 1, first.Track.Era)
}

func TestServerRefusesASecondPublisher(t *testing.T) {
	r := serve(t, &Server{})
	p, err := r.publish(t, "/live/demo")
	require.NoError(t, err)
	require.NoError(t, p.send(t, 10))
	_, err = r.publish(t, "/live/demo")
	var refused *rtmp.StatusError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, "NetStream.Publish.BadName", refused.Code)
	require.NoError(t, p.send(t, 10), "the first goes on")
	assert.EqualValues(t, 1, r.broadcasts.Load())
}

func TestServerRefusesBadNames(t *testing.T) {
	r := serve(t, &Server{})
	for _, name := range []string{"UPPER", "..%2Fetc", "-x", "a b"} {
		_, err := r.publish(t, "/live/"+name)
		var refused *rtmp.StatusError
		require.ErrorAs(t, err, &refused, name)
		assert.Equal(t, "NetStream.Publish.Denied", refused.Code)
	}
}

// A broadcast outlives its connection: another encoder goes on in it, and its
// numbers and era come after those before, also in the next broadcast.
func TestServerContinuesABroadcastAndItsNumbers(t *testing.T) {
	dir := Dir(t.TempDir())
	r := serve(t, &Server{Positions: dir, Grace: time.Minute})
	for range 2 {
		p, err := r.publish(t, "/live/demo")
		require.NoError(t, err)
		require.NoError(t, p.send(t, 100))
		require.NoError(t, p.Close())
		require.Eventually(t, func() bool { return !r.Broadcasts()[0].Stats().Live }, 10*time.Second, time.Millisecond)
	}
	assert.EqualValues(t, 1, r.broadcasts.Load())
	assert.EqualValues(t, 2, r.Broadcasts()[0].Stats().Era)
	require.NoError(t, r.stop())
	before, err := dir.Load(t.Context(), "demo")
	require.NoError(t, err)
	assert.EqualValues(t, 2, before.Era)

	r = serve(t, &Server{Positions: dir})
	p, err := r.publish(t, "/live/demo")
	require.NoError(t, err)
	sub := (<-r.streams).Subscribe(sluice.Subscription{Start: sluice.StartSegment})
	defer sub.Close()
	require.NoError(t, p.send(t, 100))
	first, err := sub.ReadPacket(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 3, first.Track.Era)
	assert.Equal(t, before.Numbers[2]+1, first.Segment)
	assert.False(t, first.Track.Time(first.DTS).Before(before.End))
}

func TestServerPlays(t *testing.T) {
	r := serve(t, &Server{})
	url := "rtmp://" + r.RTMPAddr().String() + "/play/demo"
	early, err := rtmp.Dial(t.Context(), url, rtmp.Config{})
	require.NoError(t, err)
	_, err = early.Play(t.Context())
	var refused *rtmp.StatusError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, "NetStream.Play.StreamNotFound", refused.Code)
	early.Close()

	p, err := r.publish(t, "/live/demo")
	require.NoError(t, err)
	require.NoError(t, p.send(t, 100))
	<-r.streams
	c, err := rtmp.Dial(t.Context(), url, rtmp.Config{})
	require.NoError(t, err)
	defer c.Close()
	play, err := c.Play(t.Context())
	require.NoError(t, err)
	for frames := 0; frames < 5; {
		require.NoError(t, p.send(t, 1), "it may join behind what was sent")
		got, err := play.ReadPacket(t.Context())
		require.NoError(t, err)
		if got.Data != nil {
			assert.Equal(t, []byte{1, 2, 3}, got.Data)
			frames++
		}
	}
	go r.stop()
	for err == nil {
		_, err = play.ReadPacket(t.Context())
	}
	assert.Equal(t, io.EOF, err, "the player is told of the end")
}

func TestServerEndsAPublisherOverItsLimit(t *testing.T) {
	r := serve(t, &Server{Limits: Limits{Bitrate: 100}})
	p, err := r.publish(t, "/live/demo")
	require.NoError(t, err)
	for err == nil { // until the server hangs up
		err = p.send(t, 50)
	}
	assert.ErrorContains(t, err, "more than 100 bit/s", "it is told why")
}

func TestServerSurvivesTheApplication(t *testing.T) {
	s := &Server{RTMP: "127.0.0.1:0", Broadcast: func(context.Context, *Broadcast) error { panic("bug") }}
	require.NoError(t, s.Listen())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	r := &running{Server: s}
	for range 3 {
		c, err := rtmp.Dial(t.Context(), "rtmp://"+r.RTMPAddr().String()+"/live/demo", rtmp.Config{})
		require.NoError(t, err)
		_ = c.Publish(t.Context(), time.Unix(0, 0)) // may be cut off at once
		require.NoError(t, c.Close())
	}
	cancel()
	require.NoError(t, <-ended)
}

func TestServerBoundsConnections(t *testing.T) {
	r := serve(t, &Server{Conns: ConnLimits{Max: 5, PerAddr: 3}})
	var open []net.Conn
	for range 4 {
		c, err := net.Dial("tcp", r.RTMPAddr().String())
		require.NoError(t, err)
		defer c.Close()
		open = append(open, c)
	}
	require.Eventually(t, func() bool { return r.ConnStats().Refused == 1 }, 10*time.Second, time.Millisecond)
	_, err := open[3].Read(make([]byte, 1))
	assert.Error(t, err, "the fourth is closed")
	assert.Equal(t, 3, r.ConnStats().Open)
}

func TestLimits(t *testing.T) {
	video, audio := &sluice.Track{ID: 1, Kind: sluice.Video, Width: 4096, Height: 2160}, &sluice.Track{ID: 2, Kind: sluice.Audio}
	frames := func(n int, tracks ...*sluice.Track) (all []sluice.Packet) {
		for range n {
			for _, track := range tracks {
				all = append(all, sluice.Packet{Track: track, Data: make([]byte, 1000)})
			}
		}
		return all
	}
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			limits Limits
			in     []sluice.Packet
			every  time.Duration
			said   string
		}{
			"width":      {Limits{Width: 1920}, frames(1, video), 0, "picture 4096 pixels wide, at most 1920"},
			"height":     {Limits{Height: 1080}, frames(1, video), 0, "picture 2160 pixels high, at most 1080"},
			"bitrate":    {Limits{Bitrate: 799}, frames(1, audio), 0, "more than 799 bit/s over 10s"},
			"duration":   {Limits{Duration: time.Second}, frames(3, audio), time.Second, "published for 2s, at most 1s"},
			"tracks":     {Limits{Tracks: 1}, frames(1, video, audio), 0, "more than 1 tracks"},
			"frame rate": {Limits{FrameRate: 30}, frames(400, video), time.Second / 32, "more than 30 frames a second over 10s"},

			"within all":     {Limits{Width: 4096, Height: 2160, Bitrate: 1e6, Duration: time.Hour, Tracks: 2, FrameRate: 30}, frames(2000, video, audio), time.Second / 60, ""},
			"sound has none": {Limits{FrameRate: 30}, frames(2000, audio), time.Second / 60, ""},
			"none":           {Limits{}, frames(2000, video, audio), 0, ""},
		} {
			g := guard(&sluicetest.Slice{Packets: c.in}, c.limits)
			var err error
			for err == nil {
				_, err = g.ReadPacket(t.Context())
				time.Sleep(c.every)
			}
			if c.said == "" {
				assert.Equal(t, io.EOF, err, name)
				continue
			}
			assert.ErrorIs(t, err, ErrLimit, name)
			assert.ErrorContains(t, err, c.said, name)
		}
	})
	assert.Equal(t, Limits{Width: 1}, Limits{Width: 1}.or(Limits{Width: 2}))
	assert.Equal(t, Limits{Width: 2}, Limits{}.or(Limits{Width: 2}))
}

// RTMPS takes publishers and players as RTMP does.
func TestRTMPS(t *testing.T) {
	web := httptest.NewTLSServer(nil)
	web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	client := rtmp.Config{TLS: &tls.Config{RootCAs: roots}}

	r := serve(t, &Server{RTMPS: "127.0.0.1:0", TLS: &tls.Config{Certificates: web.TLS.Certificates}})
	addr := "rtmps://" + r.RTMPSAddr().String()
	pub, err := rtmp.Dial(t.Context(), addr+"/live/demo", client)
	require.NoError(t, err)
	defer pub.Close()
	require.NoError(t, pub.Publish(t.Context(), time.Unix(0, 0)))
	aac, err := codec.AAC([]byte{0x11, 0x90})
	require.NoError(t, err)
	track := *aac
	track.ID = 2
	write := func(n int64) {
		p := sluice.Packet{Track: &track, DTS: n * 1024, PTS: n * 1024, Key: true, Data: []byte{0x21, byte(n)}}
		require.NoError(t, pub.WritePacket(t.Context(), p))
	}
	for n := range int64(100) {
		write(n)
	}
	stream := <-r.streams
	require.Eventually(t, func() bool { return len(stream.Tracks()) == 1 }, 10*time.Second, time.Millisecond)
	c, err := rtmp.Dial(t.Context(), addr+"/play/demo", client)
	require.NoError(t, err)
	player, err := c.Play(t.Context())
	require.NoError(t, err)
	defer player.Close()
	p, err := player.ReadPacket(t.Context())
	require.NoError(t, err)
	require.Equal(t, aac.Config, p.Track.Config)

	// One that speaks no TLS is gone at once, and is counted.
	_, err = rtmp.Dial(t.Context(), "rtmp://"+r.RTMPSAddr().String()+"/live/demo", rtmp.Config{})
	require.Error(t, err)
	require.Eventually(t, func() bool { return r.ConnStats().HandshakesFailed == 1 }, 10*time.Second, time.Millisecond)
}

func TestRTMPSNeedsACertificate(t *testing.T) {
	s := &Server{RTMPS: "127.0.0.1:0", Broadcast: func(context.Context, *Broadcast) error { return nil }}
	require.ErrorContains(t, s.Listen(), "RTMPS needs a certificate: set Server.TLS")
}

// The tracks of a publisher that sends several of a kind are renditions, whose
// IDs are as it numbers them.
func TestMultitrackTracksAreRenditions(t *testing.T) {
	r := serve(t, &Server{})
	c, err := rtmp.Dial(t.Context(), "rtmp://"+r.RTMPAddr().String()+"/live/demo", rtmp.Config{Multitrack: true})
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Publish(t.Context(), time.Unix(0, 0)))
	var tracks []*sluice.Track
	for i, asc := range [][]byte{{0x11, 0x90}, {0x11, 0x88}, {0x12, 0x10}} {
		aac, err := codec.AAC(asc)
		require.NoError(t, err)
		track := *aac
		track.ID = uint32(i + 1)
		tracks = append(tracks, &track)
	}
	require.NoError(t, c.Describe(t.Context(), tracks))
	for n := range int64(150) {
		for _, track := range tracks {
			at := n * int64(track.Timescale) * 1024 / 48000
			require.NoError(t, c.WritePacket(t.Context(), sluice.Packet{Track: track, DTS: at, PTS: at, Key: true, Data: []byte{0x21, byte(n)}}))
		}
	}
	stream := <-r.streams
	require.Eventually(t, func() bool { return len(stream.Tracks()) == 3 }, 10*time.Second, time.Millisecond)
	got := map[uint32]string{}
	for _, track := range stream.Tracks() {
		got[track.ID] = fmt.Sprint(track.SampleRate, " ", track.Channels)
	}
	require.Equal(t, map[uint32]string{2: "48000 2", 4: "48000 1", 6: "44100 2"}, got)
}

// Frames of Opus say their duration themselves: they keep the distance that
// their time stamps have.
func TestOpusKeepsItsPace(t *testing.T) {
	r := serve(t, &Server{})
	c, err := rtmp.Dial(t.Context(), "rtmp://"+r.RTMPAddr().String()+"/live/demo", rtmp.Config{})
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Publish(t.Context(), time.Unix(0, 0)))
	opus, err := codec.Opus(codec.OpusHead{Channels: 2})
	require.NoError(t, err)
	track := *opus
	track.ID = 2
	require.NoError(t, c.Describe(t.Context(), []*sluice.Track{&track}))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var src *sluice.Subscriber
	var last sluice.Packet
	for n := range int64(60) {
		require.NoError(t, c.WritePacket(ctx, sluice.Packet{Track: &track, DTS: n * 960, PTS: n * 960, Key: true, Data: []byte{0xfc, byte(n)}}))
		if src == nil {
			src = (<-r.streams).Subscribe(sluice.Subscription{Start: sluice.StartSegment})
			defer src.Close()
		}
		p := sluice.Packet{}
		for p.Data == nil {
			p, err = src.ReadPacket(ctx)
			require.NoError(t, err)
		}
		require.Equal(t, []byte{0xfc, byte(n)}, p.Data)
		if n > 0 {
			require.EqualValues(t, 960, p.DTS-last.DTS, "frame %d", n)
			require.EqualValues(t, 960, p.Dur, "frame %d", n)
		}
		last = p
	}
}
