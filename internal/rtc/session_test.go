package rtc

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

func TestPictureAndSoundArriveWholeAndOnOneClock(t *testing.T) {
	s := newSite(t, Config{})
	cam := newCamera(t, 4000)
	session, c := s.publish(t, cam, ClientConfig{})
	offset := map[uint32]int64{}
	last := map[uint32]int64{}
	for range 150 {
		p := read(t, session)
		n := number(t, p)
		assert.Equal(t, uint32(scale), p.Track.Timescale)
		assert.Equal(t, p.DTS, p.PTS)
		if before, ok := last[p.Track.ID]; ok {
			assert.Equal(t, before+1, n, "track %d", p.Track.ID)
			assert.False(t, p.Discont)
		} else {
			assert.True(t, p.Key)
		}
		last[p.Track.ID] = n
		step := int64(scale / cameraRate)
		if p.Track.ID == 2 {
			step = scale / 50
		}
		offset[p.Track.ID] = p.DTS - n*step
	}
	require.Len(t, session.Tracks(), 2)
	for _, track := range session.Tracks() {
		assert.Equal(t, map[uint32]sluice.FourCC{1: sluice.VP08, 2: sluice.Opus}[track.ID], track.Codec)
	}
	assert.InDelta(t, offset[1], offset[2], scale/10, "sound and picture were taken at the same time")

	cam.Close()
	require.NoError(t, c.Close())
	assert.Equal(t, io.EOF, end(t, session, 10*time.Second))
	st, _ := s.Stats()
	assert.Positive(t, st.Packets)
	require.NoError(t, session.Close())
	_, open := s.Stats()
	assert.Zero(t, open)
}

func TestEveryCodecGoesThroughUnchanged(t *testing.T) {
	for _, fourCC := range []sluice.FourCC{sluice.AVC1, sluice.VP08, sluice.VP09, sluice.AV01} {
		t.Run(fourCC.String(), func(t *testing.T) {
			src := encoded(t, fourCC)
			s := newSite(t, Config{})
			session, _ := s.publish(t, src, ClientConfig{})
			for i := range 60 {
				p := read(t, session)
				require.Equal(t, src.frames[i].Data, p.Data, "frame %d", i)
				assert.Equal(t, src.frames[i].Key, p.Key, "frame %d", i)
				assert.Equal(t, src.track.Config, p.Track.Config)
				assert.Equal(t, uint32(1), p.Track.ID)
			}
		})
	}
}

func TestLossIsRepaired(t *testing.T) {
	s := newSite(t, Config{Patience: 2 * time.Second})
	r := newRelay(t, s.Addr(), 0)
	session, _ := s.publish(t, newCamera(t, 8000), ClientConfig{Relay: r.addr()})
	read(t, session)
	r.setLoss(0.05)
	last := map[uint32]int64{}
	for range 600 {
		p := read(t, session)
		n := number(t, p)
		if before, ok := last[p.Track.ID]; ok {
			require.Equal(t, before+1, n, "track %d", p.Track.ID)
		}
		last[p.Track.ID] = n
	}
	r.setLoss(0)
	st := session.Stats()
	t.Logf("%+v", st)
	assert.Greater(t, st.Repaired, uint64(20))
	assert.Zero(t, st.Lost)
	assert.Zero(t, st.FramesDropped)
}

func TestAfterAHoleTheNextPictureIsAKeyFrame(t *testing.T) {
	s := newSite(t, Config{Patience: 100 * time.Millisecond})
	r := newRelay(t, s.Addr(), 0)
	cam := newCamera(t, 4000)
	session, _ := s.publish(t, cam, ClientConfig{Relay: r.addr()})
	var last int64
	for range 60 {
		if p := read(t, session); p.Track.ID == 1 {
			last = number(t, p)
		}
	}
	asked := cam.wanted.Load()
	r.setLoss(1)
	time.Sleep(time.Second) // of darkness
	r.setLoss(0)
	for {
		p := read(t, session)
		if p.Track.ID != 1 {
			continue
		}
		n := number(t, p)
		if n == last+1 {
			last = n
			continue
		}
		assert.True(t, p.Key)
		assert.True(t, p.Discont)
		break
	}
	assert.Greater(t, cam.wanted.Load(), asked, "a key frame was asked for, not waited for")
	st := session.Stats()
	assert.Positive(t, st.Lost)
	assert.Positive(t, st.FramesDropped)
}

