package ingest

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/stretchr/testify/require"
)

// epoch is when simulated encoders connect: in the middle of a cell.
var epoch = time.Date(2026, 3, 1, 11, 59, 57, 123456789, time.UTC)

const (
	videoID = 1
	audioID = 2
)

// picture is a simulated video encoder.
type picture struct {
	num, den int64   // frames a second
	gop      float64 // seconds; 0: one key frame at the start only
	scenes   bool    // key frames at odd places too
	b        int     // B-frames between references
	declared bool    // the SPS says the frame rate
	vary     bool    // frames of irregular distance
	width    int
}

// sound is a simulated audio encoder.
type sound struct {
	track *sluice.Track
	early time.Duration // is sent before the video of the same time
}

// simulation is a simulated connection.
type simulation struct {
	picture  *picture
	sound    *sound
	length   time.Duration
	scale    int64 // of its time stamps; default 1,000
	wrap     int64 // default 32 bits
	counter  int64 // its time stamps wrap here; default wrap
	start    int64 // its first time stamp
	truncate bool  // time stamps are rounded down, not to the nearest
	drift    float64
	// delay returns how late a frame of source time at arrives.
	delay func(at time.Duration) time.Duration
	// edit changes, or drops (false), a frame.
	edit func(f *simFrame) bool
	rng  *rand.Rand
	// unruly sources may lose audio or make it wait.
	unruly bool
}

// simFrame is a frame on its way from the encoder.
type simFrame struct {
	track    *sluice.Track
	at, show float64 // exact source times of decoding and showing, seconds
	sent     float64 // source time at which it leaves the encoder
	dts, pts int64   // what is sent
	arrival  time.Time
	key      bool
	index    int
}

// avcTrack returns a track whose SPS declares a frame rate, if num is not 0.
func avcTrack(t testing.TB, width int, num, den int64) *sluice.Track {
	w := &bits{}
	for _, v := range []uint64{0x67, 66, 0, 31} {
		w.put(v, 8)
	}
	w.ue(0)                    // id
	w.ue(0)                    // log2_max_frame_num
	w.ue(2)                    // order type
	w.ue(1)                    // reference frames
	w.put(0, 1)                // gaps
	w.ue(uint64(width/16 - 1)) // size
	w.ue(21)
	w.put(0b110, 3) // frames only, direct 8x8, no cropping
	if num != 0 {
		w.put(1, 1)      // VUI
		w.put(0b0000, 4) // aspect, overscan, video signal, chroma location
		w.put(1, 1)      // timing
		w.put(uint64(den), 32)
		w.put(uint64(2*num), 32)
		w.put(1, 1)      // fixed
		w.put(0b0000, 4) // no HRD, no picture structure, no restriction
	} else {
		w.put(0, 1)
	}
	w.put(1, 1)
	record, err := codec.AVCRecord([][]byte{w.escaped()}, [][]byte{{0x68, 0xce, 0x38, 0x80}})
	require.NoError(t, err)
	track, err := codec.AVC(record)
	require.NoError(t, err)
	got, _ := codec.FrameRate(track)
	require.Equal(t, num != 0, got != 0, "the SPS must be read as written")
	return track
}

// bits writes bits.
type bits struct {
	b []byte
	n int
}

func (w *bits) put(v uint64, n int) {
	for i := n - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n/8] |= byte(v>>i&1) << (7 - w.n%8)
		w.n++
	}
}

func (w *bits) ue(v uint64) {
	n := int(math.Log2(float64(v + 1)))
	w.put(0, n)
	w.put(v+1, n+1)
}

// escaped returns the bits with emulation prevention.
func (w *bits) escaped() []byte {
	var out []byte
	for i, b := range w.b {
		if n := len(out); i > 2 && b <= 3 && n >= 2 && out[n-1] == 0 && out[n-2] == 0 {
			out = append(out, 3)
		}
		out = append(out, b)
	}
	return out
}

func aac(t testing.TB, asc ...byte) *sluice.Track {
	track, err := codec.AAC(asc)
	require.NoError(t, err)
	return track
}

func aac48(t testing.TB) *sluice.Track { return aac(t, 0x11, 0x90) }
func aac44(t testing.TB) *sluice.Track { return aac(t, 0x12, 0x10) }

func mp3(t testing.TB) *sluice.Track {
	track, err := codec.MP3([]byte{0xff, 0xfb, 0x90, 0x00})
	require.NoError(t, err)
	return track
}

