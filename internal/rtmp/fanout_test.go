package rtmp

import (
	"bytes"
	"context"
	"io"
	"net"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/testmedia"
)

// site plays one stream to whoever asks.
type site struct {
	stream *sluice.Stream
	fan    *Fanout
	addr   string
	served chan error // what Serve returned
}

func newSite(t testing.TB, cfg FanoutConfig) *site {
	s := &site{stream: &sluice.Stream{}, served: make(chan error, 1000)}
	s.fan = NewFanout(s.stream, cfg)
	s.addr = listen(t, func(ctx context.Context, nc net.Conn) {
		c, err := Accept(ctx, nc, Config{})
		if err != nil {
			t.Logf("accept: %v", err)
			return
		}
		s.served <- s.fan.Serve(ctx, c)
	})
	return s
}

func (s *site) write(t testing.TB, p sluice.Packet) {
	require.NoError(t, s.stream.Write(context.Background(), p))
}

func (s *site) play(t testing.TB) *Publisher {
	ctx := testContext(t)
	c, err := Dial(ctx, "rtmp://"+s.addr+"/play/demo", Config{})
	require.NoError(t, err)
	p, err := c.Play(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// nextMedia returns the next packet that is not an announcement.
func nextMedia(t testing.TB, src sluice.Source) sluice.Packet {
	for {
		p, err := src.ReadPacket(testContext(t))
		require.NoError(t, err)
		if p.Data != nil {
			return p
		}
	}
}

func TestFanoutStartsWithNewestKeyFrame(t *testing.T) {
	s := newSite(t, FanoutConfig{})
	g := &generator{video: testVideo(t, 1280), audio: testAudio(t), began: time.Unix(1.7e9, 0), gop: 10, size: 1000}
	s.write(t, g.sound())
	for range 25 {
		s.write(t, g.frame())
		s.write(t, g.sound())
	}
	for range 2 { // the second joins what the first has begun
		p := s.play(t)
		for n := 20; n < 25; n++ {
			v := nextMedia(t, p)
			require.Equal(t, sluice.Video, v.Track.Kind)
			assert.Equal(t, sample(n == 20, n, 1000), v.Data)
			assert.Equal(t, n == 20, v.Key)
			assert.EqualValues(t, n*40, v.DTS)
			assert.EqualValues(t, n*40+80, v.PTS)
			a := nextMedia(t, p)
			assert.Equal(t, []byte{0x21, byte(n + 1), 3, 4}, a.Data)
			assert.EqualValues(t, (n+1)*40, a.DTS)
		}
		require.Len(t, p.Tracks(), 2)
		assert.Equal(t, g.video.Config, p.Tracks()[0].Config)
		assert.Equal(t, g.audio.Config, p.Tracks()[1].Config)
		assert.True(t, p.Metadata().HasVideo && p.Metadata().HasAudio)
		assert.Equal(t, "Sluice", p.Metadata().Encoder)
	}
	assert.Equal(t, 2, s.fan.Stats().Players)
	assert.Equal(t, 1, s.stream.Stats().Subscribers)
}

func TestFanoutEnds(t *testing.T) {
	s := newSite(t, FanoutConfig{})
	g := &generator{video: testVideo(t, 1280), began: time.Unix(1.7e9, 0), gop: 10, size: 1000}
	s.write(t, g.frame())
	p := s.play(t)
	early := s.play(t)
	nextMedia(t, p)
	require.NoError(t, early.Close())
	require.NoError(t, <-s.served, "a player that has left is no error")
	for range 100 {
		s.write(t, g.frame())
	}
	s.stream.End(nil)
	for n := 1; n <= 100; n++ {
		assert.Equal(t, n, sampleNumber(nextMedia(t, p).Data))
	}
	_, err := p.ReadPacket(testContext(t))
	require.Equal(t, io.EOF, err)
	require.NoError(t, p.Close())
	require.NoError(t, <-s.served)

	late := s.play(t)
	assert.Equal(t, 100, sampleNumber(nextMedia(t, late).Data), "what is left of a stream that has ended")
	_, err = late.ReadPacket(testContext(t))
	require.Equal(t, io.EOF, err)
}

func TestFanoutEndsBeforeItBegan(t *testing.T) {
	s := newSite(t, FanoutConfig{})
	p := s.play(t)
	s.stream.End(io.ErrNoProgress)
	_, err := p.ReadPacket(testContext(t))
	require.Equal(t, io.EOF, err)
	require.ErrorIs(t, <-s.served, io.ErrNoProgress)
}

func TestFanoutTellsOfNewParameters(t *testing.T) {
	s := newSite(t, FanoutConfig{})
	g := &generator{video: testVideo(t, 1280), began: time.Unix(1.7e9, 0), gop: 5, size: 1000}
	s.write(t, g.frame())
	p := s.play(t)
	v := nextMedia(t, p)
	for range 4 {
		s.write(t, g.frame())
	}
	g.video = testVideo(t, 640)
	for range 5 {
		s.write(t, g.frame())
	}
	for n := range 10 {
		if n > 0 {
			v = nextMedia(t, p)
		}
		assert.Equal(t, n, sampleNumber(v.Data))
		want := 1280
		if n >= 5 {
			want = 640
		}
		assert.Equal(t, want, v.Track.Width)
	}
}

// A broadcast of 4.66 hours needs extended time stamps; one of 49.7 days wraps.
func TestFanoutLongBroadcasts(t *testing.T) {
	for name, after := range map[string]time.Duration{
		"24 bits": 0xffffff*time.Millisecond - 200*time.Millisecond,
		"32 bits": 0xffffffff*time.Millisecond - 200*time.Millisecond,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, FanoutConfig{})
			began := time.Unix(1.7e9, 0)
			first := &generator{video: testVideo(t, 1280), began: began, gop: 1, size: 10}
			s.write(t, first.frame())
			// Larger than a chunk, so that there are chunks of type 3.
			g := &generator{video: first.video, began: began.Add(after), gop: 20, size: 150_000}
			for range 15 {
				s.write(t, g.frame())
			}
			p := s.play(t)
			for n := range 15 {
				v := nextMedia(t, p)
				require.Equal(t, sample(n == 0, n, 150_000), v.Data)
				require.Equal(t, int64(uint32(after.Milliseconds()+int64(n)*40)), v.DTS)
				require.Equal(t, v.DTS+80, v.PTS)
			}
		})
	}
}

