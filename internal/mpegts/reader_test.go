package mpegts

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

// line is a connection: what is written waits, reads wait for it.
type line struct {
	mu     sync.Mutex
	cond   sync.Cond
	buf    bytes.Buffer
	ended  bool
	closed bool
}

func newLine() *line {
	l := &line{}
	l.cond.L = &l.mu
	return l
}

func (l *line) do(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	l.cond.Broadcast()
}

func (l *line) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.buf.Len() == 0 && !l.ended && !l.closed {
		l.cond.Wait()
	}
	if l.closed {
		return 0, io.ErrClosedPipe
	}
	return l.buf.Read(b)
}

func (l *line) Close() error {
	l.do(func() { l.closed = true })
	return nil
}

func TestReaderConforms(t *testing.T) {
	b := mux(t, madeTracks, madePackets)
	sluicetest.Source(t, func(testing.TB) sluicetest.Feed {
		l := newLine()
		return sluicetest.Feed{
			Source: NewReader(l, Config{}),
			More:   func() { l.do(func() { l.buf.Write(b) }) },
			End:    func() { l.do(func() { l.ended = true }) },
		}
	})
	t.Run("of a file", func(t *testing.T) {
		sluicetest.Source(t, func(testing.TB) sluicetest.Feed {
			return sluicetest.Feed{Source: NewReader(io.NopCloser(bytes.NewReader(b)), Config{})}
		})
	})
}

var madeTracks, madePackets = made(3)

// What goes in comes out, however it is cut into reads.
func TestThereAndBack(t *testing.T) {
	b := mux(t, madeTracks, madePackets)
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(b), "bytes": iotest.OneByteReader(bytes.NewReader(b)), "halves": iotest.HalfReader(bytes.NewReader(b)),
	} {
		src := NewReader(r, Config{})
		packets, err := drain(t.Context(), src)
		require.NoError(t, err)
		require.NoError(t, src.Close())
		got := media(packets)
		require.Len(t, got, len(madePackets), name)
		for i := range madeTracks {
			g, want := sluicetest.Of(uint32(i+1), got), sluicetest.Of(uint32(i+1), madePackets)
			require.Len(t, g, len(want))
			for i, p := range want {
				require.Equal(t, p.Data, g[i].Data)
				require.Equal(t, []any{raw(p.Track, p.DTS), raw(p.Track, p.PTS), p.Key, false}, []any{g[i].DTS, g[i].PTS, g[i].Key, g[i].Discont})
				require.Equal(t, p.Track.Config, g[i].Track.Config)
			}
		}
	}
}

// A unit that says its length, or is followed by the next, is out at once.
func TestUnitsComeOutWhenComplete(t *testing.T) {
	r := newReader(Config{})
	var out bytes.Buffer
	w, err := NewWriter(&out, madeTracks, began)
	require.NoError(t, err)
	for _, p := range madePackets {
		out.Reset()
		require.NoError(t, w.WritePacket(p))
		for _, b := range split(out.Bytes()) {
			r.packet(b)
		}
		if len(p.Data) < maxPES-100 { // others do not say their length
			require.Equal(t, p.Data, r.queue[len(r.queue)-1].Data)
		}
	}
	require.Len(t, media(packetsOf(r.queue)), len(madePackets))
}

// Of streams without PES lengths, as FFmpeg writes them, a frame waits for the
// next one only until the habit of stuffing is known.
func TestStuffingEndsUnits(t *testing.T) {
	b, err := os.ReadFile(encode(t, args(in(picture), "-c:v libx264 -preset veryfast -g 25 -pix_fmt yuv420p")...))
	require.NoError(t, err)
	packets := split(b)
	r := newReader(Config{})
	atOnce, late := 0, 0
	for i, p := range packets {
		before := len(r.queue)
		r.packet(p)
		if pidOf(p) != 0x100 || len(r.queue) == before {
			continue
		}
		if p[1]&0x40 != 0 {
			late++
		} else if next := slices.IndexFunc(packets[i+1:], func(p []byte) bool { return pidOf(p) == 0x100 }); next >= 0 {
			require.NotZero(t, packets[i+1+next][1]&0x40, "given out in the middle")
			atOnce++
		}
	}
	assert.GreaterOrEqual(t, atOnce, 28, "of 50 frames; %d late", late)
	assert.Zero(t, r.Stats().Damaged)
}

