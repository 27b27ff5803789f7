package m4s

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/cmaf"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

func TestRoundTrip(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		want := anyPackets(r, 200)
		wire := encode(t, want...)
		for name, reader := range map[string]io.Reader{
			"whole":    bytes.NewReader(wire),
			"halves":   iotest.HalfReader(bytes.NewReader(wire)),
			"with EOF": iotest.DataErrReader(bytes.NewReader(wire)),
		} {
			got, err := decode(reader)
			require.NoError(t, err, name)
			requireSame(t, want, got)
		}
	}
}

func TestRoundTripByteByByte(t *testing.T) {
	want := anyPackets(rand.New(rand.NewPCG(1, 1)), 50)
	got, err := decode(iotest.OneByteReader(bytes.NewReader(encode(t, want...))))
	require.NoError(t, err)
	requireSame(t, want, got)
}

// A ladder of one source: a track that has not changed is the same *Track when
// a moov comes again.
func TestTracksKeepTheirIdentity(t *testing.T) {
	v, a := sluicetest.Video(1), sluicetest.Audio(2)
	v2 := *v
	v2.Era++
	start := int64(1_790_000_000)
	in := []sluice.Packet{
		{Track: v, DTS: start * 90000, PTS: start * 90000, Data: []byte{1}},
		{Track: a, DTS: start * 48000, PTS: start * 48000, Data: []byte{2}},
		{Track: &v2, DTS: start*90000 + 1, PTS: start*90000 + 1},
		{Track: a, DTS: start*48000 + 1, PTS: start*48000 + 1, Data: []byte{3}},
	}
	got, err := decode(bytes.NewReader(encode(t, in...)))
	require.NoError(t, err)
	requireSame(t, in, got)
	require.Same(t, got[1].Track, got[3].Track)
	require.NotSame(t, got[0].Track, got[2].Track)
}

func TestDataIsNotCopied(t *testing.T) {
	wire := encode(t, stampedPackets(1)...)
	d := NewDecoder(bytes.NewReader(wire), Limits{})
	for {
		p, err := d.Decode()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		if len(p.Data) > 0 {
			require.Same(t, &d.buf[d.pos-len(p.Data)], &p.Data[0])
			require.Equal(t, len(p.Data), cap(p.Data), "an append must not reach what follows")
		}
	}
}

func TestEncodingAllocatesNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	for name, w := range map[string]io.Writer{"vectored": c, "flat": io.Discard} {
		e := NewEncoder(w, EncoderConfig{})
		p := stampedPackets(1)[2]
		require.NoError(t, e.Encode(p))
		assert.Zero(t, testing.AllocsPerRun(200, func() {
			if err := e.Encode(p); err != nil {
				t.Error(err)
			}
		}), name)
	}
}

func TestOneAccessUnitLargerThanABlock(t *testing.T) {
	p := stampedPackets(1)[2]
	p.Data = bytes.Repeat([]byte("large "), 1_000_000)
	after := p
	after.Data = []byte("small")
	got, err := decode(iotest.HalfReader(bytes.NewReader(encode(t, p, after))))
	require.NoError(t, err)
	requireSame(t, []sluice.Packet{p, after}, got)
}

