package ingest

import "math"

// cadence turns time stamps of coarse or jittery resolution into those of
// frames that follow each other at a constant distance, as encoders mean them:
// milliseconds of 29.97 frames a second, or audio by its count of samples.
// Frames that do not fit keep their own time.
type cadence struct {
	num, den int64 // a frame lasts num/den ticks; num 0: not known
	ms       float64
	base     int64 // position of frame 0
	n        int64 // index of the last frame
	started  bool
	fixed    bool    // num/den is the codec's, not a guess
	last     int64   // position given to the last frame
	err, dev float64 // smoothed error and its mean size, ticks
	interval int64   // between the last two frames, when off the cadence

	// The span over which the frame duration is measured, and the time stamps of
	// frames off the cadence, from which another may show.
	spanStart, spanFrames int64
	off                   []int64
}

// relearnAfter is how many frames in a row off the cadence make it doubtful.
const relearnAfter = 8

func newCadence(num, den int64, timescale uint32) cadence {
	ms := float64(timescale) / 1000
	return cadence{num: num, den: max(den, 1), ms: ms, dev: ms / 2}
}

func (c *cadence) pos(n int64) int64 { return c.base + floorDiv(n*c.num, c.den) }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// frame returns the duration of frame n.
func (c *cadence) frame() float64 { return float64(c.num) / float64(c.den) }

// rebase makes raw the position of frame 0.
func (c *cadence) rebase(raw int64) {
	c.base, c.n, c.started = raw, 0, true
	c.spanStart, c.spanFrames = raw, 0
	c.err = 0
}

// tolerance is how far a time stamp may be from its place on the cadence:
// rounding to milliseconds, and four times what is usual here.
func (c *cadence) tolerance() float64 {
	return min(2*c.ms+4*c.dev, 100*c.ms, max(c.frame()*0.75, 2.2*c.ms))
}

// place puts a frame at raw on the cadence. steps is how many frames it lies
// behind the one before: 1 as a rule, more when some are missing, 0 or less
// when it comes again; fits says whether it lies on the cadence.
func (c *cadence) place(raw int64) (steps int64, fits bool) {
	if c.num == 0 {
		return 1, false
	}
	steps = int64(math.Round(float64(raw-c.pos(c.n)) / c.frame()))
	e := float64(raw - c.pos(c.n+steps))
	return steps, math.Abs(e) <= c.tolerance()
}

// take gives the frame its position on the cadence and returns it with its
// duration.
func (c *cadence) take(raw, steps int64) (dts, dur int64) {
	c.n += steps
	c.off = c.off[:0]
	c.spanFrames += steps
	e := float64(raw - c.pos(c.n))
	c.dev += (math.Abs(e) - c.dev) / 64
	c.err += (e - c.err) / 16
	dts = max(c.pos(c.n), c.last+1)
	c.last = dts
	if math.Abs(c.err) > max(0.6*c.ms, c.dev/2) {
		// Drift is followed in half milliseconds, which no decoder notices, from
		// the next frame on: this one lasts until it.
		shift := math.Copysign(c.ms/2, c.err)
		c.base += int64(math.Round(shift))
		c.err -= shift
	}
	return dts, max(c.pos(c.n+1)-dts, 1)
}

// free gives a frame that is off the cadence its own time.
func (c *cadence) free(raw int64) (dts, dur int64) {
	if c.started {
		c.interval = raw - c.last
	}
	c.relearn(raw)
	c.rebase(raw)
	dts = max(raw, c.last+1)
	c.last = dts
	second := int64(1000 * c.ms)
	switch {
	case c.num != 0:
		dur = max(c.pos(1)-dts, 1)
	case c.interval > 0:
		dur = min(c.interval, second)
	default:
		dur = second / 30
	}
	return dts, dur
}

// known places a frame whose source keeps exact time and knows how long it
// lasts.
func (c *cadence) known(raw, dur int64) (dts, lasts int64) {
	c.rebase(raw)
	dts = max(raw, c.last+1)
	c.last = dts
	return dts, max(raw+dur-dts, 1)
}

// relearn looks for another frame duration behind frames that keep missing
// this one.
func (c *cadence) relearn(raw int64) {
	if c.fixed {
		return
	}
	c.off = append(c.off, raw)
	if len(c.off) >= relearnAfter {
		c.num, c.den = chooseRate(c.off, uint32(c.ms*1000))
		c.off = c.off[:0]
	}
}