// A multiplexer that stuffs anywhere loses one frame, once.
func TestStuffingIsNoEnd(t *testing.T) {
	video := sluicetest.Video(1)
	rnd := rand.New(rand.NewPCG(3, 4))
	pes := func(n int) []byte {
		unit := append([]byte{0, 0, 0, 1, 0x41}, random(rnd, 700)...)
		if n == 0 {
			key, err := codec.AppendAnnexB(nil, video, []byte{0, 0, 0, 2, 0x65, 1}, true)
			require.NoError(t, err)
			unit = key
		}
		return append(appendStamp([]byte{0, 0, 1, idVideo, 0, 0, 0x80, 0x80, 5}, 2, int64(n)*3600), unit...)
	}
	r := newReader(Config{})
	w, err := NewWriter(io.Discard, []*sluice.Track{video}, began)
	require.NoError(t, err)
	require.NoError(t, w.tables())
	feed := func(b []byte) {
		for _, p := range split(b) {
			r.packet(p)
		}
	}
	feed(w.buf)
	s := w.tracks[0]
	for n := range 60 {
		b, start := pes(n), true
		for len(b) > 0 {
			packet := make([]byte, packetSize)
			part := b
			if n == 30 && start {
				part = b[:100] // stuffed in the middle
			}
			k := fill(packet, s, start, nil, part)
			start = false
			b = b[k:]
			feed(packet)
		}
	}
	r.flush()
	got := media(packetsOf(r.queue))
	require.Len(t, got, 60, "the first half of frame 30 went out")
	assert.Equal(t, uint64(1), r.Stats().Damaged)
	assert.True(t, r.streams[0].broken)
	for i, p := range got {
		assert.Equal(t, i == 31, p.Discont, i)
	}
}

func packetsOf(queue []queued) (out []sluice.Packet) {
	for _, q := range queue {
		out = append(out, q.Packet)
	}
	return out
}

// damage is something that happens to a transport stream on its way.
type damage struct {
	name string
	do   func(rnd *rand.Rand, packets [][]byte, i int) [][]byte
}

var damages = []damage{
	{"lost", func(rnd *rand.Rand, p [][]byte, i int) [][]byte {
		return slices.Delete(p, i, min(i+1+rnd.IntN(12), len(p)))
	}},
	{"doubled", func(_ *rand.Rand, p [][]byte, i int) [][]byte {
		return slices.Insert(p, i, bytes.Clone(p[i]))
	}},
	{"swapped", func(_ *rand.Rand, p [][]byte, i int) [][]byte {
		p[i], p[i-1] = p[i-1], p[i]
		return p
	}},
	{"flagged", func(_ *rand.Rand, p [][]byte, i int) [][]byte {
		p[i][1] |= 0x80
		return p
	}},
	{"cut", func(rnd *rand.Rand, p [][]byte, i int) [][]byte {
		p[i] = p[i][:rnd.IntN(packetSize)]
		return p
	}},
	{"with garbage", func(rnd *rand.Rand, p [][]byte, i int) [][]byte {
		return slices.Insert(p, i, random(rnd, 1+rnd.IntN(400)))
	}},
	{"without sync byte", func(_ *rand.Rand, p [][]byte, i int) [][]byte {
		p[i][0] = 0
		return p
	}},
	{"null packets", func(_ *rand.Rand, p [][]byte, i int) [][]byte {
		null := append([]byte{syncByte, 0x1f, 0xff, 0x10}, bytes.Repeat([]byte{0xff}, packetSize-4)...)
		return slices.Insert(p, i, null)
	}},
	{"with a field that is too long", func(_ *rand.Rand, p [][]byte, i int) [][]byte {
		p[i][3] |= 0x20
		p[i][4] = 200
		return p
	}},
}