// What cannot be sent is refused with a reason, and the hole is marked.
func TestEncoderRefuses(t *testing.T) {
	good := stampedPackets(1)[2]
	with := func(f func(p *sluice.Packet, t *sluice.Track)) sluice.Packet {
		p, t := good, *good.Track
		p.Track = &t
		f(&p, &t)
		return p
	}
	for name, c := range map[string]struct {
		p    sluice.Packet
		want error
	}{
		"no track":      {sluice.Packet{}, ErrPacket},
		"no ID":         {with(func(_ *sluice.Packet, t *sluice.Track) { t.ID = 0 }), ErrTrack},
		"no entry":      {with(func(_ *sluice.Packet, t *sluice.Track) { t.Config = nil }), ErrTrack},
		"long entry":    {with(func(_ *sluice.Packet, t *sluice.Track) { t.Config = make([]byte, 70_000) }), ErrTrack},
		"other codec":   {with(func(_ *sluice.Packet, t *sluice.Track) { t.Codec = sluice.MP4A }), ErrTrack},
		"long name":     {with(func(_ *sluice.Packet, t *sluice.Track) { t.Name = strings.Repeat("n", 2000) }), ErrTrack},
		"negative rate": {with(func(_ *sluice.Packet, t *sluice.Track) { t.Bandwidth = -1 }), ErrTrack},
		"before 1970":   {with(func(p *sluice.Packet, _ *sluice.Track) { p.DTS = -1 }), ErrPacket},
		"after 2106":    {with(func(p *sluice.Packet, _ *sluice.Track) { p.DTS = 1 << 60; p.PTS = 1 << 60 }), ErrPacket},
		"far PTS":       {with(func(p *sluice.Packet, _ *sluice.Track) { p.PTS += 1 << 32 }), ErrPacket},
		"no duration":   {with(func(p *sluice.Packet, _ *sluice.Track) { p.Dur = -1 }), ErrPacket},
		"too large":     {with(func(p *sluice.Packet, _ *sluice.Track) { p.Data = make([]byte, 17<<20) }), ErrPacket},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			e := NewEncoder(&b, EncoderConfig{})
			require.NoError(t, e.Encode(good))
			require.ErrorIs(t, e.Encode(c.p), c.want)
			require.NoError(t, e.Encode(good))
			require.NoError(t, e.End(nil))
			got, err := decode(&b)
			require.NoError(t, err)
			require.Len(t, got, 2)
			lost := c.p.Track != nil && c.p.Track.ID == good.Track.ID
			require.Equal(t, lost, got[1].Discont)
		})
	}
}

func TestTooManyTracks(t *testing.T) {
	e := NewEncoder(io.Discard, EncoderConfig{Limits: Limits{Tracks: 2}})
	require.ErrorIs(t, e.Tracks([]*sluice.Track{sluicetest.Video(1), sluicetest.Video(2), sluicetest.Video(3)}), ErrTrack)
	require.NoError(t, e.Tracks([]*sluice.Track{sluicetest.Video(1), sluicetest.Video(2)}))
}