func TestKeyFramesComeWhenAskedFor(t *testing.T) {
	s := newSite(t, Config{})
	session, _ := s.publish(t, newCamera(t, 1000), ClientConfig{})
	for p := read(t, session); p.Track.ID != 1; p = read(t, session) {
	}
	assert.False(t, session.RequestKey(2), "sound has none")
	time.Sleep(2 * keyNotOften)
	assert.True(t, session.RequestKey(1))
	for range 90 { // the next by itself comes after ten seconds
		if p := read(t, session); p.Track.ID == 1 && p.Key {
			return
		}
	}
	t.Error("no key frame")
}

func TestPublisherThatVanishesEnds(t *testing.T) {
	s := newSite(t, Config{Away: time.Second})
	cam := newCamera(t, 1000)
	r := newRelay(t, s.Addr(), 0)
	session, _ := s.publish(t, cam, ClientConfig{Relay: r.addr()})
	read(t, session)
	r.front.Close() // and nothing comes any more, without a word
	assert.ErrorIs(t, end(t, session, 30*time.Second), ErrGone)
}

func TestSessionWithoutMediaEnds(t *testing.T) {
	s := newSite(t, Config{FirstMedia: time.Second, Idle: time.Second})
	cam := newCamera(t, 1000)
	c, err := Dial(t.Context(), s.url, cam.Tracks(), ClientConfig{})
	require.NoError(t, err)
	defer c.Close()
	assert.ErrorIs(t, end(t, <-s.sessions, 20*time.Second), ErrSilent, "connected, and sent nothing")

	session, _ := s.publish(t, &clip{track: cam.video, frames: []sluice.Packet{{Key: true, Data: vp8Frame(0, true, 64, 64, 100)}, {Data: vp8Frame(1, false, 64, 64, 100)}}}, ClientConfig{})
	read(t, session)
	assert.ErrorIs(t, end(t, session, 20*time.Second), ErrSilent, "fell silent")
}

func TestGarbageOnThePortsHurtsNobody(t *testing.T) {
	s := newSite(t, Config{})
	session, _ := s.publish(t, newCamera(t, 1000), ClientConfig{})
	read(t, session)
	udp, err := net.Dial("udp", s.Addr().String())
	require.NoError(t, err)
	defer udp.Close()
	for size := range 1500 {
		b := make([]byte, size)
		_, _ = rand.Read(b)
		if size%3 == 0 && size >= 20 { // looks like STUN
			copy(b, []byte{0, 1, byte((size - 20) >> 8), byte(size - 20), 0x21, 0x12, 0xa4, 0x42})
		}
		_, err := udp.Write(b)
		require.NoError(t, err)
	}
	for i := range 8 {
		tcp, err := net.Dial("tcp", s.Addr().String())
		require.NoError(t, err)
		b := make([]byte, 100*i)
		_, _ = rand.Read(b)
		_, _ = tcp.Write(b)
		tcp.Close()
	}
	last := int64(-1)
	for range 100 {
		p := read(t, session)
		if p.Track.ID != 1 {
			continue
		}
		n := number(t, p)
		if last >= 0 {
			require.Equal(t, last+1, n)
		}
		last = n
	}
}

func TestClosingTheServerEndsSessions(t *testing.T) {
	s := newSite(t, Config{})
	session, _ := s.publish(t, newCamera(t, 1000), ClientConfig{})
	read(t, session)
	require.NoError(t, s.Server.Close())
	assert.ErrorIs(t, end(t, session, 10*time.Second), io.ErrClosedPipe)
	cam := newCamera(t, 1000)
	_, err := Dial(t.Context(), s.url, cam.Tracks(), ClientConfig{})
	assert.ErrorContains(t, err, "503")
}

func TestClientRefusesWhatWebRTCCannotCarry(t *testing.T) {
	s := newSite(t, Config{})
	aac, err := codec.AAC([]byte{0x11, 0x90})
	require.NoError(t, err)
	aac.ID = 2
	_, err = Dial(t.Context(), s.url, []*sluice.Track{aac}, ClientConfig{})
	require.ErrorIs(t, err, ErrCodec)
	assert.ErrorContains(t, err, "needs Opus")

	src := encoded(t, sluice.AVC1)
	c, err := Dial(t.Context(), s.url, src.Tracks(), ClientConfig{})
	require.NoError(t, err)
	defer c.Close()
	pipe, out := sluice.Pipe(2)
	for i, pts := range []int64{0, -3600} {
		require.NoError(t, pipe.Write(t.Context(), sluice.Packet{Track: src.track, Key: i == 0, PTS: pts, Data: src.frames[i].Data}))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	assert.ErrorIs(t, c.Publish(ctx, out), ErrBFrames)
}
