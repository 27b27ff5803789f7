package ingest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// clipPackets are a clip of 2.4 s: pictures with B-frames and a key frame each
// 1.2 s, and sound of another rate than cameras have.
func clipPackets(t testing.TB, withSound bool) (packets []sluice.Packet) {
	video := raw(avcTrack(t, 480, 25, 1), 7, 12800)
	for gop := range int64(2) {
		for i, show := range order(30, 1) {
			dts := (gop*30 + int64(i)) * 512
			packets = append(packets, sluice.Packet{
				Track: video, DTS: dts, PTS: (gop*30 + int64(show) + 1) * 512, Dur: 512, Key: i == 0,
				Data: binary.BigEndian.AppendUint32([]byte{'s'}, uint32(gop*30)+uint32(i)),
			})
		}
	}
	if !withSound {
		return packets
	}
	audio := raw(aac44(t), 9, 44100)
	for n := range int64(110) { // a little longer than the picture
		packets = append(packets, sluice.Packet{Track: audio, DTS: (n - 1) * 1024, PTS: (n - 1) * 1024, Dur: 1024, Key: true,
			Data: binary.BigEndian.AppendUint32([]byte{'s'}, uint32(n))})
	}
	return packets
}

func testSlate(t testing.TB, withSound bool) *Slate {
	s, err := newSlate(clipPackets(t, withSound))
	require.NoError(t, err)
	assert.Equal(t, int64(2400*time.Millisecond), s.length)
	return s
}

// The acceptance test in fake time: killed, slate, another encoder with another
// picture; the reader has what comes without a hole and with rising numbers.
func TestSlateStandsForAnEncoderThatIsAway(t *testing.T) {
	stage(t, broadcastConfig{slate: testSlate(t, true)}, func(t *testing.T, b *Broadcast, v *viewing) {
		first, second := newCamera(t, 'a', 640), newCamera(t, 'b', 320)
		first.publish(t.Context(), b, Refuse)
		time.Sleep(10 * time.Second)
		first.kill()
		killed := time.Now()
		time.Sleep(400 * time.Millisecond)
		assert.False(t, b.Stats().Slate)
		time.Sleep(10 * time.Second)
		assert.True(t, b.Stats().Slate)
		assert.False(t, b.Stats().Live)
		time.Sleep(9600 * time.Millisecond)
		second.publish(t.Context(), b, Refuse)
		time.Sleep(5 * time.Second)
		assert.False(t, b.Stats().Slate)
		second.kill()
		ended := time.Now()
		require.Equal(t, io.EOF, <-v.done)
		assert.InDelta(t, 30, time.Since(ended).Seconds(), 1.1, "the grace time, though the slate plays")
		v.check(t)

		require.Equal(t, "asbs", v.marks())
		shots := v.shots()
		assert.InDelta(t, defaultSlateAfter.Seconds(), shots[1].came.Sub(killed).Seconds(), 0.1)
		for i := 1; i < len(shots); i++ {
			assert.True(t, shots[i].key)
			assert.Equal(t, shots[i-1].era+1, shots[i].era)
			assert.Less(t, shots[i].first.Sub(shots[i-1].last), 150*time.Millisecond, "shot %d follows without a hole", i)
		}
		assert.Equal(t, 480, shots[1].width)
		assert.Equal(t, 320, shots[2].width)
		assert.InDelta(t, 20*25, shots[1].pictures, 3)
		assert.WithinDuration(t, shots[1].ended, shots[1].last, 200*time.Millisecond, "at the pace of time")
		checkSlateFlow(t, v)
		assert.Zero(t, b.Stats().Repairs.LateDropped+b.Stats().Repairs.DoubledAudio+b.Stats().Repairs.MissingAudio+b.Stats().Repairs.BackwardDTS)
	})
}

// checkSlateFlow holds that a slate has no joints: its frames follow at one
// distance, sound too, and each round begins with its key frame.
func checkSlateFlow(t *testing.T, v *viewing) {
	last := map[uint32]seen{}
	for _, p := range v.packets {
		if p.Data == nil || p.Data[0] != 's' {
			continue
		}
		l, ok := last[p.Track.ID]
		last[p.Track.ID] = p
		if !ok || l.Track != p.Track {
			continue
		}
		require.InDelta(t, l.Dur, p.DTS-l.DTS, 1, "track %d", p.Track.ID)
		require.False(t, p.Discont)
		n, before := binary.BigEndian.Uint32(p.Data[1:]), binary.BigEndian.Uint32(l.Data[1:])
		if p.Track.Kind == sluice.Video {
			require.Equal(t, (before+1)%60, n)
			require.Equal(t, n%30 == 0, p.Key)
		} else if n != before+1 {
			require.Contains(t, []uint32{3, 4}, n, "a round of sound begins with its first frame") // behind the priming
			require.GreaterOrEqual(t, before, uint32(104))
		}
	}
	require.Len(t, last, 2)
}

