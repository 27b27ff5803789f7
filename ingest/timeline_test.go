package ingest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var frameRates = map[string][2]int64{
	"23.976": {24000, 1001}, "24": {24, 1}, "25": {25, 1}, "29.97": {30000, 1001}, "30": {30, 1},
	"50": {50, 1}, "59.94": {60000, 1001}, "60": {60, 1}, "15": {15, 1}, "10": {10, 1},
}

var groups = []float64{1, 2, 3, 8.3, 20}

// clean holds of sources without a fault: nothing is mended, sound and picture
// stay together, parts are as long as players ask for.
//
// A rate that is guessed from time stamps in milliseconds is a thousandth off in
// the first seconds: 29.97 looks like 30.
func (r *run) clean() {
	r.t.Helper()
	skew := 2 * time.Millisecond
	if l := r.lines[videoID]; l != nil && !r.declared {
		skew = 2500 * time.Microsecond
	}
	r.sane()
	require.Equal(r.t, Repairs{}, r.tl.repairs)
	require.EqualValues(r.t, 1, r.era)
	require.Less(r.t, r.skew(), skew)
	for _, l := range r.lines {
		for _, share := range l.parts() {
			if share < 0.85 || share > 1 {
				require.Fail(r.t, "part", "%v of the target", share)
			}
		}
	}
}

// exact holds of sources whose frame rate is known: each frame lasts until the
// next one, and frame n begins n durations after the first.
func (l *checked) exact(t testing.TB, num, den int64) {
	t.Helper()
	frames := l.frames()
	for i, p := range frames {
		want := frames[0].DTS + int64(i)*int64(p.Track.Timescale)*den/num
		if p.DTS != want {
			require.Equal(t, want, p.DTS, "frame %d", i)
		}
		if i > 0 && frames[i-1].DTS+frames[i-1].Dur != p.DTS {
			require.Equal(t, p.DTS, frames[i-1].DTS+frames[i-1].Dur, "end of frame %d", i-1)
		}
	}
}

// cutsOf returns where segments must begin by the rules, for frames in order of
// presentation that follow each other without holes and are not reordered.
func cutsOf(frames []sluice.Packet) []int64 {
	t := ticks(frames[0].Track.SegmentDur, int64(frames[0].Track.Timescale))
	starts := []int64{frames[0].PTS}
	cell := frames[0].PTS / t
	for _, p := range frames[1:] {
		switch {
		case p.Key && p.PTS/t > cell:
			cell = p.PTS / t
		case !p.Key && p.PTS+p.Dur > (cell+2)*t:
			cell++
		default:
			continue
		}
		starts = append(starts, p.PTS)
	}
	return starts
}

func (l *checked) starts() (starts []int64) {
	for _, s := range l.segments {
		starts = append(starts, s.start)
	}
	return starts
}

// Every frame rate, group length and reordering that encoders use.
func TestRegularSources(t *testing.T) {
	names := slices.Sorted(maps.Keys(frameRates))
	for n, name := range names {
		rate := frameRates[name]
		for m, gop := range groups {
			i := n*len(groups) + m
			b, declared := []int{0, 2, 3}[i%3], i%2 == 0
			t.Run(fmt.Sprintf("%s fps, gop %g, b %d, declared %v", name, gop, b, declared), func(t *testing.T) {
				r := newRun(t, 0, Position{})
				r.connect(simulation{
					picture: &picture{num: rate[0], den: rate[1], gop: gop, b: b, declared: declared},
					sound:   &sound{track: aac44(t)}, length: 41 * time.Second, truncate: i%4 < 2,
				}, hints{})
				r.clean()
				video := r.lines[videoID]
				if declared {
					video.exact(t, rate[0], rate[1])
				}
				if b == 0 {
					require.Equal(t, cutsOf(video.frames()), video.starts())
				}
				for n, s := range video.segments {
					require.True(t, s.independent || gop > 4, "segment %d does not begin with a key frame", n)
				}
				r.lines[audioID].exact(t, 44100, 1024)
				require.Equal(t, cutsOf(r.lines[audioID].frames()), r.lines[audioID].starts())
			})
		}
	}
}

