package mpegts

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

// seeds are small streams of every codec.
func seeds(t testing.TB) (all [][]byte) {
	tracks, packets := made(1)
	for i := range packets {
		p := &packets[i]
		if p.Data = p.Data[:20]; p.Track.ID == 1 {
			p.Data[2], p.Data[3] = 0, 16
		}
	}
	all = append(all, mux(t, tracks, packets[2:5])) // without a key frame
	all = append(all, mux(t, tracks, packets[:4]))
	for track, data := range map[*sluice.Track][]byte{
		opusTrack(t): {0xfc, 1, 2, 3},
		mp3Track(t):  append([]byte{0xff, 0xfb, 0x10, 0x64}, make([]byte, 100)...),
	} {
		var out []sluice.Packet
		for n := range int64(3) {
			at := track.Ticks(began) + n*1152
			out = append(out, sluice.Packet{Track: track, DTS: at, PTS: at, Data: data})
		}
		all = append(all, mux(t, []*sluice.Track{track}, out))
	}
	return all
}

// FuzzReader reads what comes from outside: whatever it is, the reader ends,
// and what it gives out is well formed.
func FuzzReader(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newReader(Config{MaxUnit: 1 << 20}) // without its goroutine, whose timing would confuse the fuzzer
		r.take(chunk{b, io.EOF})
		require.Error(t, r.err)
		for _, p := range packetsOf(r.queue) {
			require.NotZero(t, p.Track.ID)
			require.LessOrEqual(t, p.DTS, int64(clockMask))
			require.LessOrEqual(t, p.PTS, int64(clockMask))
			require.GreaterOrEqual(t, min(p.DTS, p.PTS, p.Dur), int64(0))
			require.EqualValues(t, clockRate, p.Track.Timescale)
			if p.Track.Kind == sluice.Video {
				_, err := codec.AVCNormalize(p.Data, 4)
				require.NoError(t, err)
			}
		}
		require.LessOrEqual(t, len(r.ids), 2*maxStreams)
		if r.err == io.EOF {
			require.Zero(t, r.held)
		}
	})
}

// FuzzSound puts bytes where a stream of each sound codec has its frames.
func FuzzSound(f *testing.F) {
	for kind := range uint8(8) {
		f.Add(kind, []byte{0xff, 0xf1, 0x4c, 0x80, 0x01, 0x3f, 0xfc, 1, 2}, uint8(3))
	}
	f.Add(uint8(3), []byte{0x56, 0xe0, 0x08, 0x20, 0x00, 0x11, 0x90, 0, 1, 2, 3, 4}, uint8(5))
	f.Add(uint8(4), []byte{0xff, 0xfd, 0x14, 0xc4, 1, 2, 3}, uint8(1))
	f.Add(uint8(5), []byte{0x0b, 0x77, 1, 2, 0x00, 0x40, 0x2f, 0x84, 1, 2, 3}, uint8(2))
	f.Add(uint8(6), []byte{0x7f, 0xe0, 3, 0xfc, 1, 2, 0x7f, 0xf0, 2, 0, 9, 0xfc, 1}, uint8(4))
	f.Fuzz(func(t *testing.T, kind uint8, b []byte, cut uint8) {
		c := &codecs[int(kind)%len(codecs)]
		if c.sound == nil {
			return
		}
		r := newReader(Config{})
		s := newStream(elementary{}, c)
		for n := int(cut) + 1; len(b) > 0; b = b[min(n, len(b)):] {
			r.sounds(s, pesHeader{timed: true, pts: 9}, b[:min(n, len(b))])
			require.LessOrEqual(t, len(s.sound.carry), maxFrame)
		}
		for _, q := range r.queue {
			require.GreaterOrEqual(t, q.Dur, int64(0))
			require.LessOrEqual(t, uint64(q.DTS), uint64(clockMask))
		}
	})
}