func TestSlateWithoutSoundIsSilent(t *testing.T) {
	stage(t, broadcastConfig{slate: testSlate(t, false)}, func(t *testing.T, b *Broadcast, v *viewing) {
		c := newCamera(t, 'a', 640)
		c.publish(t.Context(), b, Refuse)
		time.Sleep(5 * time.Second)
		c.kill()
		time.Sleep(10 * time.Second)
		v.finish(t)
		silent := 0
		for _, p := range v.packets {
			if p.Data != nil && p.Track.Kind == sluice.Audio && p.Track.Era == 2 {
				require.Equal(t, []byte{0x21, 0x10, 0x04, 0x60, 0x8c, 0x1c}, p.Data)
				silent++
			}
		}
		assert.InDelta(t, 10*48000/1024, silent, 3)
		assert.Equal(t, "as", v.marks())
	})
}

// The stream's own last key frame stands for it, with the same parameters.
func TestLastPictureStandsForAnEncoderThatIsAway(t *testing.T) {
	stage(t, broadcastConfig{slate: LastPicture}, func(t *testing.T, b *Broadcast, v *viewing) {
		first, second := newCamera(t, 'a', 640), newCamera(t, 'b', 320)
		first.publish(t.Context(), b, Refuse)
		time.Sleep(5 * time.Second)
		first.kill()
		time.Sleep(10 * time.Second)
		second.publish(t.Context(), b, Refuse)
		time.Sleep(3 * time.Second)
		v.finish(t)
		shots := v.shots()
		require.Equal(t, "aab", v.marks())
		assert.InDelta(t, 4*10, shots[1].pictures, 2)
		assert.Less(t, shots[1].first.Sub(shots[0].last), 150*time.Millisecond)
		var before *sluice.Track
		held := 0
		for _, p := range v.packets {
			switch {
			case p.Data == nil || p.Track.Kind != sluice.Video:
			case p.Track.Era == 1:
				before = p.Track
			case p.Track.Era == 2:
				held++
				require.Equal(t, uint32(100), binary.BigEndian.Uint32(p.Data[1:]), "the key frame at 4 s")
				require.Equal(t, before.Config, p.Track.Config)
				require.LessOrEqual(t, p.Dur, p.Track.PartTarget)
			}
		}
		assert.Equal(t, shots[1].pictures, held)
	})
}

// A stream of sound alone has no use for pictures.
func TestSlateBringsNoTrackThatTheStreamHasNot(t *testing.T) {
	stage(t, broadcastConfig{slate: testSlate(t, true)}, func(t *testing.T, b *Broadcast, v *viewing) {
		c := newCamera(t, 'a', 640)
		c.video = nil
		c.publish(t.Context(), b, Refuse)
		time.Sleep(5 * time.Second)
		c.kill()
		time.Sleep(10 * time.Second)
		v.finish(t)
		assert.Empty(t, v.marks())
		last := v.packets[len(v.packets)-1]
		assert.EqualValues(t, 's', last.Data[0])
	})
	stage(t, broadcastConfig{slate: LastPicture}, func(t *testing.T, b *Broadcast, v *viewing) {
		c := newCamera(t, 'a', 640)
		c.video = nil
		c.publish(t.Context(), b, Refuse)
		time.Sleep(5 * time.Second)
		c.kill()
		time.Sleep(10 * time.Second)
		assert.False(t, b.Stats().Slate, "there is no picture")
		v.finish(t)
	})
}

// An encoder that stalls is given four times as long, and goes on, with its next key
// frame, when it is back.
func TestSlateStandsForAnEncoderThatStalls(t *testing.T) {
	stage(t, broadcastConfig{slate: testSlate(t, true)}, func(t *testing.T, b *Broadcast, v *viewing) {
		c := newCamera(t, 'a', 640)
		c.publish(t.Context(), b, Refuse)
		time.Sleep(5 * time.Second)
		c.freeze()
		time.Sleep(1500 * time.Millisecond)
		c.thaw()
		time.Sleep(3 * time.Second)
		assert.Equal(t, "a", v.marks(), "a hiccup shows no slate")
		c.freeze()
		time.Sleep(6 * time.Second)
		assert.Equal(t, "as", v.marks())
		assert.Equal(t, 1, b.Stats().Waiting)
		c.thaw()
		time.Sleep(6 * time.Second)
		v.finish(t)
		assert.Equal(t, "asa", v.marks())
		back := v.shots()[2]
		assert.Less(t, back.last.Sub(back.ended), 2500*time.Millisecond, "what came late puts it ahead of time by no more than a group of pictures")
		<-c.ended
	})
}

