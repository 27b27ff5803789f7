package rtmp

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib"
	gocodecs "github.com/bluenviron/gortmplib/pkg/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	gortmp "github.com/yutopp/go-rtmp"
	"github.com/yutopp/go-rtmp/message"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

func parseURL(t *testing.T, s string) *url.URL {
	u, err := url.Parse(s)
	require.NoError(t, err)
	return u
}

func TestGortmplibPublishes(t *testing.T) {
	addr, conns := accepted(t, Config{})
	ctx := testContext(t)
	sps, pps, err := codec.AVCParameterSets(testAVCC(t, 1280))
	require.NoError(t, err)
	published, received := make(chan error, 1), make(chan struct{})
	go func() {
		published <- func() error {
			c := &gortmplib.Client{URL: parseURL(t, "rtmp://"+addr+"/live/KEY"), Publish: true}
			if err := c.Initialize(ctx); err != nil {
				return err
			}
			defer c.Close()
			video := &gortmplib.Track{Codec: &gocodecs.H264{SPS: sps[0], PPS: pps[0]}}
			audio := &gortmplib.Track{Codec: &gocodecs.MPEG4Audio{Config: &mpeg4audio.AudioSpecificConfig{
				Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 48000, ChannelConfig: 2, ChannelCount: 2,
			}}}
			w := &gortmplib.Writer{Conn: c, Tracks: []*gortmplib.Track{video, audio}}
			if err := w.Initialize(); err != nil {
				return err
			}
			for n := range 20 {
				// Across the time from which time stamps are extended, in
				// messages of many chunks.
				dts := 0xfffe00*time.Millisecond + time.Duration(n)*40*time.Millisecond
				if err := w.WriteH264(video, dts+80*time.Millisecond, dts, [][]byte{sample(n == 0, n, 200_000)[4:]}); err != nil {
					return err
				}
				if err := w.WriteMPEG4Audio(audio, dts, []byte{0x21, byte(n)}); err != nil {
					return err
				}
			}
			<-received // closing takes back what is on the way
			return nil
		}()
	}()
	pub, err := (<-conns).Publish(ctx)
	require.NoError(t, err)
	defer pub.Close()
	for n := range 20 {
		v := nextMedia(t, pub)
		assert.EqualValues(t, 0xfffe00+n*40, v.DTS)
		assert.Equal(t, v.DTS+80, v.PTS)
		assert.True(t, bytes.Equal(sample(n == 0, n, 200_000), v.Data))
		a := nextMedia(t, pub)
		assert.Equal(t, []byte{0x21, byte(n)}, a.Data)
	}
	close(received)
	require.NoError(t, <-published)
}

// isParameterSet tells what gortmplib makes of a configuration from a frame.
func isParameterSet(au [][]byte) bool { return au[len(au)-1][0]&0x1f == 8 }

func TestGortmplibPlays(t *testing.T) {
	s := newSite(t, FanoutConfig{})
	g := &generator{video: testVideo(t, 1280), audio: testAudio(t), began: time.Unix(1.7e9, 0), gop: 500, size: 70_000}
	ctx := testContext(t)
	for range 75 { // it looks at two seconds before it says what there is
		s.write(t, g.frame())
		s.write(t, g.sound())
	}
	c := &gortmplib.Client{URL: parseURL(t, "rtmp://"+s.addr+"/play/demo")}
	require.NoError(t, c.Initialize(ctx))
	defer c.Close()
	r := &gortmplib.Reader{Conn: c}
	require.NoError(t, r.Initialize())
	require.Len(t, r.Tracks(), 2)
	frames := 0
	r.OnDataH264(r.Tracks()[0], func(pts, dts time.Duration, au [][]byte) {
		if isParameterSet(au) {
			return
		}
		assert.True(t, bytes.Equal(sample(frames == 0, frames, 70_000)[4:], au[len(au)-1]), "frame %d", frames)
		assert.Equal(t, time.Duration(frames)*40*time.Millisecond, dts)
		assert.Equal(t, dts+80*time.Millisecond, pts)
		frames++
	})
	r.OnDataMPEG4Audio(r.Tracks()[1], func(time.Duration, []byte) {})
	for frames < 75 {
		require.NoError(t, r.Read())
	}
}

func TestGoRTMPPublishes(t *testing.T) {
	addr, conns := accepted(t, Config{})
	published, received := make(chan error, 1), make(chan struct{})
	go func() {
		published <- func() error {
			c, err := gortmp.Dial("rtmp", addr, &gortmp.ConnConfig{})
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.Connect(&message.NetConnectionConnect{Command: message.NetConnectionConnectCommand{App: "live"}}); err != nil {
				return err
			}
			st, err := c.CreateStream(nil, 128)
			if err != nil {
				return err
			}
			if err := st.Publish(&message.NetStreamPublish{PublishingName: "KEY", PublishingType: "live"}); err != nil {
				return err
			}
			for n := range 50 {
				body := append([]byte{0xaf, 1}, byte(n))
				if n == 0 {
					body = []byte{0xaf, 0, 0x11, 0x90}
				}
				if err := st.Write(4, uint32(n)*21, &message.AudioMessage{Payload: bytes.NewReader(body)}); err != nil {
					return err
				}
			}
			<-received
			return nil
		}()
	}()
	c := <-conns
	assert.Equal(t, "KEY", c.Request().Name)
	pub, err := c.Publish(testContext(t))
	require.NoError(t, err)
	defer pub.Close()
	for n := 1; n < 50; n++ {
		a := nextMedia(t, pub)
		assert.Equal(t, sluice.Audio, a.Track.Kind)
		assert.Equal(t, []byte{byte(n)}, a.Data)
		assert.EqualValues(t, n*21, a.DTS)
	}
	close(received)
	require.NoError(t, <-published)
}

// Our client publishes to gortmplib's server.
func TestClientPublishesToGortmplib(t *testing.T) {
	received := make(chan []byte, 100)
	addr := listen(t, func(ctx context.Context, nc net.Conn) {
		c := &gortmplib.ServerConn{RW: nc}
		if !assert.NoError(t, c.Initialize()) || !assert.NoError(t, c.Accept()) {
			return
		}
		r := &gortmplib.Reader{Conn: c}
		if !assert.NoError(t, r.Initialize()) {
			return
		}
		r.OnDataH264(r.Tracks()[0], func(pts, dts time.Duration, au [][]byte) {
			if !isParameterSet(au) {
				received <- au[len(au)-1]
			}
		})
		r.OnDataMPEG4Audio(r.Tracks()[1], func(time.Duration, []byte) {})
		for r.Read() == nil {
		}
	})
	ctx := testContext(t)
	c, err := Dial(ctx, "rtmp://"+addr+"/live/KEY", Config{})
	require.NoError(t, err)
	require.NoError(t, c.Publish(ctx, time.Time{}))
	g := &generator{video: testVideo(t, 1280), audio: testAudio(t), began: time.Unix(1.7e9, 0), gop: 10, size: 70_000}
	require.NoError(t, c.Describe(ctx, []*sluice.Track{g.video, g.audio}))
	for range 75 {
		require.NoError(t, c.WritePacket(ctx, g.frame()))
		require.NoError(t, c.WritePacket(ctx, g.sound()))
	}
	for n := range 75 {
		require.True(t, bytes.Equal(sample(n%10 == 0, n, 70_000)[4:], <-received), "frame %d", n)
	}
	require.NoError(t, c.Close())
	require.NoError(t, c.Close())
}
