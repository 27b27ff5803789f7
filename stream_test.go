package sluice_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

func TestSubscriptionsBegin(t *testing.T) {
	key, segment := sluice.StartKey, sluice.StartSegment
	for name, c := range map[string]struct {
		start         sluice.Start
		before, after string // the subscription
		want          string
	}{
		"key frame":                         {key, "v0k a0 v40 v80k a80 v120", "v160", "v80k a80 v120 v160"},
		"no video":                          {key, "a0 a20 a40", "a60", "a40 a60"},
		"empty stream":                      {key, "", "v0 a0 v40k v80", "a0 v40k v80"},
		"no key frame yet":                  {key, "v0 a0 v40 a40", "v80k a80", "a40 v80k a80"},
		"first video leads":                 {key, "w0k v0k v40 w40k a40", "v80k w80", "w40k a40 v80k w80"},
		"watermark is no beginning":         {key, "", "v0- v40 v80- v120k v160-", "v120k v160-"},
		"key flag without data":             {key, "v0k", "v40k- v80", "v0k v40k- v80"},
		"stamped, for players":              {key, "v0-/1 a0-/1 v0k/1 a0/1 v80k/2 a80/2", "v120/2", "v80k/2 a80/2 v120/2"},
		"segment":                           {segment, "v0-/1 a0-/1 v0k/1 a0/1 v40/1 v80k/2 a80/2", "v120/2", "v80-/2 v80k/2 a80-/2 a80/2 v120/2"},
		"segment, audio first":              {segment, "v0-/1 a0-/1 v0k/1 a0/1 a80/2 v40/1 v80k/2", "a100/2", "a80-/2 a80/2 v80-/2 v80k/2 a100/2"},
		"segment, audio a segment late":     {segment, "v0k/1 a0/1 v80k/2 a40/1 v160k/3 a85/2", "v200/3 a165/3", "v160-/3 v160k/3 a85-/2 a85/2 v200/3 a165/3"},
		"segment, announced":                {segment, "", "v0-/1 a0-/1 v0k/1 a0/1 v80k/2", "v0-/1 a0-/1 v0k/1 a0/1 v80k/2"},
		"segment, joined in mid-segment":    {segment, "", "v0k/1 a0/1 v80k/2 a20/1 a80/2", "v80-/2 v80k/2 a80-/2 a80/2"},
		"segment, track comes in the midst": {segment, "v0-/1 v0k/1 a30/1 v40/1", "v80k/2 a90/2", "v0-/1 v0k/1 v40/1 v80k/2 a90-/2 a90/2"},
		"segment opened by a watermark":     {segment, "v0-/1 v0k/1 v80-/2", "v120k/2", "v80-/2 v120k/2"},
		"segment that opens without a key":  {segment, "v0-/1 v0k/1 v80/2", "v120/2", "v80-/2 v80/2 v120/2"},
		"unstamped, for packagers":          {segment, "v0k a0 v40 v80k a80", "v120", "v80k a80 v120"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, slow := range []sluice.Slow{sluice.Resync, sluice.Fail, sluice.Block} {
				s := new(sluice.Stream)
				write(t, s, packets(c.before)...)
				sub := s.Subscribe(sluice.Subscription{Start: c.start, Slow: slow})
				write(t, s, packets(c.after)...)
				s.End(nil)
				got, err := rest(t, sub)
				require.NoError(t, err)
				assert.Equal(t, c.want, got)
				assert.Zero(t, sub.Dropped(), "what lies before the beginning was not missed")
			}
		})
	}
}

func TestSubscriptionAfterTheEnd(t *testing.T) {
	for _, end := range []error{nil, errors.New("boom")} {
		s := new(sluice.Stream)
		write(t, s, packets("v0k a0 v80k a80")...)
		s.End(end)
		s.End(errors.New("a second end counts for nothing"))
		require.True(t, s.Ended())
		sub := s.Subscribe(sluice.Subscription{})
		got, err := rest(t, sub)
		assert.Equal(t, "v80k a80", got)
		assert.ErrorIs(t, err, end)
		_, again := sub.ReadPacket(t.Context())
		if end == nil {
			end = io.EOF
		}
		assert.Equal(t, end, again, "bare, and again")
		assert.ErrorIs(t, s.Write(t.Context(), packets("v120")[0]), io.ErrClosedPipe)
		require.NoError(t, sub.Close())
		assert.Zero(t, s.Stats().Subscribers)
	}
}