// raw returns a track as protocols describe it: in their own clock.
func raw(track *sluice.Track, id uint32, scale int64) *sluice.Track {
	r := *track
	r.ID, r.Timescale, r.FrameDur = id, uint32(scale), 0
	return &r
}

// frames returns all frames of a connection in order of arrival.
func (s *simulation) frames(t testing.TB) []simFrame {
	s.scale = orDefault(s.scale, 1000)
	s.wrap = orDefault(s.wrap, 1<<32)
	s.counter = orDefault(s.counter, s.wrap)
	if s.rng == nil {
		s.rng = rand.New(rand.NewPCG(1, 2))
	}
	all := append(s.video(t), s.audio()...)
	slices.SortStableFunc(all, func(a, b simFrame) int { return cmp.Compare(a.sent, b.sent) })
	out := all[:0]
	newest := time.Time{}
	for i, f := range all {
		f.index = i
		f.dts = s.stamp(f.at) % s.counter
		if f.pts = f.dts + s.stamp(f.show) - s.stamp(f.at); s.scale != 1000 {
			f.pts %= s.counter // MPEG-TS has both, RTMP has the difference
		}
		at := time.Duration(f.sent * (1 - s.drift/1e6) * 1e9)
		if s.delay != nil {
			at += s.delay(time.Duration(f.sent * 1e9))
		}
		if f.arrival = epoch.Add(at); f.arrival.Before(newest) {
			f.arrival = newest // one connection keeps the order
		}
		newest = f.arrival
		if s.edit == nil || s.edit(&f) {
			out = append(out, f)
		}
	}
	return out
}

func orDefault(v, def int64) int64 {
	if v == 0 {
		return def
	}
	return v
}

// stamp is the time stamp of a source time.
func (s *simulation) stamp(at float64) int64 {
	v := at * float64(s.scale)
	if s.truncate {
		v = math.Floor(v + 1e-7)
	} else {
		v = math.Round(v)
	}
	return s.start + int64(v)
}

func (s *simulation) video(t testing.TB) []simFrame {
	p := s.picture
	if p == nil {
		return nil
	}
	num, den := p.num, p.den
	if !p.declared {
		num, den = 0, 0
	}
	width := p.width
	if width == 0 {
		width = 640
	}
	track := raw(avcTrack(t, width, num, den), videoID, s.scale)
	second := float64(p.den) / float64(p.num) // of a frame
	delay := 0
	if p.b > 0 {
		delay = 1
	}
	var all []simFrame
	for n := 0; float64(n)*second < s.length.Seconds(); {
		l := math.MaxInt32 // frames of this group
		if p.gop > 0 {
			l = max(1, int(math.Round(p.gop/second)))
		}
		if p.scenes && s.rng.IntN(2) == 0 {
			l = 1 + s.rng.IntN(l)
		}
		l = min(l, int(s.length.Seconds()/second)+1-n)
		for i, show := range order(l, p.b) {
			all = append(all, simFrame{
				track: track, key: i == 0,
				at: float64(n+i) * second, show: float64(n+show+delay) * second,
			})
		}
		n += l
	}
	for i := range all {
		if p.vary {
			all[i].at += s.rng.Float64() * second * 0.9
			all[i].show = all[i].at
		}
		all[i].sent = all[i].at
	}
	return all
}

// order returns when the frames of a group, in order of decoding, are shown.
func order(l, b int) []int {
	out := []int{0}
	for shown := 0; shown < l-1; {
		ref := min(shown+b+1, l-1)
		out = append(out, ref)
		for i := shown + 1; i < ref; i++ {
			out = append(out, i)
		}
		shown = ref
	}
	return out
}

func (s *simulation) audio() []simFrame {
	if s.sound == nil {
		return nil
	}
	track := raw(s.sound.track, audioID, s.scale)
	second := float64(s.sound.track.FrameDur) / float64(s.sound.track.Timescale)
	var all []simFrame
	for n := 0; float64(n)*second < s.length.Seconds(); n++ {
		at := float64(n) * second
		all = append(all, simFrame{track: track, key: true, at: at, show: at, sent: at - s.sound.early.Seconds()})
	}
	return all
}

// packet is what the connection's Source returns for a frame.
func (f *simFrame) packet() sluice.Packet {
	return sluice.Packet{
		Track: f.track, DTS: f.dts, PTS: f.pts, Key: f.key,
		Data: binary.BigEndian.AppendUint32(nil, uint32(f.index)),
	}
}
