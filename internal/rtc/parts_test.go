package rtc

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// Packets come shuffled within a window, some twice and some never: what comes
// out is in order, each once, with a gap told of where one is missing.
func TestReorder(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := newReorder(videoWindow, 100*time.Millisecond)
		now := time.Unix(0, 0)
		first := uint16(r.Uint32())
		const count = 3000
		missing := map[int]bool{}
		var order []int
		for i := range count {
			if i > 0 && i < count-200 && r.IntN(50) == 0 {
				missing[i] = true
				continue
			}
			order = append(order, i)
			if r.IntN(30) == 0 {
				order = append(order, i)
			}
		}
		for i := 1; i+8 < len(order); i += 8 {
			r.Shuffle(8, func(a, c int) { order[i+a], order[i+c] = order[i+c], order[i+a] })
		}
		next, lost := 0, false
		take := func() {
			for {
				p, gap := b.pop(now)
				lost = lost || gap
				if p == nil {
					return
				}
				for missing[next] {
					require.True(t, lost, "seed %d: the hole at %d is told of", seed, next)
					next++
				}
				require.Equal(t, first+uint16(next), p.SequenceNumber, "seed %d", seed)
				next++
				lost = false
			}
		}
		for _, i := range order {
			b.push(&rtp.Packet{Header: rtp.Header{SequenceNumber: first + uint16(i)}}, now)
			take()
			now = now.Add(time.Millisecond)
		}
		now = now.Add(time.Second)
		take()
		require.Equal(t, count, next, "seed %d", seed)
		assert.EqualValues(t, len(missing), b.stats.Lost)
	}
}

func TestReorderAsksAgainAndLearnsTheRoundTrip(t *testing.T) {
	b := newReorder(audioWindow, time.Second)
	now := time.Unix(0, 0)
	push := func(seq uint16) { b.push(&rtp.Packet{Header: rtp.Header{SequenceNumber: seq}}, now) }
	push(65534)
	push(1) // 65535 and 0 are missing
	assert.Equal(t, []uint16{65535, 0}, b.missing(now))
	assert.Empty(t, b.missing(now.Add(10*time.Millisecond)), "not at once again")
	now = now.Add(40 * time.Millisecond)
	push(65535)
	assert.Equal(t, 40*time.Millisecond, b.rtt)
	now = now.Add(15 * time.Millisecond)
	assert.Equal(t, []uint16{0}, b.missing(now), "after a round trip and a quarter")
	assert.EqualValues(t, 2, b.stats.Asked)
	assert.EqualValues(t, 1, b.stats.Repaired)
}

func TestReorderFollowsASenderThatCountsAnew(t *testing.T) {
	b := newReorder(audioWindow, time.Second)
	now := time.Unix(0, 0)
	for _, seq := range []uint16{10, 11, 40000, 40001} {
		b.push(&rtp.Packet{Header: rtp.Header{SequenceNumber: seq}}, now)
	}
	p, lost := b.pop(now)
	require.NotNil(t, p)
	assert.True(t, lost)
	assert.Equal(t, uint16(40000), p.SequenceNumber)
}

const second = uint64(1) << 32 // of NTP

// Sound began 60 ms late by arrival: reports put it right, 5 ms a second.
func TestSmallCorrectionsAreSlewed(t *testing.T) {
	common := &commonClock{}
	video, audio := trackClock{common: common, rate: 90000}, trackClock{common: common, rate: 48000}
	at := time.Unix(100, 0)
	assert.EqualValues(t, 0, video.position(5000, at))
	assert.EqualValues(t, 60*90, audio.position(0xffffff00, at.Add(60*time.Millisecond)))
	video.report(1000*second, 5000)
	assert.EqualValues(t, -60*90, audio.report(1000*second, 0xffffff00), "both were taken at the same moment")
	last := int64(60 * 90)
	for i := range uint32(12 * 50) {
		dts := audio.position(0xffffff00+(i+1)*960, at)
		assert.InDelta(t, 1800, dts-last, 10)
		last = dts
	}
	assert.EqualValues(t, 12*90000, last)
	assert.EqualValues(t, 0, audio.report(1001*second, audio.lastTS-11*48000))
}

func TestLargeCorrectionsAreMadeAtOnceAndAbsurdOnesNot(t *testing.T) {
	common := &commonClock{}
	video, audio := trackClock{common: common, rate: 90000}, trackClock{common: common, rate: 48000}
	at := time.Unix(100, 0)
	video.position(0, at)
	audio.position(0, at)
	video.report(1000*second, 0)
	audio.report(1000*second+second/2, 0)
	assert.EqualValues(t, 45000+1800, audio.position(960, at))
	audio.report(900*second, 960) // a sender whose tracks have no common time
	assert.EqualValues(t, 45000+3600, audio.position(1920, at))
	audio.report(1000*second, 1920)
	assert.EqualValues(t, 45000+3601, audio.position(2880, at), "and never back")
}