func TestWriteRefusesWhatHasNoClock(t *testing.T) {
	s := new(sluice.Stream)
	for _, p := range []sluice.Packet{{}, {Track: &sluice.Track{ID: 1}}} {
		assert.ErrorContains(t, s.Write(t.Context(), p), "timescale")
	}
	assert.Zero(t, s.Stats())
}

// What is held is what must be: once a key frame is forgotten for its age,
// there is nothing to go back to but the window.
func TestStreamBounds(t *testing.T) {
	for name, c := range map[string]struct {
		stream *sluice.Stream
		write  []sluice.Packet
		held   int
	}{
		"window":                       {&sluice.Stream{Window: 200 * time.Millisecond}, frames("v", 0, 100, 1), 6},
		"default window":               {&sluice.Stream{}, frames("v", 0, 1000, 1), 101},
		"window behind the key frame":  {&sluice.Stream{Window: 200 * time.Millisecond}, frames("v", 0, 102, 100), 6},
		"back to the key frame":        {&sluice.Stream{Window: 200 * time.Millisecond}, frames("v", 0, 200, 100), 100},
		"60 s without a key frame":     {&sluice.Stream{}, frames("v", 0, 3000, 3000), 101},
		"60 s at most":                 {&sluice.Stream{Window: time.Hour}, frames("v", 0, 3000, 1), 1501},
		"bytes":                        {&sluice.Stream{MaxBytes: 10 * (size + 88)}, frames("v", 0, 100, 1), 10},
		"bytes below a group":          {&sluice.Stream{MaxBytes: 10 * (size + 88)}, frames("v", 0, 50, 100), 10},
		"newest packet above all":      {&sluice.Stream{MaxBytes: 1}, frames("v", 0, 50, 1), 1},
		"watermarks that do not move":  {&sluice.Stream{MaxBytes: 8800}, packets(repeat("v0- ", 1000)), 100},
		"back to the segment's start":  {&sluice.Stream{Window: time.Millisecond}, packets("v0-/1 a0-/1 v0k/1 a0/1 v80k/2 v500k/2 a500/1 v900k/2"), 7},
		"segment's start is not older": {&sluice.Stream{Window: time.Millisecond}, packets("v0-/1 a0-/1 v0k/1 a0/1 v80k/2 a500/2 v900k/2"), 3},
	} {
		t.Run(name, func(t *testing.T) {
			write(t, c.stream, c.write...)
			st := c.stream.Stats()
			assert.Equal(t, c.held, st.HeldPackets)
			assert.Equal(t, uint64(len(c.write)), st.Packets)
		})
	}
}

func repeat(s string, n int) (out string) {
	for range n {
		out += s
	}
	return out
}

// Readers that come when the key frame has been lost wait for the next one,
// and do not get what is about to be lost.
func TestStartThatTheRingHasLost(t *testing.T) {
	s := &sluice.Stream{MaxBytes: 20 * (size + 88)}
	write(t, s, packets("v0k a0")...)
	write(t, s, frames("a", 20, 50, 1)...)
	sub := s.Subscribe(sluice.Subscription{})
	write(t, s, packets("v2100 v2140k")...)
	s.End(nil)
	got, err := rest(t, sub)
	require.NoError(t, err)
	assert.Equal(t, "a1980k v2140k", got)
}

func TestSlowReaderJumps(t *testing.T) {
	s := &sluice.Stream{Window: 100 * time.Millisecond}
	sub := s.Subscribe(sluice.Subscription{})
	defer sub.Close()
	write(t, s, packets("v0k a0")...)
	require.Equal(t, "v0k a0", next(t, sub, 2))
	write(t, s, packets("v200k a200 v400k a400 v600k a600 v640 a640")...)
	require.Equal(t, "v600k~ a600~ v640 a640", next(t, sub, 4))
	assert.EqualValues(t, 4, sub.Dropped())
	assert.EqualValues(t, 4, s.Stats().Dropped)

	// A track that comes later has missed nothing.
	write(t, s, packets("b680 v680")...)
	require.Equal(t, "b680 v680", next(t, sub, 2))
}