// The spare comes before the slate, if it has a key frame in time.
func TestASpareGoesBeforeTheSlate(t *testing.T) {
	stage(t, broadcastConfig{slate: testSlate(t, true)}, func(t *testing.T, b *Broadcast, v *viewing) {
		first, spare := newCamera(t, 'a', 640), newCamera(t, 'b', 320)
		spare.gop = 10
		first.publish(t.Context(), b, Standby)
		spare.publish(t.Context(), b, Standby)
		time.Sleep(5 * time.Second)
		first.kill()
		time.Sleep(3 * time.Second)
		assert.Equal(t, "ab", v.marks())
		spare.freeze()
		time.Sleep(3 * time.Second)
		assert.Equal(t, "abs", v.marks())
		v.finish(t)
		spare.thaw()
		<-spare.ended
	})
}

func TestSlateEndsWithTheCreatorsWord(t *testing.T) {
	stage(t, broadcastConfig{slate: testSlate(t, true)}, func(t *testing.T, b *Broadcast, v *viewing) {
		c := newCamera(t, 'a', 640)
		c.publish(t.Context(), b, Refuse)
		time.Sleep(3 * time.Second)
		c.kill()
		time.Sleep(5 * time.Second)
		began := time.Now()
		v.finish(t)
		assert.Zero(t, time.Since(began))
		assert.Equal(t, "as", v.marks())
		assert.False(t, b.Stats().Slate)
	})
}

// Nothing is shown before anything was: who has not come is not away.
func TestSlateWaitsForTheFirstEncoder(t *testing.T) {
	stage(t, broadcastConfig{slate: testSlate(t, true)}, func(t *testing.T, b *Broadcast, v *viewing) {
		c := newCamera(t, 'a', 640)
		c.mute()
		c.publish(t.Context(), b, Refuse)
		time.Sleep(10 * time.Second)
		v.finish(t)
		assert.Empty(t, v.marks())
		<-c.ended
	})
}

// A reader that stops meanwhile finds a bounded queue.
func TestSlateFillsNoMoreThanTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var saved Position
		b := testBroadcastWith(broadcastConfig{grace: time.Hour, slate: testSlate(t, true)}, &saved)
		c := newCamera(t, 'a', 640)
		c.publish(t.Context(), b, Refuse)
		v := view(t.Context(), b)
		time.Sleep(3 * time.Second)
		c.kill()
		time.Sleep(5 * time.Second)
		most := 0
		b.mu.Lock()
		for range 200 {
			b.playSlate(time.Now().Add(10 * time.Minute)) // as if it had slept
			most = max(most, b.queue.len())
		}
		b.mu.Unlock()
		require.LessOrEqual(t, most, queuePackets+slateBurst)
		v.finish(t)
		require.NoError(t, b.Close())
	})
}

func TestNewSlateReadsASource(t *testing.T) {
	w, src := sluice.Pipe(1000)
	for _, p := range clipPackets(t, true) {
		require.NoError(t, w.Write(t.Context(), p))
	}
	w.Close(nil)
	s, err := NewSlate(t.Context(), src)
	require.NoError(t, err)
	assert.Equal(t, testSlate(t, true), s)

	w, src = sluice.Pipe(1)
	w.Close(errors.New("broken"))
	_, err = NewSlate(t.Context(), src)
	assert.ErrorContains(t, err, "broken")
}

func TestASlateThatCannotServeSaysWhy(t *testing.T) {
	_, err := newSlate(nil)
	assert.ErrorIs(t, err, errNoMedia)
	packets := clipPackets(t, false)
	_, err = newSlate(packets[1:30])
	assert.ErrorIs(t, err, errNoMedia, "no key frame")
	_, err = newSlate(append(packets[:30:30], packets[:30]...))
	assert.ErrorContains(t, err, "go back")
	_, err = newSlate(packets[:1])
	assert.ErrorContains(t, err, "length")
	strange := *packets[0].Track
	strange.Codec = sluice.FourCC{'w', 'h', 'a', 't'}
	p := packets[0]
	p.Track = &strange
	_, err = newSlate([]sluice.Packet{p})
	assert.ErrorContains(t, err, "what")

	_, err = LoadSlate(filepath.Join(t.TempDir(), "none.mp4"))
	assert.ErrorIs(t, err, os.ErrNotExist)
	bad := filepath.Join(t.TempDir(), "bad.mp4")
	require.NoError(t, os.WriteFile(bad, bytes.Repeat([]byte("no MP4 "), 100), 0o600))
	_, err = LoadSlate(bad)
	assert.ErrorContains(t, err, "bad.mp4")
	assert.ErrorContains(t, err, "MP4")
}