// B-frames or not, a forced cut lies less than a group of them before its
// cell's end, and a key frame is used where there is one.
func TestForcedCutsInPresentationOrder(t *testing.T) {
	for _, b := range []int{0, 1, 2, 3, 7} {
		for _, name := range []string{"25", "29.97"} {
			rate := frameRates[name]
			r := newRun(t, 0, Position{})
			r.connect(simulation{
				picture: &picture{num: rate[0], den: rate[1], gop: 17.3, b: b, declared: true}, length: 2 * time.Minute,
			}, hints{known: true, video: true})
			r.clean()
			l := r.lines[videoID]
			forced := 0
			for _, s := range l.segments {
				if s.independent {
					continue
				}
				forced++
				before := (l.cell(s.start)+1)*l.ticks(4*time.Second) - s.start
				if before == l.ticks(4*time.Second) {
					before = 0 // on the boundary
				}
				assert.LessOrEqual(t, before, int64(b+2)*l.track.FrameDur, "segment %d", s.number)
			}
			assert.InDelta(t, 22, forced, 3, "of the thirty cells, seven have a key frame")
		}
	}
}

func TestKindsOfSource(t *testing.T) {
	p := &picture{num: 30, den: 1, gop: 2, declared: true}
	for name, s := range map[string]simulation{
		"AAC 48 kHz":          {picture: p, sound: &sound{track: aac48(t)}},
		"AAC 22.05 kHz":       {picture: p, sound: &sound{track: aac(t, 0x13, 0x90)}},
		"MP3":                 {picture: p, sound: &sound{track: mp3(t)}},
		"audio only":          {sound: &sound{track: aac44(t)}},
		"video only":          {picture: p},
		"audio 400 ms soon":   {picture: p, sound: &sound{track: aac44(t), early: 400 * time.Millisecond}},
		"audio 400 ms late":   {picture: p, sound: &sound{track: aac44(t), early: -400 * time.Millisecond}},
		"scene cuts":          {picture: &picture{num: 25, den: 1, gop: 5, scenes: true, b: 2}, sound: &sound{track: aac44(t)}},
		"90 kHz clock":        {picture: p, sound: &sound{track: aac44(t)}, scale: 90000, wrap: 1 << 33},
		"one second at 1 fps": {picture: &picture{num: 1, den: 1, gop: 1, declared: true}, sound: &sound{track: aac44(t)}},
	} {
		t.Run(name, func(t *testing.T) {
			s.length = time.Minute
			r := newRun(t, 0, Position{})
			r.connect(s, hints{})
			r.clean()
		})
	}
}

func TestVariableFrameRate(t *testing.T) {
	for seed := range uint64(8) {
		r := newRun(t, 0, Position{})
		r.connect(simulation{
			picture: &picture{num: int64(5 + 5*seed), den: 1, gop: 3, vary: true, declared: seed%2 == 0},
			sound:   &sound{track: aac44(t)}, length: time.Minute, rng: rand.New(rand.NewPCG(seed, 1)),
		}, hints{})
		r.sane()
		assert.Equal(t, Repairs{}, r.tl.repairs, "seed %d", seed)
		assert.Less(t, r.skew(), 60*time.Millisecond, "seed %d", seed)
	}
}

// Packets arrive in bursts, late, after stalls: the timeline goes on.
func TestJitterAndStallsDoNotAnchor(t *testing.T) {
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 7))
		var late, until time.Duration
		r := newRun(t, 0, Position{})
		r.connect(simulation{
			picture: &picture{num: 30000, den: 1001, gop: 2, b: 2, declared: true},
			sound:   &sound{track: aac48(t)}, length: 2 * time.Minute,
			delay: func(at time.Duration) time.Duration {
				if rng.IntN(500) == 0 { // a stall, and all at once behind it
					late, until = time.Duration(rng.Int64N(int64(7*time.Second))), at
				}
				return max(late-(at-until), 0) + time.Duration(rng.Int64N(int64(80*time.Millisecond)))
			},
		}, hints{})
		r.clean()
	}
}