func TestSlowPackagerJumps(t *testing.T) {
	s := &sluice.Stream{Window: 10 * time.Millisecond}
	sub := s.Subscribe(sluice.Subscription{Start: sluice.StartSegment})
	defer sub.Close()
	write(t, s, packets("v0-/1 a0-/1 v0k/1 a0/1")...)
	require.Equal(t, "v0-/1 a0-/1 v0k/1 a0/1", next(t, sub, 4))
	write(t, s, packets("v80k/2 a80/2 v160k/3 v200/3 a120/2 a160/3 v240/3")...)
	require.Equal(t, "v160-~/3 v160k~/3 v200/3 a160-~/3 a160~/3 v240/3", next(t, sub, 6))
	assert.EqualValues(t, 3, sub.Dropped(), "v80k/2, a80/2, and a120/2 before its track's new beginning")
}

func TestSlowReaderFails(t *testing.T) {
	s := &sluice.Stream{Window: 100 * time.Millisecond}
	sub := s.Subscribe(sluice.Subscription{Slow: sluice.Fail})
	defer sub.Close()
	write(t, s, packets("v0k v200k v400k")...)
	for range 2 {
		_, err := sub.ReadPacket(t.Context())
		assert.ErrorIs(t, err, sluice.ErrLagged)
	}
}

// blocked returns a stream whose writer has to wait for a reader.
func blocked(t *testing.T) (*sluice.Stream, *sluice.Subscriber) {
	s := &sluice.Stream{Window: 100 * time.Millisecond}
	sub := s.Subscribe(sluice.Subscription{Slow: sluice.Block})
	t.Cleanup(func() { sub.Close() })
	write(t, s, packets("v0k v80k v160k")...)
	return s, sub
}

// Whoever comes back gets all that the ring still holds, whatever it is.
func TestSubscriptionResumes(t *testing.T) {
	s := new(sluice.Stream)
	write(t, s, packets("v0k/1 a0/1 v40/1 v80k/2 a80/2 v120/2")...)
	first := s.Subscribe(sluice.Subscription{Start: sluice.StartSegment})
	require.Equal(t, "v80-/2", next(t, first, 1))
	require.EqualValues(t, 3, first.Next(), "an announcement has no number of its own")
	require.Equal(t, "v80k/2 a80-/2 a80/2", next(t, first, 3))
	require.EqualValues(t, 5, first.Next())
	require.Equal(t, 1, first.Buffered())
	first.Close()

	write(t, s, packets("a120/2")...)
	again := s.Subscribe(sluice.Subscription{Start: sluice.StartSegment, Resume: true, At: first.Next()})
	require.Equal(t, "v120/2 a120/2", next(t, again, 2))
	late := s.Subscribe(sluice.Subscription{Resume: true, At: again.Next() + 1})
	write(t, s, packets("v160/2 a160/2")...)
	s.End(nil)
	got, err := rest(t, late)
	require.NoError(t, err)
	require.Equal(t, "a160/2", got)
	require.NotZero(t, s.ID())
	id := s.ID()
	require.Equal(t, id, s.ID(), "it stays")
	require.NotEqual(t, s.ID(), new(sluice.Stream).ID())
}

// What the ring has lost meanwhile is counted and marked, as for a reader that
// was there and slow.
func TestResumedSubscriptionHasLagged(t *testing.T) {
	s := &sluice.Stream{Window: 100 * time.Millisecond}
	write(t, s, frames("v", 0, 30, 10)...)
	sub := s.Subscribe(sluice.Subscription{Resume: true, At: 3})
	require.Equal(t, "v800k~ v840", next(t, sub, 2))
	require.EqualValues(t, 17, sub.Dropped())
	strict := s.Subscribe(sluice.Subscription{Resume: true, At: 3, Slow: sluice.Fail})
	_, err := strict.ReadPacket(t.Context())
	require.ErrorIs(t, err, sluice.ErrLagged)
}

func TestBlockedWriterGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		release func(s *sluice.Stream, sub *sluice.Subscriber)
		want    error
	}{
		"when the reader reads":  {func(_ *sluice.Stream, sub *sluice.Subscriber) { sub.ReadPacket(context.Background()) }, nil},
		"when the reader leaves": {func(_ *sluice.Stream, sub *sluice.Subscriber) { sub.Close() }, nil},
		"when the stream ends":   {func(s *sluice.Stream, _ *sluice.Subscriber) { s.End(nil) }, io.ErrClosedPipe},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, sub := blocked(t)
				wrote := make(chan error, 1)
				go func() { wrote <- s.Write(t.Context(), packets("v240k")[0]) }()
				synctest.Wait()
				require.Empty(t, wrote, "the writer waits")
				c.release(s, sub)
				require.ErrorIs(t, <-wrote, c.want)
			})
		})
	}
}

func TestBlockedWriterHonoursCtx(t *testing.T) {
	s, sub := blocked(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // a writer that does not give up must not fill memory either
		require.ErrorIs(t, s.Write(ctx, packets("v240k")[0]), context.Canceled)
	}
	require.Equal(t, 3, s.Stats().HeldPackets)
	s.End(nil)
	got, err := rest(t, sub)
	require.NoError(t, err)
	require.Equal(t, "v0k v80k v160k", got, "what was refused was not written")
}

// Everything reaches a blocking reader, however small the ring.
func TestBlockLosesNothing(t *testing.T) {
	all := frames("v", 0, 5000, 10)
	s := &sluice.Stream{MaxBytes: 3 * (size + 88), Window: time.Millisecond}
	sub := s.Subscribe(sluice.Subscription{Slow: sluice.Block})
	defer sub.Close()
	go func() {
		for _, p := range all {
			assert.NoError(t, s.Write(t.Context(), p))
		}
		s.End(nil)
	}()
	got, err := rest(t, sub)
	require.NoError(t, err)
	require.Equal(t, text(all...), got)
}

// A reader that is never up to date must notice all the same that it is to go.
func TestBusyReaderHonoursCtx(t *testing.T) {
	s := new(sluice.Stream)
	sub := s.Subscribe(sluice.Subscription{})
	defer sub.Close()
	write(t, s, frames("v", 0, 50, 10)...)
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, drainSome(ctx, sub, 1))
	cancel()
	require.ErrorIs(t, drainSome(ctx, sub, 50), context.Canceled)
	s.End(nil)
	require.NoError(t, drainSome(ctx, sub, 1), "what an ended stream left is handed out")
}

func drainSome(ctx context.Context, src sluice.Source, n int) error {
	for range n {
		if _, err := src.ReadPacket(ctx); err != nil {
			return err
		}
	}
	return nil
}

func TestClosedSubscriberReadsNoMore(t *testing.T) {
	s := new(sluice.Stream)
	sub := s.Subscribe(sluice.Subscription{Start: sluice.StartSegment})
	write(t, s, packets("v0-/1 v0k/1 v40/1 v80k/2")...)
	require.Equal(t, "v0-/1", next(t, sub, 1))
	require.NoError(t, sub.Close())
	require.NoError(t, sub.Close())
	_, err := sub.ReadPacket(t.Context())
	require.ErrorIs(t, err, io.ErrClosedPipe)
	require.Zero(t, s.Stats().Subscribers)
}

func TestReadersSeeNewTracksWithTheirPackets(t *testing.T) {
	s := new(sluice.Stream)
	sub := s.Subscribe(sluice.Subscription{})
	defer sub.Close()
	v := tracks["v"]
	larger := *v
	larger.Width = 1920
	old, renewed := packets("v0k")[0], packets("v40k")[0]
	renewed.Track = &larger
	write(t, s, old, packets("a0")[0], renewed)
	assert.Equal(t, []*sluice.Track{&larger, tracks["a"]}, s.Tracks())
	assert.Empty(t, sub.Tracks())
	for _, want := range [][]*sluice.Track{{v}, {v, tracks["a"]}, {&larger, tracks["a"]}} {
		next(t, sub, 1)
		got := sub.Tracks()
		require.Len(t, got, len(want))
		for i := range want {
			require.Same(t, want[i], got[i])
		}
	}
	// Even of a track that has not begun yet.
	early := s.Subscribe(sluice.Subscription{Start: sluice.StartSegment})
	defer early.Close()
	write(t, s, packets("w80 a80")...)
	next(t, early, 2)
	require.Len(t, early.Tracks(), 3)
}