// Frame rates that cameras and encoders use, as duration in units of 1/240,000
// seconds (so that all are whole numbers but 59.94's family, given over 1,001).
var rates = [...][2]int64{
	{30, 1}, {25, 1}, {60, 1}, {24, 1}, {50, 1}, {30000, 1001}, {24000, 1001}, {60000, 1001},
	{15, 1}, {20, 1}, {10, 1}, {12, 1}, {12000, 1001}, {15000, 1001}, {48, 1}, {90, 1}, {100, 1}, {120, 1},
	{120000, 1001}, {144, 1}, {5, 1}, {1, 1},
}

// nearestRate returns the usual frame rate closest to the duration, in ticks,
// if one is within the share part of it.
func nearestRate(dur, timescale float64, part float64) (num, den int64, ok bool) {
	best := part
	for _, r := range rates {
		d := timescale * float64(r[1]) / float64(r[0])
		if off := math.Abs(dur-d) / d; off < best {
			best, num, den, ok = off, int64(timescale)*r[1], r[0], true
		}
	}
	return num, den, ok
}

// Bounds, in frames, of the span over which a frame duration is measured anew:
// at 30 a second, 1/1001 shows as 3.3 ms after 100.
const (
	refineAfter  = 100
	refineWithin = 1000
)

// refine replaces the frame duration where measuring shows another: a guess of
// 30 frames a second turns out to be 29.97.
func (c *cadence) refine(raw int64) {
	if c.fixed || c.num == 0 || c.spanFrames < refineAfter {
		return
	}
	dur := float64(raw-c.spanStart) / float64(c.spanFrames)
	off := math.Abs(dur-c.frame()) * float64(c.spanFrames)
	if off > 2.5*c.ms {
		if num, den, ok := nearestRate(dur, c.ms*1000, 3e-4); ok {
			c.set(num, den)
		}
	} else if c.spanFrames < refineWithin {
		return
	}
	c.spanStart, c.spanFrames = raw, 0
}

func (c *cadence) set(num, den int64) {
	if num*c.den == c.num*den {
		return
	}
	c.base, c.n = c.pos(c.n), 0
	c.num, c.den = num, den
}

// chooseRate finds the frame duration of a few frames' time stamps, in ticks:
// a declared one (frames a second) that they bear out, else the usual one next
// to what is seen; where they are irregular, the first that is declared.
func chooseRate(raw []int64, timescale uint32, declared ...float64) (num, den int64) {
	ts := float64(timescale)
	mean, regular := meanDistance(raw, 2.2*ts/1000)
	blur := 1e-4 // milliseconds at both ends blur the mean by one of them
	if regular {
		blur += ts / 1000 / (mean * float64(len(raw)-1))
	}
	for _, fps := range declared {
		if fps < 0.1 || fps > 1000 {
			continue
		}
		d := ts / fps
		if regular && math.Abs(mean-d)/d > blur {
			continue
		}
		if num, den, ok := nearestRate(d, ts, 5e-4); ok {
			return num, den
		}
		return int64(math.Round(d * 1000)), 1000
	}
	if !regular {
		return 0, 1
	}
	if num, den, ok := nearestRate(mean, ts, blur); ok {
		return num, den
	}
	return int64(math.Round(mean * 1000)), 1000
}

// meanDistance returns the mean distance of time stamps, and whether all lie
// within slack of it.
func meanDistance(raw []int64, slack float64) (mean float64, regular bool) {
	if len(raw) < 3 {
		return 0, false
	}
	mean = float64(raw[len(raw)-1]-raw[0]) / float64(len(raw)-1)
	for i, r := range raw {
		if math.Abs(float64(r-raw[0])-mean*float64(i)) > slack {
			return mean, false // variable, or a frame is missing among them
		}
	}
	return mean, mean > 0
}

// compose returns when a frame is shown whose DTS and duration are given, on the
// cadence if the composition offset is a whole number of frames.
func (c *cadence) compose(dts, dur, composition int64) (pts, end int64) {
	if c.num != 0 && dts == c.pos(c.n) {
		k := int64(math.Round(float64(composition) / c.frame()))
		if math.Abs(float64(composition)-float64(k)*c.frame()) <= 2.2*c.ms {
			return c.pos(c.n + k), c.pos(c.n + k + 1)
		}
	}
	return dts + composition, dts + composition + dur
}

// jittery reports whether raw, though not one frame behind the last, is within
// what this source's irregular time stamps make likely; it learns from it.
func (c *cadence) jittery(raw int64) bool {
	e := math.Abs(float64(raw - c.pos(c.n+1)))
	exact := c.dev < 1.5*c.ms
	c.dev += (min(e, 50*c.ms) - c.dev) / 64
	return !exact && e < 100*c.ms
}

// nominal returns the frame duration in whole ticks, 0 where it is not known.
func (c *cadence) nominal() int64 {
	if c.num == 0 {
		return 0
	}
	return int64(math.Round(c.frame()))
}