// A stall for so long that watermarks were published makes a new era.
func TestStallOvertakenByWatermark(t *testing.T) {
	r := newRun(t, 0, Position{})
	r.connect(simulation{
		picture: &picture{num: 25, den: 1, gop: 2, declared: true},
		sound:   &sound{track: aac48(t)}, length: 60 * time.Second, unruly: true,
		delay: func(at time.Duration) time.Duration {
			return max(0, min(30*time.Second-at, 20*time.Second)) * time.Duration(b2i(at >= 10*time.Second))
		},
	}, hints{})
	r.sane()
	assert.EqualValues(t, 1, r.tl.repairs.Anchors)
	assert.EqualValues(t, 2, r.era)
}

func b2i(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func TestLostFrames(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var until float64
		r := newRun(t, 0, Position{})
		r.connect(simulation{
			picture: &picture{num: 30, den: 1, gop: 2, b: int(seed % 3), declared: seed%2 == 0},
			sound:   &sound{track: aac44(t)}, length: 2 * time.Minute,
			edit: func(f *simFrame) bool {
				if rng.IntN(400) == 0 {
					until = f.sent + rng.ExpFloat64()*1.5
				}
				return f.sent >= until
			},
		}, hints{})
		r.sane()
		assert.Zero(t, r.tl.repairs.Anchors, "seed %d", seed)
		assert.NotZero(t, r.tl.repairs.MissingAudio, "seed %d", seed)
		assert.Less(t, r.skew(), 40*time.Millisecond, "seed %d", seed)
	}
}

// after lets a connection follow the ones before it.
func (r *run) after(pause time.Duration, s simulation) simulation {
	if r.now.IsZero() {
		r.now = epoch
	}
	shift := r.now.Sub(epoch) + pause
	s.delay = func(time.Duration) time.Duration { return shift }
	s.unruly = true
	return s
}

func TestEncoderReturns(t *testing.T) {
	for _, pause := range []time.Duration{0, 3 * time.Second, 20 * time.Second, 4 * time.Minute, 20 * time.Minute} {
		t.Run(pause.String(), func(t *testing.T) {
			r := newRun(t, 0, Position{})
			first := simulation{
				picture: &picture{num: 30000, den: 1001, gop: 2, b: 2, declared: true},
				sound:   &sound{track: aac48(t)}, length: 13 * time.Second,
			}
			r.connect(first, hints{})
			second := r.after(pause, first)
			second.picture = &picture{num: 25, den: 1, gop: 3, width: 1280}
			second.sound = &sound{track: aac44(t)} // its ticks are fewer than those before
			second.start = 1 << 31
			r.connect(second, hints{})
			third := r.after(pause, first)
			r.connect(third, hints{})
			r.sane()
			assert.EqualValues(t, 3, r.era)
			for _, l := range r.lines {
				assert.EqualValues(t, 3, l.track.Era)
				assert.Greater(t, len(l.frames()), 3*12*25)
			}
			assert.Equal(t, first.sound.track.Timescale, r.lines[audioID].track.Timescale)
		})
	}
}

// While the encoder is away, each cell is a gap, a few seconds after it ended.
func TestWaitingIsSaid(t *testing.T) {
	r := newRun(t, 0, Position{})
	s := simulation{picture: &picture{num: 25, den: 1, gop: 2}, sound: &sound{track: aac48(t)}, length: 10 * time.Second}
	r.connect(s, hints{})
	r.wait(r.now.Add(60 * time.Second))
	for _, l := range r.lines {
		gaps := 0
		for _, seg := range l.segments {
			if seg.frames == 0 {
				gaps++
			}
		}
		assert.InDelta(t, 15, gaps, 1)
		at := l.track.Time(l.quiet)
		assert.WithinDuration(t, r.now, at, 2*time.Second)
	}
}

// One track is silent: said two seconds behind the others, and nothing else.
func TestSilentTrack(t *testing.T) {
	for _, id := range []uint32{videoID, audioID} {
		r := newRun(t, 0, Position{})
		r.connect(simulation{
			picture: &picture{num: 25, den: 1, gop: 2}, sound: &sound{track: aac48(t)}, length: 50 * time.Second,
			edit: func(f *simFrame) bool { return f.track.ID != id || f.at < 10 || f.at > 40 },
		}, hints{})
		r.sane()
		assert.Zero(t, r.tl.repairs.Anchors)
		assert.EqualValues(t, 1, r.era)
		gaps := 0
		for _, seg := range r.lines[id].segments {
			gaps += int(b2i(seg.frames == 0))
		}
		assert.InDelta(t, 7, gaps, 1)
	}
}