// GStreamer's flvmux gives frames that come late the time stamp of the last, and
// the timeline sets them a tick apart.
func TestFanoutGivesNoMillisecondTwice(t *testing.T) {
	s := newSite(t, FanoutConfig{})
	g := &generator{video: testVideo(t, 1280), audio: testAudio(t), began: time.Unix(1.7e9, 0), gop: 20, size: 100}
	var frames []sluice.Packet
	for n := range 10 {
		p := g.frame()
		if n >= 4 && n < 8 { // four that share a millisecond
			p.DTS = frames[3].DTS + 3600 + int64(n-4)
		}
		p.PTS = p.DTS + int64(n%2)*90*5
		frames = append(frames, p)
		s.write(t, p)
	}
	p := s.play(t)
	for n, dts := range []int64{0, 40, 80, 120, 160, 161, 162, 163, 320, 360} {
		v := nextMedia(t, p)
		assert.Equal(t, dts, v.DTS, n)
		assert.GreaterOrEqual(t, v.PTS, v.DTS, n)
		if n%2 == 1 {
			assert.InDelta(t, 5, v.PTS-dts, 3, n)
		}
	}
}

// deaf connects a player that never reads after it was told that it plays.
func (s *site) deaf(t testing.TB) net.Conn {
	c, err := Dial(testContext(t), "rtmp://"+s.addr+"/play/demo", Config{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.nc.(*net.TCPConn).SetReadBuffer(4<<10))
	require.NoError(t, c.write(call("createStream", c.nextTx(), nil)))
	m := call("play", c.nextTx(), nil, "demo")
	m.Stream = mediaStream
	require.NoError(t, c.write(m))
	return c.nc
}

func TestFanoutDeafPlayerHarmsNobody(t *testing.T) {
	s := newSite(t, FanoutConfig{Backlog: 1 << 20, WriteTimeout: 500 * time.Millisecond})
	g := &generator{video: testVideo(t, 1280), began: time.Unix(1.7e9, 0), gop: 10, size: 100_000}
	s.write(t, g.frame())
	good := s.play(t)
	nextMedia(t, good)
	s.deaf(t)
	require.Eventually(t, func() bool { return s.fan.Stats().Players == 2 }, 10*time.Second, time.Millisecond)
	gone := false
	for n := 1; !gone; n++ {
		s.write(t, g.frame())
		require.Equal(t, n, sampleNumber(nextMedia(t, good).Data))
		select {
		case err := <-s.served:
			require.ErrorIs(t, err, ErrSlow)
			gone = true
		default:
		}
	}
	assert.EqualValues(t, 1, s.fan.Stats().TooSlow)
	assert.Positive(t, s.fan.Stats().Congested)
}

func TestFanoutMovesSlowPlayerForward(t *testing.T) {
	s := newSite(t, FanoutConfig{Backlog: 1 << 20})
	s.stream.Window = time.Minute // 10 s come at once: the fan-out itself must not be overtaken
	g := &generator{video: testVideo(t, 1280), began: time.Unix(1.7e9, 0), gop: 10, size: 100_000}
	s.write(t, g.frame())
	p := s.play(t)
	nextMedia(t, p)
	// More than sockets take: 4 MiB to send and about 6 to receive.
	for range 300 {
		s.write(t, g.frame())
	}
	last, skips := 0, 0
	for last < 300 {
		v := nextMedia(t, p)
		n := sampleNumber(v.Data)
		if n != last+1 {
			assert.True(t, v.Key, "frame %d follows %d", n, last)
			skips++
		}
		last = n
	}
	assert.Positive(t, skips)
	st := s.fan.Stats()
	assert.EqualValues(t, skips, st.Skips)
	assert.Positive(t, st.Dropped)
}

// A connection that is no TCP socket has no vectored writes.
func TestFanoutOverPipe(t *testing.T) {
	stream := &sluice.Stream{}
	fan := NewFanout(stream, FanoutConfig{})
	server, client := net.Pipe()
	ctx := testContext(t)
	served := make(chan error, 1)
	go func() {
		c, err := Accept(ctx, server, Config{})
		if err == nil {
			err = fan.Serve(ctx, c)
		}
		served <- err
	}()
	c := &Client{conn: newConn(client, Config{}), app: "play", name: "demo"}
	require.NoError(t, c.bounded(ctx, c.connect))
	p, err := c.Play(ctx)
	require.NoError(t, err)
	g := &generator{video: testVideo(t, 1280), began: time.Unix(1.7e9, 0), gop: 10, size: 200_000}
	for n := range 30 {
		require.NoError(t, stream.Write(ctx, g.frame()))
		require.Equal(t, sample(n%10 == 0, n, 200_000), nextMedia(t, p).Data)
	}
	require.NoError(t, p.Close())
	require.NoError(t, <-served)
}

func TestFanoutServeEndsWithContext(t *testing.T) {
	s := newSite(t, FanoutConfig{})
	ctx, cancel := context.WithCancel(testContext(t))
	addr, conns := accepted(t, Config{})
	c, err := Dial(ctx, "rtmp://"+addr+"/play/demo", Config{})
	require.NoError(t, err)
	defer c.Close()
	go func() { _, _ = c.Play(ctx) }()
	sc := <-conns
	cancel()
	require.ErrorIs(t, s.fan.Serve(ctx, sc), context.Canceled)
}

// Players come and go while the stream runs; goleak sees what they leave.
func TestFanoutManyPlayers(t *testing.T) {
	s := newSite(t, FanoutConfig{})
	g := &generator{video: testVideo(t, 1280), audio: testAudio(t), began: time.Unix(1.7e9, 0), gop: 10, size: 5000}
	ctx, cancel := context.WithCancel(testContext(t))
	var feeding sync.WaitGroup
	feeding.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			<-tick.C
			_ = s.stream.Write(ctx, g.frame())
			_ = s.stream.Write(ctx, g.sound())
		}
	})
	var players sync.WaitGroup
	for range 40 {
		players.Go(func() {
			for range 3 {
				c, err := Dial(ctx, "rtmp://"+s.addr+"/play/demo", Config{})
				if !assert.NoError(t, err) {
					return
				}
				p, err := c.Play(ctx)
				if !assert.NoError(t, err) {
					return
				}
				last := -1
				for range 50 {
					v, err := p.ReadPacket(ctx)
					if !assert.NoError(t, err) {
						break
					}
					if v.Data != nil && v.Track.Kind == sluice.Video {
						n := sampleNumber(v.Data)
						assert.True(t, last < 0 && v.Key || n == last+1, "frame %d follows %d", n, last)
						last = n
					}
				}
				_ = p.Close()
			}
		})
	}
	players.Wait()
	cancel()
	feeding.Wait()
	assert.EqualValues(t, 120, s.fan.Stats().Joined)
}

