package origin

import (
	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/cmaf"
)

// bitrate measures what BANDWIDTH and AVERAGE-BANDWIDTH of a track are.
type bitrate struct {
	bits, micros float64 // of all parts so far
	peak, mean   int64
	complete     bool // a whole segment was measured: single parts count no more
}

func (r *bitrate) add(p cmaf.Part) {
	us := float64(sluice.Rescale(p.Dur, int64(p.Track.Timescale), 1_000_000))
	if us <= 0 {
		return
	}
	r.bits += 8 * float64(len(p.Data))
	r.micros += us
	r.mean = int64(r.bits * 1e6 / r.micros)
	if !r.complete {
		r.peak = max(r.mean, int64(p.Track.Bandwidth))
	}
}

func (r *bitrate) segment(s *segment) {
	if s.Gap || s.dur() <= 0 {
		return
	}
	rate := int64(8 * float64(s.Size) / s.dur().Seconds())
	if r.complete {
		rate = max(rate, r.peak)
	}
	r.complete = true
	r.peak = rate
}