func TestDecoderEnds(t *testing.T) {
	wire := encode(t, stampedPackets(1)...)
	end := func(code uint32) []byte {
		return appendEnd(bytes.Clone(wire[:len(wire)-ownHeader-6]), code, "because")
	}
	got, err := decode(bytes.NewReader(end(endError)))
	require.ErrorIs(t, err, ErrRemote)
	require.ErrorContains(t, err, "because")
	require.Len(t, got, len(stampedPackets(1)))
	_, err = decode(bytes.NewReader(end(endRetry)))
	require.ErrorIs(t, err, errRetry)
	for n := range 600 {
		_, err := decode(bytes.NewReader(wire[:n]))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "cut off after %d bytes", n)
	}
	boom := errors.New("boom")
	d := NewDecoder(iotest.ErrReader(boom), Limits{})
	for range 2 {
		_, err = d.Decode()
		require.ErrorIs(t, err, boom)
		require.ErrorContains(t, err, "m4s: read stream")
	}
	_, err = decode(stuck{})
	require.ErrorIs(t, err, io.ErrNoProgress)
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestDecoderRefuses(t *testing.T) {
	p := stampedPackets(1)[2]
	wire := encode(t, p)
	moof := bytes.Index(wire, []byte("moof")) - 4
	moov := bytes.Index(wire, []byte("moov")) - 4
	patch := func(at int, b ...byte) []byte {
		out := bytes.Clone(wire)
		copy(out[at:], b)
		return out
	}
	other, err := cmaf.Init(p.Track)
	require.NoError(t, err)
	plain, err := cmaf.AppendChunk(nil, &p, 1, nil)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		wire []byte
		text string
	}{
		"HTML":                {[]byte("<html><body>not found"), "box"},
		"box to the end":      {patch(moof, 0, 0, 0, 0), "box \"moof\" of 0 bytes"},
		"64-bit box":          {patch(moof, 0, 0, 0, 1), "of 1 bytes"},
		"large moov":          {patch(moov, 0x7f), "box \"moov\""},
		"large moof":          {patch(moof, 0x7f), "box \"moof\""},
		"large mdat":          {patch(bytes.Index(wire, []byte("mdat"))-4, 0x10), "mdat"},
		"large sample":        {patch(moof+96, 0x10), "bytes"},
		"no moov":             {wire[moof:], "no moov has"},
		"lone mdat":           {append(bytes.Clone(wire[:moof]), 0, 0, 0, 9, 'm', 'd', 'a', 't', 1), "mdat without"},
		"moof of someone":     {append(bytes.Clone(wire[:moof]), append(plain, p.Data...)...), "box of m4s"},
		"init of someone":     {other, "box of m4s"},
		"negative time":       {patch(bytes.Index(wire, []byte("tfdt"))+8, 0xff), "time stamps"},
		"second head":         {append(bytes.Clone(wire[:moof]), appendHead(nil, 1, 0)...), "second head"},
		"cut beat":            {append(bytes.Clone(wire[:moof]), openBox(nil, kindBeat, 0)...), "cut off"},
		"mark of another":     {append(bytes.Clone(wire[:moof]), appendMark(nil, &sluice.Packet{Track: sluicetest.Audio(9)}, stamp{})...), "track 9"},
		"mark before 1970":    {append(bytes.Clone(wire[:moof]), appendMark(nil, &sluice.Packet{Track: p.Track, DTS: -5}, stamp{})...), "-5"},
		"own box of 5,000":    {append(bytes.Clone(wire[:moof]), openBox(nil, kindEnd, 5000)...), "5028 bytes"},
		"not one sample":      {patch(bytes.Index(wire, []byte("trun"))+8, 0, 0, 0, 2), "2 samples"},
		"not default-is-moof": {patch(bytes.Index(wire, []byte("tfhd"))+4, 0, 0), "default-base-is-moof"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decode(bytes.NewReader(c.wire))
			require.ErrorIs(t, err, ErrFormat)
			require.ErrorContains(t, err, c.text)
		})
	}
}

// A moov of many traks and one of large sample entries break limits.
func TestDecoderLimits(t *testing.T) {
	wire := encode(t, anyPackets(rand.New(rand.NewPCG(3, 3)), 100)...)
	for name, l := range map[string]Limits{"tracks": {Tracks: 1}, "entries": {SampleEntry: 20}, "packets": {AccessUnit: 100}} {
		d := NewDecoder(bytes.NewReader(wire), l)
		var err error
		for err == nil {
			_, err = d.Decode()
		}
		require.ErrorIs(t, err, ErrFormat, name)
	}
}

// A length is no reason to allocate: memory grows with what arrives.
func TestLengthsAllocateNothing(t *testing.T) {
	p := stampedPackets(1)[2]
	p.Data = make([]byte, 15<<20)
	wire := encode(t, p)
	wire = wire[:bytes.Index(wire, []byte("mdat"))+1000]
	d := NewDecoder(bytes.NewReader(wire), Limits{})
	_, err := d.Decode()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.LessOrEqual(t, len(d.buf), minBlock)
}

// Boxes of others are passed over, large ones too.
func TestForeignBoxes(t *testing.T) {
	want := stampedPackets(1)
	wire := encode(t, want...)
	var out []byte
	for rest := wire; len(rest) > 0; {
		name, body, after, ok := cmaf.CutBox(rest)
		require.True(t, ok)
		if string(name[:]) != "mdat" {
			out = append(out, "\x00\x00\x00\x10prftabcdefgh\x00\x00\x00\x0cuuid1234"...)
			out = append(out, "\x00\x01\x86\xa0free"...)
			out = append(out, make([]byte, 100_000-8)...)
		}
		out = append(out, rest[:8+len(body)]...)
		rest = after
	}
	got, err := decode(bytes.NewReader(out))
	require.NoError(t, err)
	requireSame(t, want, got)
}