// Whatever happens to packets: no damaged unit goes out, and where one is
// missing the next says so.
func TestDamage(t *testing.T) {
	whole := mux(t, madeTracks, madePackets)
	want := make(map[string]int) // place within its track
	counts := map[uint32]int{}
	for _, p := range madePackets {
		want[fmt.Sprint(p.Track.ID, raw(p.Track, p.DTS))] = counts[p.Track.ID]
		counts[p.Track.ID]++
	}
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			for seed := range uint64(40) {
				rnd := rand.New(rand.NewPCG(seed, 9))
				packets := split(whole)
				places := 1 + rnd.IntN(5)
				for range places {
					packets = d.do(rnd, packets, 8+rnd.IntN(len(packets)-10))
				}
				got, st := readAll(t, bytes.Join(packets, nil))
				got = media(got)
				next := map[uint32]int{}
				for _, p := range got {
					place, ok := want[fmt.Sprint(p.Track.ID, p.DTS)]
					require.True(t, ok, "seed %d: a packet at %d of track %d", seed, p.DTS, p.Track.ID)
					require.Equal(t, sluicetest.Of(p.Track.ID, madePackets)[place].Data, p.Data, "seed %d", seed)
					if place > next[p.Track.ID] {
						require.True(t, p.Discont, "seed %d: gap before %d of track %d", seed, place, p.Track.ID)
					}
					next[p.Track.ID] = place + 1
				}
				missing := counts[2] - len(sluicetest.Of(2, got))
				if video := sluicetest.Of(1, got); len(video) > 0 { // from the first parameter sets on
					missing += counts[1] - len(video) - want[fmt.Sprint(1, video[0].DTS)]
				}
				require.LessOrEqual(t, missing, 12*places, "seed %d", seed)
				if d.name == "doubled" || d.name == "null packets" {
					require.Len(t, got, len(madePackets))
					require.Zero(t, st.Damaged+st.Lost)
				}
			}
		})
	}
}

// A reader that comes in the middle reads on from there.
func TestBeginsAnywhere(t *testing.T) {
	whole := mux(t, madeTracks, madePackets)
	for _, from := range []int{1, 100, 187, 189, 70_001, len(whole) / 2} {
		packets, _ := readAll(t, whole[from:])
		got := media(packets)
		require.NotEmpty(t, got)
		video := sluicetest.Of(1, got)
		require.True(t, video[0].Key, "its parameter sets come with a key frame")
		last := madePackets[len(madePackets)-1]
		require.Equal(t, last.Data, got[len(got)-1].Data)
	}
}

// wrongTable damages the tables of a stream from packet n on.
func wrongTable(packets [][]byte, n int) {
	for _, p := range packets[n:] {
		if pid := pidOf(p); pid == 0 || pid == mapPID {
			p[20] ^= 0x55
		}
	}
}

func TestWrongCRC(t *testing.T) {
	packets := split(mux(t, madeTracks, madePackets))
	wrongTable(packets, 2)
	got, st := readAll(t, bytes.Join(packets, nil))
	require.Len(t, media(got), len(madePackets))
	require.Greater(t, st.CRCErrors, uint64(5))

	wrongTable(packets, 0) // the first are wrong now, the rest right
	got, st = readAll(t, bytes.Join(packets, nil))
	require.NotEmpty(t, media(got))
	require.Equal(t, uint64(1), st.CRCErrors, "without a PAT nobody knows where the PMT is")
}

