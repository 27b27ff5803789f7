package ingest

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

func TestSecondIsReadFromText(t *testing.T) {
	for _, s := range []Second{0, Refuse, Takeover, Standby} {
		var got Second
		require.NoError(t, got.UnmarshalText([]byte(s.String())))
		assert.Equal(t, s, got)
	}
	var s Second
	assert.ErrorContains(t, s.UnmarshalText([]byte("both")), "refuse, takeover and standby")
}

func TestASecondPublisherIsRefused(t *testing.T) {
	for _, second := range []Second{0, Refuse} {
		stage(t, broadcastConfig{}, func(t *testing.T, b *Broadcast, v *viewing) {
			first, other := newCamera(t, 'a', 640), newCamera(t, 'b', 320)
			first.publish(t.Context(), b, second)
			time.Sleep(3 * time.Second)
			other.publish(t.Context(), b, second)
			<-other.ended
			assert.ErrorIs(t, other.err, ErrBusy)
			time.Sleep(3 * time.Second)
			v.finish(t)
			assert.Equal(t, "a", v.marks())
			<-first.ended
			assert.ErrorIs(t, first.err, errEnded)
		})
	}
}

func TestTakeoverGoesOverWithTheFirstKeyFrame(t *testing.T) {
	stage(t, broadcastConfig{}, func(t *testing.T, b *Broadcast, v *viewing) {
		first, other := newCamera(t, 'a', 640), newCamera(t, 'b', 320)
		first.publish(t.Context(), b, Takeover)
		time.Sleep(5 * time.Second)
		other.publish(t.Context(), b, Takeover)
		<-first.ended
		assert.ErrorIs(t, first.err, errTakenOver)
		time.Sleep(5 * time.Second)
		v.finish(t)
		<-other.ended
		shots := v.shots()
		require.Equal(t, "ab", v.marks())
		assert.True(t, shots[1].key)
		assert.Equal(t, shots[0].era+1, shots[1].era)
		assert.Less(t, shots[1].first.Sub(shots[0].last), 2*frameTime, "nothing is missing")
		assert.Equal(t, 320, shots[1].width)
		assert.EqualValues(t, 1, b.Stats().Switches)
	})
}

// A newcomer who never sends a key frame takes nothing over.
func TestTakeoverWithoutAKeyFrameTakesNothing(t *testing.T) {
	stage(t, broadcastConfig{}, func(t *testing.T, b *Broadcast, v *viewing) {
		first, other, third := newCamera(t, 'a', 640), newCamera(t, 'b', 320), newCamera(t, 'c', 320)
		first.publish(t.Context(), b, Takeover)
		time.Sleep(2 * time.Second)
		other.mute()
		other.publish(t.Context(), b, Takeover)
		time.Sleep(3 * time.Second)
		assert.Equal(t, "a", v.marks())
		third.publish(t.Context(), b, Takeover)
		<-other.ended
		assert.ErrorIs(t, other.err, errTakenOver, "the newest wins")
		<-first.ended
		time.Sleep(time.Second)
		v.finish(t)
		assert.Equal(t, "ac", v.marks())
	})
}

// A codec that we cannot take ends the newcomer, not the one who is live.
func TestTakeoverWithAnUnknownCodecEndsTheNewcomerAlone(t *testing.T) {
	stage(t, broadcastConfig{}, func(t *testing.T, b *Broadcast, v *viewing) {
		first, other := newCamera(t, 'a', 640), newCamera(t, 'b', 320)
		other.video.Codec = sluice.FourCC{'w', 'h', 'a', 't'}
		first.publish(t.Context(), b, Takeover)
		time.Sleep(2 * time.Second)
		other.publish(t.Context(), b, Takeover)
		<-other.ended
		assert.ErrorContains(t, other.err, "what")
		time.Sleep(2 * time.Second)
		v.finish(t)
		assert.Equal(t, "a", v.marks())
	})
}

// Before its protocol has said yes, a newcomer has nothing to be asked for: RTMP
// knows no metadata then.
func TestANewcomerIsNotAskedBeforeItHasStarted(t *testing.T) {
	stage(t, broadcastConfig{}, func(t *testing.T, b *Broadcast, v *viewing) {
		first := newCamera(t, 'a', 640)
		first.publish(t.Context(), b, Takeover)
		time.Sleep(2 * time.Second)
		c, err := b.attach(t.Context(), newInput(1000, rtmpWrap, func() hints { panic("asked too early") }), Takeover)
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		b.detach(c)
		v.finish(t)
		assert.Equal(t, "a", v.marks())
		<-first.ended
	})
}

func TestTakeoverOfSoundAlone(t *testing.T) {
	stage(t, broadcastConfig{}, func(t *testing.T, b *Broadcast, v *viewing) {
		first, other := newCamera(t, 'a', 640), newCamera(t, 'b', 320)
		first.video, other.video = nil, nil
		first.publish(t.Context(), b, Takeover)
		time.Sleep(3 * time.Second)
		other.publish(t.Context(), b, Takeover)
		<-first.ended
		time.Sleep(3 * time.Second)
		v.finish(t)
		last := v.packets[len(v.packets)-1]
		assert.EqualValues(t, 'b', last.Data[0])
	})
}