// A sender that starts its time stamps anew goes on where it is by arrival; one
// that was silent, where its time stamps say.
func TestTimeStampsThatAreCountedAnew(t *testing.T) {
	for name, jump := range map[string]uint32{"back": 1<<32 - 3600*90000, "ahead": 3600 * 90000} {
		clock := trackClock{common: &commonClock{}, rate: 90000}
		at, ts := time.Unix(100, 0), uint32(1<<32-9000)
		clock.position(ts, at)
		frame := func(step time.Duration) int64 {
			ts += uint32(step * 90000 / time.Second)
			at = at.Add(step)
			return clock.position(ts, at)
		}
		for i := range int64(10) {
			assert.Equal(t, (i+1)*3600, frame(40*time.Millisecond), name)
		}
		ts += jump
		for i := range int64(10) {
			assert.Equal(t, (i+11)*3600, frame(40*time.Millisecond), name)
		}
		assert.EqualValues(t, 20*3600+3600*90000, frame(time.Hour), "silence")
	}
}

// What waited is read late, after a loss: it does not come from the future.
func TestALossThatIsReadLateIsNoJump(t *testing.T) {
	clock := trackClock{common: &commonClock{}, rate: 90000}
	began := time.Unix(100, 0)
	clock.position(0, began)
	at := began.Add(20 * time.Second) // all that time nobody read
	assert.EqualValues(t, 3600, clock.position(3600, at))
	assert.EqualValues(t, 12*90000, clock.position(12*90000, at))
}

func TestTracksAreNumbered(t *testing.T) {
	var l layout
	assert.Equal(t, []uint32{1, 2, 11, 12, 21}, []uint32{l.next(true), l.next(false), l.next(true), l.next(true), l.next(false)})
}

// Sound waits for the layers that were announced so that all begins together,
// but not for a camera that is off.
func TestSoundDoesNotWaitForEverForLayers(t *testing.T) {
	s := &Session{layout: layout{layers: 3}}
	sound := &incoming{s: s, remote: &webrtc.TrackRemote{}}
	now := time.Unix(100, 0)
	assert.False(t, s.open(sound, &sluice.Track{}, now))
	assert.False(t, s.open(sound, &sluice.Track{}, now.Add(layersWait-time.Millisecond)))
	now = now.Add(layersWait)
	assert.True(t, s.open(sound, &sluice.Track{}, now))
	s.layout.since = now // the camera is there
	assert.True(t, s.open(sound, &sluice.Track{}, now), "and then stays")
}

func TestUnpackersWantFramesFromTheirStart(t *testing.T) {
	for name, c := range map[string]struct {
		unpacker unpacker
		payloads [][]byte
	}{
		"H.264, middle of a fragment":   {newH264(""), [][]byte{{0x7c, 0x05, 1, 2}}},
		"H.264, fragment without end":   {newH264(""), [][]byte{{0x7c, 0x85, 1, 2}}},
		"H.264, fragment interrupted":   {newH264(""), [][]byte{{0x7c, 0x85, 1, 2}, {0x41, 1}}},
		"H.264, aggregate cut short":    {newH264(""), [][]byte{{24, 0, 9, 1}}},
		"H.264, unknown structure":      {newH264(""), [][]byte{{29, 0, 9, 1}}},
		"VP8, middle":                   {newVP8(""), [][]byte{{0x00, 1, 2, 3, 4}}},
		"VP8, no start code":            {newVP8(""), [][]byte{{0x10, 0x10, 0, 0, 1, 2, 3, 4, 5, 6, 7}}},
		"VP9, middle":                   {newVP9(""), [][]byte{{0x00, 0x82, 1, 2}}},
		"AV1, middle":                   {newAV1(""), [][]byte{{0x90, 1, 2}}},
		"AV1, OBU without end":          {newAV1(""), [][]byte{{0x50, 0x30, 2}}},
		"Opus, empty":                   {newOpus(""), [][]byte{{}}},
		"Opus, lasts no time (code 3)":  {newOpus(""), [][]byte{{3, 0}}},
		"Opus, lasts longer than 120ms": {newOpus(""), [][]byte{{0x1b, 3}}},
	} {
		_, err := c.unpacker.unpack(c.payloads)
		assert.Error(t, err, name)
	}
}