// Another codec on a track is another Track with its ID, on the same PID.
func TestCodecChange(t *testing.T) {
	tracks, packets := made(2)
	mp3 := mp3Track(t)
	frame := append([]byte{0xff, 0xfb, 0x90, 0x64}, make([]byte, 413)...)
	var in []sluice.Packet
	for _, p := range packets {
		if p.Track.ID == 2 && p.Track.Time(p.DTS).After(began.Add(1e9)) {
			at := mp3.Ticks(p.Track.Time(p.DTS))
			p = sluice.Packet{Track: mp3, DTS: at, PTS: at, Key: true, Data: frame}
		}
		in = append(in, p)
	}
	b := mux(t, tracks, in)
	got, st := readAll(t, b)
	require.Zero(t, st.Damaged+st.Lost+st.Unusable)
	var codecs []string
	for _, p := range got {
		if p.Data == nil {
			codecs = append(codecs, fmt.Sprint(p.Track.ID, p.Track.Codec))
		}
	}
	require.Equal(t, []string{"2 mp4a", "1 avc1", "2 .mp3"}, codecs)
	require.Len(t, media(got), len(in))
	versions := map[byte]bool{}
	for _, p := range split(b) {
		if pidOf(p) == mapPID {
			versions[p[10]>>1&31] = true
		}
	}
	require.Equal(t, map[byte]bool{0: true, 1: true}, versions)
}

// New parameter sets on the way are a new Track.
func TestParameterChange(t *testing.T) {
	small := encode(t, args(in("testsrc2=s=160x90:r=25"), "-c:v libx264 -preset veryfast -pix_fmt yuv420p -bf 0")...)
	large := encode(t, args(in("testsrc2=s=320x180:r=25"), "-c:v libx264 -preset veryfast -pix_fmt yuv420p -bf 0")...)
	var b []byte
	for _, path := range []string{small, large, large, small} {
		one, err := os.ReadFile(path)
		require.NoError(t, err)
		b = append(b, one...)
	}
	got, _ := readAll(t, b)
	var widths []int
	for i, p := range got {
		if p.Data == nil {
			widths = append(widths, p.Track.Width)
			require.True(t, got[i+1].Key)
		}
		require.Equal(t, uint32(1), p.Track.ID)
		for u := range codec.NALUs(p.Data) {
			require.NotContains(t, []byte{7, 8, 9, 12}, u[0]&31)
		}
	}
	require.Equal(t, []int{160, 320, 160}, widths)
}

// Tracks keep their IDs, those that go away leave Tracks.
func TestMapChanges(t *testing.T) {
	v, a, a2 := elementary{kind: typeH264, pid: 0x100}, elementary{kind: typeAAC, pid: 0x101}, elementary{kind: typeAAC, pid: 0x102}
	r := newReader(Config{})
	ids := func(list ...elementary) (out []uint32) {
		r.replace(r.usable(list))
		for _, s := range r.streams {
			out = append(out, s.id)
		}
		return out
	}
	require.Equal(t, []uint32{2, 1, 3}, ids(a, v, a2))
	require.Equal(t, []uint32{1, 3}, ids(v, a2))
	moved := elementary{kind: typeMPEG1Audio, pid: 0x200}
	require.Equal(t, []uint32{1, 3, 2}, ids(v, a2, moved))
	require.Equal(t, []uint32{1, 3, 2}, ids(elementary{kind: typeH265, pid: 0x100}, a2, moved))
	video, audio, known := r.Announced()
	require.True(t, video && audio && known)
	var many []elementary
	for pid := range uint16(100) {
		many = append(many, elementary{kind: typeAAC, pid: 0x300 + pid})
	}
	require.Len(t, ids(many...), maxStreams)
	require.LessOrEqual(t, len(r.ids), 2*maxStreams)
	require.Len(t, ids(a, a), 1)
}