// The spare takes over from an encoder that has frozen though its socket is
// open, keeps the stream when that one thaws, and gives it back only when it
// freezes itself.
func TestStandbyTakesOverFromAFrozenEncoder(t *testing.T) {
	stage(t, broadcastConfig{standby: 2 * time.Second}, func(t *testing.T, b *Broadcast, v *viewing) {
		first, spare := newCamera(t, 'a', 640), newCamera(t, 'b', 320)
		first.publish(t.Context(), b, Standby)
		time.Sleep(2500 * time.Millisecond)
		spare.publish(t.Context(), b, Standby)
		time.Sleep(5300 * time.Millisecond)
		require.Equal(t, "a", v.marks())
		require.Equal(t, 1, b.Stats().Waiting)

		first.freeze()
		time.Sleep(3 * time.Second)
		shots := v.shots()
		require.Equal(t, "ab", v.marks())
		assert.True(t, shots[1].key)
		assert.InDelta(t, 2, shots[1].came.Sub(shots[0].ended).Seconds(), 0.1, "within the time set")
		assert.Less(t, shots[1].first.Sub(shots[0].last), 2*time.Second, "what came since the spare's key frame is kept")

		first.thaw()
		time.Sleep(10 * time.Second)
		assert.Equal(t, "ab", v.marks(), "never back by itself")
		assert.Equal(t, 1, b.Stats().Waiting, "the first is the spare now")

		spare.freeze()
		time.Sleep(5 * time.Second)
		assert.Equal(t, "aba", v.marks())
		v.finish(t)
		assert.EqualValues(t, 2, b.Stats().Switches)
		assert.Equal(t, uint32(3), v.shots()[2].era-v.shots()[0].era+1)
		spare.thaw()
		<-first.ended
		<-spare.ended
	})
}

func TestStandbyTakesOverAtOnceFromOneThatIsGone(t *testing.T) {
	stage(t, broadcastConfig{}, func(t *testing.T, b *Broadcast, v *viewing) {
		first, spare := newCamera(t, 'a', 640), newCamera(t, 'b', 320)
		first.publish(t.Context(), b, Standby)
		spare.publish(t.Context(), b, Standby)
		time.Sleep(5100 * time.Millisecond) // the spare's next key frame is at 6 s
		first.kill()
		time.Sleep(3 * time.Second)
		shots := v.shots()
		require.Equal(t, "ab", v.marks())
		assert.InDelta(t, 0.9, shots[1].first.Sub(shots[0].last).Seconds(), 0.1)
		spare.mu.Lock()
		assert.Positive(t, spare.asked, "for a key frame")
		spare.mu.Unlock()
		v.finish(t)
	})
}

func TestASpareThatLeavesIsForgotten(t *testing.T) {
	stage(t, broadcastConfig{}, func(t *testing.T, b *Broadcast, v *viewing) {
		all := []*camera{newCamera(t, 'a', 640), newCamera(t, 'b', 320), newCamera(t, 'c', 320), newCamera(t, 'd', 320)}
		for _, c := range all {
			c.publish(t.Context(), b, Standby)
		}
		<-all[3].ended
		assert.ErrorIs(t, all[3].err, ErrBusy, "two spares are enough")
		time.Sleep(3 * time.Second)
		all[1].kill()
		assert.Equal(t, 1, b.Stats().Waiting)
		all[0].kill()
		time.Sleep(3 * time.Second)
		assert.Equal(t, "ac", v.marks())
		v.finish(t)
	})
}

func TestASpareHoldsNoMoreThanItsBound(t *testing.T) {
	var g group
	track := &sluice.Track{ID: 1, Kind: sluice.Video}
	now := time.Now()
	g.add(sluice.Packet{Track: track, Data: []byte{1}}, now, 1)
	assert.Empty(t, g.packets, "not before a key frame")
	for i := range 3 * groupPackets {
		g.add(sluice.Packet{Track: track, Key: i == 0, Data: make([]byte, 4096)}, now, 1)
		require.LessOrEqual(t, g.bytes, groupBytes)
		require.LessOrEqual(t, len(g.packets), groupPackets)
	}
	assert.True(t, g.began.IsZero(), "what is lost is not gone over to")
	g.add(sluice.Packet{Track: track, Key: true, Data: []byte{1}}, now, 1)
	assert.Len(t, g.packets, 1)
}

func TestAPublisherWhoSendsNoMediaIsEnded(t *testing.T) {
	stage(t, broadcastConfig{grace: 10 * time.Second, idle: 20 * time.Second}, func(t *testing.T, b *Broadcast, v *viewing) {
		c := newCamera(t, 'a', 640)
		c.publish(t.Context(), b, Refuse)
		time.Sleep(3 * time.Second)
		c.mute()
		began := time.Now()
		<-c.ended
		assert.ErrorIs(t, c.err, errIdle)
		assert.InDelta(t, 20, time.Since(began).Seconds(), 2)
		require.Equal(t, io.EOF, <-v.done)
		assert.InDelta(t, 30, time.Since(began).Seconds(), 3, "the grace time behind it")
	})
}

// An encoder that our own reader holds back is not silent.
func TestAPublisherHeldBackKeepsItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var saved Position
		b := testBroadcast(30*time.Second, &saved)
		c, other := newCamera(t, 'a', 640), newCamera(t, 'b', 320)
		c.publish(t.Context(), b, Refuse)
		time.Sleep(2 * time.Minute) // nobody reads, and the queue is full after one
		b.mu.Lock()
		require.True(t, b.active.held)
		b.mu.Unlock()
		other.publish(t.Context(), b, Refuse)
		<-other.ended
		assert.ErrorIs(t, other.err, ErrBusy)
		v := view(t.Context(), b)
		time.Sleep(20 * time.Second)
		v.finish(t)
		<-c.ended
		assert.ErrorIs(t, c.err, errEnded)
		assert.Equal(t, "a", v.marks())
		require.NoError(t, b.Close())
	})
}