// relay puts a publisher's packets on UTC, as far as a test needs it.
func relay(ctx context.Context, pub *Publisher, out *sluice.Stream) error {
	began := time.Unix(1.7e9, 0)
	for {
		p, err := pub.ReadPacket(ctx)
		if err != nil {
			out.End(nil)
			return err
		}
		base := p.Track.Ticks(began)
		p.DTS, p.PTS = p.DTS+base, p.PTS+base
		if err := out.Write(ctx, p); err != nil {
			return err
		}
	}
}

func TestFFmpegPlays(t *testing.T) {
	for name, spec := range map[string]testmedia.Spec{
		"H.264 with B-frames and AAC": {Audio: "aac", BFrames: 2, Seconds: 4},
		"H.264 alone":                 {Seconds: 4},
		"MP3 alone":                   {NoVideo: true, Audio: "mp3", Seconds: 4},
	} {
		t.Run(name, func(t *testing.T) {
			clip := testmedia.Clip(t, spec)
			ffmpeg, ffprobe := testmedia.Need(t, "ffmpeg"), testmedia.Need(t, "ffprobe")
			s := newSite(t, FanoutConfig{})
			addr, conns := accepted(t, Config{})
			ctx, cancel := context.WithCancel(testContext(t))
			testmedia.Publish(ctx, t, clip, "rtmp://"+addr+"/live/KEY")
			pub, err := (<-conns).Publish(ctx)
			require.NoError(t, err)
			relayed := make(chan error, 1)
			go func() { relayed <- relay(ctx, pub, s.stream) }()
			defer func() { cancel(); <-relayed }()

			url := "rtmp://" + s.addr + "/play/demo"
			out, err := exec.CommandContext(ctx, ffprobe, "-v", "error", "-show_entries", "stream=codec_name,width,sample_rate", "-of", "csv", url).CombinedOutput()
			require.NoError(t, err, "%s", out)
			assert.NotContains(t, string(out), "text", "metadata that FFmpeg takes for a subtitle")
			if !spec.NoVideo {
				assert.Contains(t, string(out), "h264,640")
			}
			if spec.Audio != "" {
				assert.Contains(t, string(out), spec.Audio)
			}
			cmd := exec.CommandContext(ctx, ffmpeg, "-nostdin", "-v", "error", "-xerror", "-i", url, "-t", "2", "-f", "null", "-")
			out, err = cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			assert.Empty(t, string(bytes.TrimSpace(out)))
		})
	}
}

// Of several renditions a player gets the largest, whichever came first.
func TestFanoutPlaysTheLargestPicture(t *testing.T) {
	s := newSite(t, FanoutConfig{})
	small, large := *testVideo(t, 640), *testVideo(t, 1280)
	small.ID, large.ID = 102, 101
	for i, track := range []*sluice.Track{&small, &large} {
		at := track.Ticks(time.Unix(1000, 0))
		s.write(t, sluice.Packet{Track: track, DTS: at, PTS: at, Dur: 3600, Key: true, Data: sample(true, i, 100)})
	}
	p := s.play(t)
	at := large.Ticks(time.Unix(1001, 0))
	for i := range 2 {
		s.write(t, sluice.Packet{Track: &small, DTS: at, PTS: at, Dur: 3600, Key: true, Data: sample(true, 10+i, 100)})
		s.write(t, sluice.Packet{Track: &large, DTS: at, PTS: at, Dur: 3600, Key: true, Data: sample(true, 20+i, 100)})
		at += 3600
	}
	in := nextMedia(t, p)
	require.Equal(t, 1280, in.Track.Width)
}