func TestHeartbeats(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	src := &sluicetest.Slice{Packets: stampedPackets(1)[:3], Block: true}
	go func() {
		e := NewEncoder(w, EncoderConfig{Heartbeat: 5 * time.Millisecond})
		done <- e.Consume(ctx, src)
		w.Close()
	}()
	var wire bytes.Buffer
	b := make([]byte, 4096)
	for bytes.Count(wire.Bytes(), []byte(kindBeat)) < 3 {
		n, err := r.Read(b)
		require.NoError(t, err)
		wire.Write(b[:n])
	}
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	rest, err := io.ReadAll(r)
	require.NoError(t, err)
	wire.Write(rest)
	got, err := decode(&wire)
	require.ErrorIs(t, err, errRetry)
	requireSame(t, stampedPackets(1)[:3], got)
}

func TestEncoderConformsAsSink(t *testing.T) {
	sluicetest.Sink(t, func(testing.TB) sluice.Sink { return NewEncoder(io.Discard, EncoderConfig{}) })
}

func TestSourceConforms(t *testing.T) {
	packets := stampedPackets(3)
	wire := encode(t, packets...)
	sluicetest.Source(t, func(t testing.TB) sluicetest.Feed {
		r, w := io.Pipe()
		more, end := make(chan struct{}), make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			<-more
			e := NewEncoder(w, EncoderConfig{})
			for _, p := range packets {
				if e.Encode(p) != nil {
					return
				}
			}
			<-end
			e.End(nil)
		}()
		s := NewSource(r, Limits{})
		t.Cleanup(func() {
			s.Close()
			closeOnce(more)
			closeOnce(end)
			<-done
		})
		return sluicetest.Feed{Source: s, More: func() { closeOnce(more) }, End: func() { closeOnce(end) }}
	})
	s := NewSource(io.NopCloser(bytes.NewReader(wire)), Limits{})
	got, err := readAll(t.Context(), s)
	require.NoError(t, err)
	requireSame(t, packets, got)
	require.NoError(t, s.Close())
	require.EqualValues(t, len(packets), s.Stats().Packets)
}

// closeOnce closes a channel that one goroutine may close twice.
func closeOnce(ch chan struct{}) {
	select {
	case <-ch:
	default:
		close(ch)
	}
}

// A sender that breaks a Source's promises is put right.
func TestSourceKeepsOrder(t *testing.T) {
	all := sluicetest.Of(1, stampedPackets(2))[1:]
	in := []sluice.Packet{all[0], all[1], all[0], all[2], all[30], all[3], all[31]}
	s := NewSource(io.NopCloser(bytes.NewReader(encode(t, in...))), Limits{})
	defer s.Close()
	got, err := readAll(t.Context(), s)
	require.NoError(t, err)
	want := []sluice.Packet{all[0], all[1], all[2], all[30], all[31]}
	want[2].Discont, want[4].Discont = true, true
	requireSame(t, want, got)
	require.EqualValues(t, 2, s.Stats().Refused)
}

func TestOrderAfterRejoin(t *testing.T) {
	all := sluicetest.Of(1, stampedPackets(1))[1:]
	var o order
	for i := range 10 {
		p := all[i]
		require.True(t, o.admit(&p, uint64(i+1)))
	}
	seamless := o
	seamless.tracks = map[uint32]*trackOrder{1: {}}
	*seamless.tracks[1] = *o.tracks[1]
	seamless.rejoin()
	for i := 5; i < 20; i++ {
		p := all[i]
		require.Equal(t, i >= 10, seamless.admit(&p, uint64(i)), i)
		require.False(t, p.Discont)
	}
	require.EqualValues(t, 5, seamless.duplicates)
	o.rejoin()
	p := all[12]
	require.True(t, o.admit(&p, 1))
	require.True(t, p.Discont, "packets 10 and 11 are missing")
}