// A track that came while the reader was overtaken is known to it all the same.
func TestReadersThatJumpSeeNewTracks(t *testing.T) {
	s := &sluice.Stream{Window: 100 * time.Millisecond}
	sub := s.Subscribe(sluice.Subscription{})
	defer sub.Close()
	write(t, s, packets("v0k w80k v400k")...)
	require.Equal(t, "v400k~", next(t, sub, 1))
	require.Equal(t, []*sluice.Track{tracks["v"], tracks["w"]}, sub.Tracks())
}

func TestForgottenDataIsFreed(t *testing.T) {
	s := &sluice.Stream{Window: 100 * time.Millisecond}
	sub := s.Subscribe(sluice.Subscription{Start: sluice.StartSegment})
	defer sub.Close()
	ps := packets("v0-/1 v0k/1 v40/1")
	var watched []weak.Pointer[byte]
	for _, p := range ps[1:] {
		watched = append(watched, weak.Make(&p.Data[0]))
	}
	write(t, s, ps...)
	clear(ps)
	next(t, sub, 3)
	write(t, s, packets("v400k/2")...)
	runtime.GC()
	for _, w := range watched {
		require.Nil(t, w.Value())
	}
}

func TestStreamTells(t *testing.T) {
	s := new(sluice.Stream)
	require.True(t, s.Began().IsZero())
	write(t, s, packets("v5000k a5000-")...)
	sub := s.Subscribe(sluice.Subscription{})
	require.Same(t, s, sub.Stream())
	require.Equal(t, time.Unix(5, 0).UTC(), s.Began())
	require.Equal(t, sluice.StreamStats{
		Packets: 2, Bytes: size, Subscribers: 1, HeldPackets: 2, HeldBytes: size + 2*88,
	}, s.Stats())
	sub.Close()
}

// encoder is a source that takes requests for key frames, or refuses them.
type encoder struct {
	sluice.Source
	refuse   bool
	requests []uint32
}

func (e *encoder) RequestKey(track uint32) bool {
	e.requests = append(e.requests, track)
	return !e.refuse
}

func TestRequestKeyReachesTheEncoderOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, src := sluice.Pipe(10)
		enc := &encoder{Source: src}
		wrapped, err := name(t.Context(), &named{Source: enc, names: map[*sluice.Track]*sluice.Track{}})
		require.NoError(t, err)
		s := new(sluice.Stream)
		sub := s.Subscribe(sluice.Subscription{})
		require.False(t, sluice.RequestKey(sub, 1), "there is no source yet")
		go s.Consume(t.Context(), wrapped)
		send := func(script string) {
			for _, p := range packets(script) {
				require.NoError(t, w.Write(t.Context(), p))
			}
			synctest.Wait()
		}
		send("v0k v40 a40")
		for range 3 {
			require.True(t, sluice.RequestKey(sub, 1))
		}
		require.Equal(t, []uint32{1}, enc.requests, "the requests of several readers are one")
		require.False(t, sluice.RequestKey(sub, 9), "there is no such track")

		require.True(t, sluice.RequestKey(sub, 2), "another track is another request")
		send("v80k")
		require.True(t, sluice.RequestKey(sub, 1), "a key frame ends the request")
		require.Equal(t, []uint32{1, 2, 1}, enc.requests)
		time.Sleep(time.Second)
		require.True(t, sluice.RequestKey(sub, 1), "as does time, if the encoder does not answer")
		require.Equal(t, []uint32{1, 2, 1, 1}, enc.requests)
		require.EqualValues(t, 4, s.Stats().KeyRequests)

		enc.refuse = true
		time.Sleep(time.Second)
		require.False(t, sluice.RequestKey(sub, 1))
		require.False(t, sluice.RequestKey(sub, 1), "what went nowhere is not under way")
		require.EqualValues(t, 4, s.Stats().KeyRequests)
		enc.refuse = false
		w.Close(nil)
		synctest.Wait()
		require.False(t, sluice.RequestKey(sub, 1), "there is no source any more")
	})
}

func TestRequestKeyWithoutTakers(t *testing.T) {
	_, src := sluice.Pipe(0)
	require.False(t, sluice.RequestKey(src, 1))
	require.False(t, sluice.RequestKey(nil, 1))
	require.False(t, sluice.RequestKey(&named{Source: src}, 1))
}