// An encoder comes back without sound: the audio track follows into the new era.
func TestTrackThatDoesNotReturn(t *testing.T) {
	r := newRun(t, 0, Position{})
	s := simulation{picture: &picture{num: 25, den: 1, gop: 2}, sound: &sound{track: aac48(t)}, length: 10 * time.Second}
	r.connect(s, hints{})
	s.sound, s.length = nil, 30*time.Second
	r.connect(r.after(5*time.Second, s), hints{})
	r.sane()
	for _, l := range r.lines {
		assert.EqualValues(t, 2, l.track.Era)
	}
	video, audio := r.lines[videoID].segments, r.lines[audioID].segments
	assert.InDelta(t, len(video), len(audio), 2)
}

func TestWraps(t *testing.T) {
	base := simulation{
		picture: &picture{num: 30000, den: 1001, gop: 2, b: 2, declared: true},
		sound:   &sound{track: aac44(t), early: 200 * time.Millisecond}, length: time.Minute,
	}
	for name, c := range map[string]struct {
		wraps int
		edit  func(*simulation)
	}{
		"4.6 hours, 24 bits":          {1, func(s *simulation) { s.counter = 1 << 24; s.start = 1<<24 - 30_000 }},
		"4.6 hours, but 32 bits":      {0, func(s *simulation) { s.start = 1<<24 - 30_000 }},
		"49.7 days, 32 bits":          {1, func(s *simulation) { s.start = 1<<32 - 30_000 }},
		"26.5 hours, 33 bits, 90 kHz": {1, func(s *simulation) { s.scale, s.wrap, s.start = 90000, 1<<33, 1<<33-30*90000 }},
		"186 s, 33 bits, 90 kHz":      {0, func(s *simulation) { s.scale, s.wrap, s.start = 90000, 1<<33, 1<<24-30*90000 }},
	} {
		t.Run(name, func(t *testing.T) {
			s := base
			c.edit(&s)
			r := newRun(t, 0, Position{})
			r.connect(s, hints{})
			assert.EqualValues(t, c.wraps, r.tl.repairs.Wraps)
			r.tl.repairs.Wraps = 0
			r.clean()
			r.lines[videoID].exact(t, 30000, 1001)
			r.lines[audioID].exact(t, 44100, 1024)
		})
	}
}

func TestClockSteps(t *testing.T) {
	for name, step := range map[string]time.Duration{
		"an hour forward": time.Hour, "an hour back": -time.Hour, "five seconds forward": 5 * time.Second, "three back": -3 * time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRun(t, 0, Position{})
			r.connect(simulation{
				picture: &picture{num: 30, den: 1, gop: 2, declared: true}, sound: &sound{track: aac44(t), early: 300 * time.Millisecond},
				length: time.Minute, start: 2 * 3600_000, unruly: true,
				edit: func(f *simFrame) bool { return shift(f, f.at > 30, step) },
			}, hints{})
			r.sane()
			assert.Equal(t, Repairs{Anchors: 1, WithoutKey: r.tl.repairs.WithoutKey}, r.tl.repairs)
			assert.EqualValues(t, 2, r.era)
			for _, l := range r.lines {
				last := l.frames()[len(l.frames())-1]
				assert.WithinDuration(t, epoch.Add(time.Minute), l.track.Time(last.DTS), time.Second)
			}
		})
	}
}

func shift(f *simFrame, when bool, step time.Duration) bool {
	if when {
		f.dts += step.Milliseconds()
		f.pts += step.Milliseconds()
	}
	return true
}

// The clock of one track jumps: its time stamps are wrong, not the connection's.
func TestOneTrackSteps(t *testing.T) {
	for _, id := range []uint32{videoID, audioID} {
		for _, step := range []time.Duration{time.Hour, -time.Hour, 5 * time.Second} {
			r := newRun(t, 0, Position{})
			r.connect(simulation{
				picture: &picture{num: 30, den: 1, gop: 2, declared: true}, sound: &sound{track: aac44(t)},
				length: time.Minute, start: 2 * 3600_000, unruly: true,
				edit: func(f *simFrame) bool { return shift(f, f.at > 30 && f.track.ID == id, step) },
			}, hints{})
			r.sane()
			assert.Equal(t, Repairs{TrackJumps: 1}, r.tl.repairs)
			assert.EqualValues(t, 1, r.era)
			assert.Less(t, r.skew(), 50*time.Millisecond)
		}
	}
}