// Some encoders say their parameter sets twice before some key frames. Nothing
// changes by that.
func TestParameterSetsSaidTwiceAreNoNewTrack(t *testing.T) {
	sps := []byte{0x67, 66, 192, 30, 219, 2, 128, 191, 229, 192, 68, 0, 0, 3, 0, 4, 0, 0, 3, 0, 240, 60, 88, 185, 32}
	pps, other, idr := []byte{0x68, 0xcb, 0x8c, 0xb2}, []byte{0x68, 0xcb, 0x83, 0xcb, 0x20}, []byte{0x65, 1, 2}
	u := newH264("")
	first, err := u.unpack([][]byte{sps, pps, idr})
	require.NoError(t, err)
	require.NotNil(t, first.track)
	again, err := u.unpack([][]byte{sps, pps, sps, pps, idr})
	require.NoError(t, err)
	assert.Same(t, first.track, again.track)
	again, err = u.unpack([][]byte{sps, other, idr})
	require.NoError(t, err)
	assert.NotSame(t, first.track, again.track)
}

// A key frame that is not shown when it is decoded is no place to start: what
// is shown first needs what was before.
func TestAV1KeyFrameHasToBeShown(t *testing.T) {
	for first, key := range map[byte]bool{0x10: true, 0x00: false} {
		payload := []byte{0x28, 11, 0x08, 0, 0, 0, 0x02, 0xaf, 0xff, 0x9f, 0x7f, 0x20, 0x08, 0x30, first, 1, 2}
		u, err := newAV1("").unpack([][]byte{payload})
		require.NoError(t, err)
		assert.Equal(t, key, u.key)
	}
}

// A bad packet behind good ones is refused as the first would be.
func TestEveryOpusPacketIsLookedAt(t *testing.T) {
	o := newOpus("")
	u, err := o.unpack([][]byte{{0x78, 1, 2}})
	require.NoError(t, err)
	again, err := o.unpack([][]byte{{0x78, 3}})
	require.NoError(t, err)
	assert.Same(t, u.track, again.track)
	_, err = o.unpack([][]byte{{0x1b, 3}})
	assert.ErrorIs(t, err, ErrMedia, "longer than 120 ms")
}

// A picture of tiny packets takes the memory of its packets, and not of its
// bytes only.
func TestPacketsOfAFrameAreBounded(t *testing.T) {
	in := &incoming{remote: &webrtc.TrackRemote{}, codec: &codecEntry{}, payload: 111}
	for i := range 70000 {
		in.packet(&rtp.Packet{Header: rtp.Header{PayloadType: 111, SequenceNumber: uint16(i)}, Payload: []byte{1}}, time.Now())
		if in.dropped > 0 {
			return
		}
	}
	assert.Fail(t, "taken whole", "%d packets", len(in.frame.payloads))
}

func TestVP9LayersBecomeASuperframe(t *testing.T) {
	assert.Equal(t, []byte{1, 2, 3, 0xc1, 2, 1, 0xc1}, superframe([][]byte{{1, 2}, {3}}))
}

// FuzzUnpack cuts what it is given into payloads. Whatever comes of them is a
// sample that fits its track.
func FuzzUnpack(f *testing.F) {
	for i, b := range [][]byte{
		{0x7c, 0x85, 1, 2, 255, 0x7c, 0x45, 3, 4}, {24, 0, 2, 0x67, 66, 0, 1, 0x68},
		{0x10, 0x10, 0, 0, 0x9d, 1, 0x2a, 64, 0, 64, 0, 9}, {0x8a, 1, 0x82, 0x49, 0x83, 0x42, 0, 1, 2, 3, 4, 5, 6, 7, 8},
		{0x18, 0x0a, 0x0b, 0, 0, 0, 0x24, 0xce, 0x7f, 0xff, 0xfd, 0xcc, 0x08, 0x32, 0x10}, {0xfc, 1, 2, 3},
	} {
		f.Add(uint8(i), b)
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		c := codecs[int(which)%len(codecs)]
		u := c.unpacker("")
		var payloads [][]byte
		start := 0
		for i, v := range b {
			if v == 255 {
				payloads = append(payloads, b[start:i])
				start = i + 1
			}
		}
		payloads = append(payloads, b[start:])
		if c.single {
			payloads = payloads[:1]
		}
		for range 2 {
			out, err := u.unpack(payloads)
			if err != nil || out.data == nil {
				return
			}
			require.Less(t, len(out.data), 8*len(b)+64)
			if out.track != nil {
				require.Equal(t, c.codec, out.track.Codec)
				require.Positive(t, out.track.Timescale)
				require.True(t, out.track.Kind == sluice.Audio || out.track.Width > 0)
			}
		}
	})
}
