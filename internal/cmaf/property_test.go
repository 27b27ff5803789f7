package cmaf

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// anyStream makes a stream as a timeline would: cells of about 4 s at any frame
// duration, with holes, watermarks, segments without media, refined tracks and
// new eras.
func anyStream(r *rand.Rand) []sluice.Packet {
	track := testTrack(sluice.Video, []uint32{1000, 44100, 90000}[r.IntN(3)])
	track.PartTarget = int64(track.Timescale) * int64(100+r.IntN(400)) / 1000
	dur := int64(track.Timescale) * int64(5+r.IntN(120)) / 1000
	at, number := int64(epoch)*int64(track.Timescale), uint64(447_500_000)
	out := []sluice.Packet{{Track: track, DTS: at, PTS: at, Segment: number}}
	for cell := range 3 + r.IntN(4) {
		if cell > 0 && r.IntN(6) == 0 {
			next := *track
			next.Era++
			track, at = &next, at+int64(r.IntN(100_000))
		}
		if r.IntN(6) == 0 { // opened by a watermark, with or without media later
			out = append(out, sluice.Packet{Track: track, DTS: at, PTS: at, Segment: number})
		}
		out = append(out, anySegment(r, track, number, &at, dur)...)
		number++
	}
	return out
}

func anySegment(r *rand.Rand, track *sluice.Track, number uint64, at *int64, dur int64) (out []sluice.Packet) {
	reorder := dur * int64(r.IntN(3))
	for i := range r.IntN(60) {
		pkt := sluice.Packet{Track: track, DTS: *at, PTS: *at + reorder, Dur: dur, Segment: number, Key: i == 0 || r.IntN(20) == 0}
		switch r.IntN(30) {
		case 0: // lost
			*at += dur
			continue
		case 1: // a hole
			*at += int64(r.IntN(int(2 * track.PartTarget)))
			pkt.Discont = r.IntN(2) == 0
			pkt.DTS, pkt.PTS = *at, *at+reorder
		case 2: // a heartbeat
			out = append(out, sluice.Packet{Track: track, DTS: *at, PTS: *at})
		case 3:
			pkt.Dur += int64(r.IntN(3)) - 1
		case 4: // B-frame
			pkt.PTS = pkt.DTS - int64(r.IntN(2))
		}
		*at += pkt.Dur
		pkt.Data = fmt.Appendf(nil, "%d:%d:%*d", number, i, 1+r.IntN(90), i)
		out = append(out, pkt)
	}
	*at = newest(out, *at) + 1 // a segment takes time even without media
	return out
}

// newest is the largest PTS among packets: the next segment starts after it.
func newest(pkts []sluice.Packet, at int64) int64 {
	for _, p := range pkts {
		at = max(at, p.PTS)
	}
	return at
}