// A single frame is astray: it is put back.
func TestFrameAstray(t *testing.T) {
	for _, alone := range []bool{true, false} {
		s := simulation{
			picture: &picture{num: 30, den: 1, gop: 2, declared: true}, length: 30 * time.Second, start: 2 * 3600_000,
			edit: func(f *simFrame) bool {
				return shift(f, f.track.ID == videoID && f.at > 10 && f.at <= 10.04, -time.Hour)
			},
		}
		if !alone {
			s.sound = &sound{track: aac44(t)}
		}
		r := newRun(t, 0, Position{})
		r.connect(s, hints{})
		assert.Equal(t, Repairs{BackwardDTS: 1}, r.tl.repairs)
		r.lines[videoID].exact(t, 30, 1)
	}
}

// Each track counts from a zero of its own.
func TestTracksWithTheirOwnZero(t *testing.T) {
	r := newRun(t, 0, Position{})
	r.connect(simulation{
		picture: &picture{num: 30, den: 1, gop: 2, declared: true}, sound: &sound{track: aac44(t)}, length: 30 * time.Second,
		edit: func(f *simFrame) bool { return shift(f, f.track.ID == videoID, 300*time.Hour) },
	}, hints{})
	r.tl.repairs.Wraps = 0
	r.sane()
	assert.Equal(t, Repairs{}, r.tl.repairs)
	assert.Less(t, r.skew(), 50*time.Millisecond)
}

// The first frames are stamped 0, the rest with the time since the encoder
// was switched on.
func TestZeroThenUptime(t *testing.T) {
	r := newRun(t, 0, Position{})
	r.connect(simulation{
		picture: &picture{num: 30, den: 1, gop: 2, declared: true}, sound: &sound{track: aac44(t)}, length: 30 * time.Second, unruly: true,
		edit: func(f *simFrame) bool { return shift(f, f.at > 0.1, 300*time.Hour) },
	}, hints{})
	for _, l := range r.lines {
		frames := l.frames()
		assert.WithinDuration(t, epoch.Add(30*time.Second), l.track.Time(frames[len(frames)-1].DTS), time.Second)
	}
}

func TestNewParameters(t *testing.T) {
	r := newRun(t, 0, Position{})
	wide := raw(avcTrack(t, 1280, 0, 0), videoID, 1000)
	r.connect(simulation{
		picture: &picture{num: 30, den: 1, gop: 2, declared: true}, sound: &sound{track: aac44(t)}, length: 20 * time.Second,
		edit: func(f *simFrame) bool {
			if f.at >= 10 && f.track.ID == videoID {
				f.track = wide
			}
			return true
		},
	}, hints{})
	r.sane()
	assert.EqualValues(t, 2, r.era)
	assert.Equal(t, Repairs{}, r.tl.repairs)
	assert.Equal(t, 1280, r.lines[videoID].track.Width)
	assert.Less(t, r.skew(), 2*time.Millisecond)
	for _, l := range r.lines {
		assert.EqualValues(t, 2, l.track.Era)
	}
}

// A file sent as fast as the network takes it.
func TestFullSpeed(t *testing.T) {
	r := newRun(t, 0, Position{})
	r.connect(simulation{
		picture: &picture{num: 25, den: 1, gop: 2, declared: true}, sound: &sound{track: aac44(t)}, length: time.Minute,
		delay: func(at time.Duration) time.Duration { return -at * 99 / 100 },
	}, hints{})
	r.clean()
	assert.InDelta(t, 59, r.tl.ahead(r.now).Seconds(), 1)
}