// Errors that end a stream say what to do.
func TestRefused(t *testing.T) {
	whole := split(mux(t, madeTracks, madePackets))
	scrambled := split(bytes.Join(whole, nil))
	for _, p := range scrambled {
		if pidOf(p) >= firstPID && pidOf(p) != mapPID {
			p[3] |= 0x80
		}
	}
	mpeg2 := append([]byte{0}, section(tablePAT, 0, func(b []byte) []byte { return append(b, 0, 1, 0xf0, 0) })...)
	table := append([]byte{0}, section(tablePMT, 0, func(b []byte) []byte {
		return append(b, 0xe1, 0, 0xf0, 0, 0x02, 0xe1, 0, 0xf0, 0)
	})...)
	var w Writer
	w.buf = make([]byte, 0, writeSize)
	require.NoError(t, w.table(0, &w.ccs[0], mpeg2[1:]))
	require.NoError(t, w.table(mapPID, &w.ccs[1], table[1:]))
	for name, c := range map[string]struct {
		b    []byte
		want error
		says string
	}{
		"garbage":      {bytes.Repeat([]byte("HTTP/1.1 200 OK\r\n"), 8000), ErrFormat, "MPEG-TS"},
		"little":       {[]byte("hello"), ErrFormat, "ended before"},
		"nothing":      {nil, ErrFormat, "ended before"},
		"no tables":    {bytes.Repeat(whole[3], maxUnmapped/packetSize+200), ErrFormat, "program map"},
		"scrambled":    {bytes.Join(scrambled, nil), ErrScrambled, "in the clear"},
		"MPEG-2 video": {bytes.Repeat(w.buf, 3), codec.ErrUnsupported, "MPEG-2 video"},
	} {
		r := NewReader(bytes.NewReader(c.b), Config{})
		_, err := drain(t.Context(), r)
		require.ErrorIs(t, err, c.want, name)
		require.ErrorContains(t, err, c.says, name)
		_, again := r.ReadPacket(t.Context())
		require.Equal(t, err, again)
		r.Close()
	}
	r := NewReader(iotest.ErrReader(io.ErrUnexpectedEOF), Config{})
	defer r.Close()
	_, err := r.ReadPacket(t.Context())
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

// One frame that is too large is dropped; what is held is bounded.
func TestTooLarge(t *testing.T) {
	b := mux(t, madeTracks, madePackets)
	var log bytes.Buffer
	r := NewReader(bytes.NewReader(b), Config{MaxUnit: 50_000, Log: slog.New(slog.NewTextHandler(&log, nil))})
	defer r.Close()
	got, err := drain(t.Context(), r)
	require.NoError(t, err)
	require.Empty(t, sluicetest.Of(1, got), "no key frame, no parameter sets")
	require.NotEmpty(t, sluicetest.Of(2, got))
	require.Equal(t, uint64(3), r.Stats().Damaged)
	require.Contains(t, log.String(), "too large")
	require.Zero(t, r.held)
}

// Sound says its length (13818-1, 2.4.3.7). One PES packet of it without must
// not hold hundreds of thousands of frames, which would all be given out at once.
func TestSoundWithoutALengthIsBounded(t *testing.T) {
	r := newReader(Config{})
	s := newStream(elementary{pid: 0x100}, codecOf(elementary{kind: typeMPEG1Audio}))
	frame := append([]byte{0xff, 0xf3, 0x14, 0xc0}, make([]byte, 20)...)
	r.media(s, tsPacket{pid: 0x100, start: true, payload: appendStamp([]byte{0, 0, 1, idAudio, 0, 0, 0x80, 0x80, 5}, 2, 9)})
	for cc := byte(1); r.counters.damaged.Load() == 0 && r.held < 4<<20; cc++ {
		r.media(s, tsPacket{pid: 0x100, cc: cc & 15, payload: bytes.Repeat(frame, 7)})
	}
	require.Zero(t, r.held)
	require.True(t, s.gap)

	r.media(s, tsPacket{pid: 0x100, cc: s.link.cc + 1, start: true, payload: append(appendStamp([]byte{0, 0, 1, idAudio, 0, 0, 0x80, 0x80, 5}, 2, 9), frame...)})
	r.end(s)
	require.NotEmpty(t, packetsOf(r.queue), "a small one is read")
}

// The first program is read, and stays so as long as it is there.
func TestSeveralPrograms(t *testing.T) {
	d := &newReader(Config{}).demux
	pat := func(programs ...byte) {
		d.programs(section(tablePAT, 0, func(b []byte) []byte {
			for _, n := range programs {
				b = append(b, 0, n, 0xe0, 0x20+n)
			}
			return b
		}))
	}
	pat(0, 5, 3)
	require.Equal(t, program{5, 0x25}, d.program)
	pat(3, 5)
	require.Equal(t, program{5, 0x25}, d.program)
	pat(3)
	require.Equal(t, program{3, 0x23}, d.program)
	pat()
	require.Equal(t, program{3, 0x23}, d.program)
}

// Sound is timed frame by frame though PES packets cut through frames.
func TestFramesAcrossPES(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	var stream []byte
	var want [][]byte
	for range 40 {
		f := random(rnd, 50+rnd.IntN(300))
		want = append(want, f)
		var err error
		stream, err = codec.AppendADTS(stream, []byte{0x11, 0x90}, f)
		require.NoError(t, err)
	}
	d := &newReader(Config{}).demux
	s := newStream(elementary{kind: typeAAC}, codecOf(elementary{kind: typeAAC}))
	first := true
	for len(stream) > 0 {
		n := min(1+rnd.IntN(600), len(stream))
		d.sounds(s, pesHeader{timed: first, pts: clockMask - 1920*3 + 1, dts: 7}, stream[:n])
		stream, first = stream[n:], false
	}
	got := media(packetsOf(d.r.queue))
	require.Len(t, got, len(want))
	for i, p := range got {
		require.Equal(t, want[i], p.Data)
		require.Equal(t, int64(i-3)*1920&clockMask, p.PTS)
		require.Equal(t, int64(1920), p.Dur)
	}
}

// Garbage among the frames costs no more than it covers.
func TestGarbageAmongFrames(t *testing.T) {
	frame := func(b []byte) []byte {
		b, err := codec.AppendADTS(b, []byte{0x11, 0x90}, bytes.Repeat([]byte{7}, 100))
		require.NoError(t, err)
		return b
	}
	d := &newReader(Config{}).demux
	s := newStream(elementary{kind: typeAAC}, codecOf(elementary{kind: typeAAC}))
	b := frame([]byte{0xff, 0xf1, 0x4c, 0x80, 0x01, 0x3f, 0xfc, 1, 2, 3, 4, 5, 6, 7, 8})
	b = frame(append(frame(b), "garbage"...))
	d.sounds(s, pesHeader{timed: true, pts: 1000}, b)
	require.Len(t, media(packetsOf(d.r.queue)), 4, "one is what the header at the start says")
	require.Equal(t, uint64(2), d.counters.unusable.Load())
}

// A track whose parameter sets came with a picture that has no time is
// announced with the next that has one.
func TestTrackOfUntimedPicture(t *testing.T) {
	video := sluicetest.Video(1)
	key, err := codec.AppendAnnexB(nil, video, []byte{0, 0, 0, 2, 0x65, 1}, true)
	require.NoError(t, err)
	d := &newReader(Config{}).demux
	s := newStream(elementary{kind: typeH264}, codecOf(elementary{kind: typeH264}))
	s.id = 1
	d.picture(s, pesHeader{}, key)
	require.Empty(t, d.r.queue)
	d.picture(s, pesHeader{timed: true, dts: 5, pts: 5}, []byte{0, 0, 1, 0x41, 1})
	require.Len(t, d.r.queue, 2)
	require.Equal(t, video.Config, d.r.queue[0].Track.Config)
}

func TestClose(t *testing.T) {
	l := newLine()
	r := NewReader(l, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.ReadPacket(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, r.Close())
	require.NoError(t, r.Close())
	_, err = r.ReadPacket(t.Context())
	require.ErrorIs(t, err, io.ErrClosedPipe)
	require.True(t, l.closed)
}