func TestAnyStream(t *testing.T) {
	for seed := range uint64(120) {
		r := rand.New(rand.NewPCG(seed, 1))
		pkts := anyStream(r)
		m := pack(t, pkts)
		checkSegments(t, m, pkts)
		checkMedia(t, m, pkts)
		checkJoin(t, m, pkts, r)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func checkSegments(t *testing.T, m *made, pkts []sluice.Packet) {
	opens := map[uint64]int64{}
	for _, p := range pkts {
		if _, ok := opens[p.Segment]; !ok {
			opens[p.Segment] = p.PTS
		}
	}
	for i, s := range m.segs {
		if start, ok := opens[s.Number]; ok {
			require.Equal(t, start, s.Start)
		}
		if i == 0 {
			continue
		}
		before := m.segs[i-1]
		require.Equal(t, before.Number+1, s.Number)
		require.LessOrEqual(t, before.Start+before.Dur, s.Start)
		if before.Track.Era == s.Track.Era {
			require.Equal(t, before.Start+before.Dur, s.Start)
		}
	}
}

// checkMedia reads all fragments with mp4ff and compares every sample with the
// packet that it was.
func checkMedia(t *testing.T, m *made, pkts []sluice.Packet) {
	var media []sluice.Packet
	for _, p := range pkts {
		if p.Data != nil {
			media = append(media, p)
		}
	}
	for i := range m.segs {
		if m.segs[i].Gap {
			continue
		}
		fragments := decode(t, m.bytes(i))
		require.Len(t, fragments, len(m.parts[i]))
		for j, part := range m.parts[i] {
			samples, err := fragments[j].GetFullSamples(nil)
			require.NoError(t, err)
			require.Equal(t, sequence(part.Segment, j), fragments[j].Moof.Mfhd.SequenceNumber)
			require.Equal(t, uint64(part.Start), fragments[j].Moof.Traf.Tfdt.BaseMediaDecodeTime())
			var sum int64
			for k, s := range samples {
				want := media[k]
				flags := uint32(flagsNonSync)
				if want.Key {
					flags = flagsSync
				}
				if want.Segment != part.Segment || want.DTS != int64(s.DecodeTime) || want.PTS != s.PresentationTime() ||
					flags != s.Flags || string(want.Data) != string(s.Data) {
					t.Fatalf("segment %d part %d sample %d is %+v, written as %+v", part.Segment, j, k, s, want)
				}
				sum += int64(s.Dur)
			}
			last := len(samples) - 1
			require.EqualValues(t, media[last].Dur, samples[last].Dur)
			require.Equal(t, sum, part.Dur)
			require.True(t, part.Dur <= part.Track.PartTarget || last == 0, "%d > %d", part.Dur, part.Track.PartTarget)
			media = media[len(samples):]
		}
	}
	require.Empty(t, media)
}

// checkJoin packages the same stream from somewhere in it, as a node that
// joined or restarted does.
func checkJoin(t *testing.T, m *made, pkts []sluice.Packet, r *rand.Rand) {
	at := r.IntN(len(pkts))
	for at < len(pkts) && pkts[at].Data == nil {
		at++
	}
	if joined := pack(t, pkts[at:]); len(joined.segs) > 0 {
		same(t, m, joined)
	}
	var last uint64
	for i, p := range pkts { // where a subscription begins: at a segment's opening, announced
		if p.Segment > last {
			last = p.Segment
			if i >= at {
				joined := pack(t, announce(pkts[i:]))
				require.Equal(t, last, joined.segs[0].Number)
				same(t, m, joined)
				return
			}
		}
	}
}

func same(t *testing.T, m, joined *made) {
	i := int(joined.segs[0].Number - m.segs[0].Number)
	require.True(t, reflect.DeepEqual(m.segs[i:], joined.segs))
	require.True(t, reflect.DeepEqual(m.parts[i:], joined.parts))
}

// At every usual frame rate a part fills at least 85 % of the target, under
// which players refuse, and never more than all of it.
func TestPartsFillTheTarget(t *testing.T) {
	type rate struct{ num, den int64 }
	for name, c := range map[string]struct {
		timescale uint32
		rates     []rate
	}{
		"video":  {90000, []rate{{24000, 1001}, {24, 1}, {25, 1}, {30000, 1001}, {30, 1}, {48, 1}, {50, 1}, {60000, 1001}, {60, 1}, {120, 1}}},
		"AAC 48": {48000, []rate{{48000, 1024}}}, "AAC 44.1": {44100, []rate{{44100, 1024}}}, "AAC 32": {32000, []rate{{32000, 1024}}},
		"HE-AAC 24": {24000, []rate{{24000, 1024}}}, "HE-AAC 22.05": {22050, []rate{{22050, 1024}}}, "AAC 16": {16000, []rate{{16000, 1024}}},
		"MP3 48": {48000, []rate{{48000, 1152}}}, "MP3 44.1": {44100, []rate{{44100, 1152}}}, "MP3 32": {32000, []rate{{32000, 1152}}},
		"MP3 22.05": {22050, []rate{{22050, 576}}}, "MP3 24": {24000, []rate{{24000, 576}}},
	} {
		for _, fps := range c.rates {
			track := testTrack(sluice.Video, c.timescale)
			start := int64(epoch) * int64(c.timescale)
			at := func(i int64) int64 { return start + sluice.Rescale(i*fps.den, fps.num, int64(c.timescale)) }
			var pkts []sluice.Packet
			for i := range 20 * fps.num / fps.den {
				pkts = append(pkts, sluice.Packet{Track: track, DTS: at(i), PTS: at(i), Dur: at(i+1) - at(i), Data: []byte{1},
					Segment: uint64((at(i) - start) / (4 * int64(c.timescale))), Key: true})
			}
			m := pack(t, pkts)
			require.GreaterOrEqual(t, len(m.segs), 3, name)
			for _, parts := range m.parts {
				for _, p := range parts[:len(parts)-1] {
					fill := float64(p.Dur) / float64(track.PartTarget)
					require.True(t, fill >= 0.85 && fill <= 1, "%s at %v: part fills %.3f", name, fps, fill)
				}
			}
		}
	}
}

func FuzzPackager(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7})
	f.Add([]byte("\x01\x01\x00\x10\x10\x01\x02\x00\x10\x10\x05\xff\x80\x7f\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		tracks := []*sluice.Track{testTrack(sluice.Video, 90000), testTrack(sluice.Video, 1000), testTrack(sluice.Audio, 1)}
		tracks[1].Era, tracks[2].Era = 1, 2
		tracks[2].PartTarget = 1
		m := &made{t: t}
		p := &Packager{Out: m}
		at := int64(epoch) * 90000
		for ; len(b) >= 5; b = b[5:] {
			pkt := sluice.Packet{Track: tracks[int(b[0])%len(tracks)], Segment: uint64(b[1]), Key: b[0]&64 != 0, Discont: b[0]&32 != 0}
			at += int64(int8(b[2])) << (b[3] & 63)
			pkt.DTS, pkt.PTS, pkt.Dur = at, at+int64(int8(b[3]))<<(b[4]&31), int64(int8(b[4]))<<(b[2]&31)
			if b[0]&128 == 0 {
				pkt.Data = b[:2]
			}
			_ = p.Write(pkt) // an error leaves the packet out; the handler checks the rest
		}
		require.NoError(t, p.Flush())
		for i := range m.segs {
			if !m.segs[i].Gap {
				decode(t, m.bytes(i))
			}
		}
	})
}