// Somebody sets the clock back by an hour, during a broadcast and between two.
func TestWallClockSetBack(t *testing.T) {
	s := simulation{
		picture: &picture{num: 25, den: 1, gop: 2, declared: true}, sound: &sound{track: aac44(t)}, length: 10 * time.Minute,
		delay: func(at time.Duration) time.Duration { return -time.Hour * time.Duration(b2i(at > 5*time.Minute)) },
	}
	r := newRun(t, 0, Position{})
	in := newInput(1000, 1<<32, func() hints { return hints{} })
	source := s.frames(t)
	for i := range source {
		f := &source[i]
		if f.at > 300 { // frames keeps arrivals in order
			f.arrival = epoch.Add(time.Duration(f.at*1e9) - time.Hour)
		}
		require.NoError(t, r.tl.push(in, f.packet(), f.arrival))
		r.collect()
	}
	r.source = source
	r.clean()
	end := r.tl.end
	r.tl.flush(in)
	again := newTimeline(0, r.tl.position())
	r.tl = again
	s.length, s.delay = 20*time.Second, func(time.Duration) time.Duration { return -2 * time.Hour }
	r.connect(s, hints{})
	assert.WithinDuration(t, end.Add(20*time.Second), again.end, time.Second)
	assert.Less(t, again.ahead(r.now), readAhead, "read at the pace of time, not stopped")
}

// Numbers, eras and times go on after a restart of the server.
func TestPositionContinues(t *testing.T) {
	s := simulation{picture: &picture{num: 25, den: 1, gop: 2}, sound: &sound{track: aac48(t)}, length: 21 * time.Second}
	r := newRun(t, 0, Position{})
	r.connect(s, hints{})
	r.tl = newTimeline(0, r.tl.position())
	r.connect(r.after(0, s), hints{})
	r.sane()
	assert.EqualValues(t, 2, r.era)
}

// The clock of an encoder is wrong by 100 parts per million, for a day.
func TestDriftForADay(t *testing.T) {
	if testing.Short() {
		t.Skip("a million frames")
	}
	for _, drift := range []float64{100, -100} {
		t.Run(fmt.Sprint(drift), func(t *testing.T) {
			t.Parallel()
			tl := newTimeline(0, Position{})
			in := newInput(1000, 1<<32, func() hints { return hints{known: true, video: true, audio: true} })
			video := raw(avcTrack(t, 640, 2, 1), videoID, 1000)
			audio := raw(aac(t, 0x15, 0x88), audioID, 1000) // 8 kHz: 7.8 frames a second
			c := newChecker(t)
			rng := rand.New(rand.NewPCG(5, 6))
			var worst time.Duration
			offset := map[uint32]time.Duration{}
			for v, a := 0, 0; v < 24*3600*2; {
				track, at := video, float64(v)/2
				if late := float64(a) * 1024 / 8000; late < at {
					track, at, a = audio, late, a+1
				} else {
					v++
				}
				ms := int64(at*1000 + 0.5)
				arrival := epoch.Add(time.Duration(at*(1-drift/1e6)*1e9) + time.Duration(rng.Int64N(int64(40*time.Millisecond))))
				p := sluice.Packet{Track: track, DTS: ms, PTS: ms, Key: track == audio || (v-1)%4 == 0, Data: []byte{1}}
				require.NoError(t, tl.push(in, p, arrival))
				for _, p := range tl.out {
					require.NoError(t, c.packet(p))
					if p.Data != nil && p.Track.ID == track.ID && at > 3 {
						offset[p.Track.ID] = p.Track.Time(p.DTS).Sub(epoch) - time.Duration(at*1e9)
						worst = max(worst, arrival.Sub(p.Track.Time(p.DTS)).Abs())
					}
					c.lines[p.Track.ID].packets = c.lines[p.Track.ID].packets[:0]
				}
				tl.out = tl.out[:0]
				if len(offset) == 2 {
					if skew := offset[videoID] - offset[audioID]; skew.Abs() >= 2*time.Millisecond {
						require.Fail(t, "sound leaves the picture", "%v after %v s", skew, at)
					}
				}
			}
			assert.Equal(t, Repairs{}, tl.repairs)
			assert.EqualValues(t, 1, tl.era)
			assert.Less(t, worst, 120*time.Millisecond, "the timeline follows UTC")
			frames := c.lines[videoID]
			assert.Greater(t, len(frames.segments), 24*900-10)
		})
	}
}
