package ingest

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

// encoder publishes AAC of 48 kHz into a broadcast, a frame every 21.3 ms, as
// a connection of RTMP would.
type encoder struct {
	w     *sluice.PipeWriter
	src   sluice.Source
	track *sluice.Track
	n     int64
	ended chan error // what feed returned
}

func newEncoder(t testing.TB) *encoder {
	aac, err := codec.AAC([]byte{0x11, 0x90})
	require.NoError(t, err)
	raw := *aac
	raw.ID, raw.Timescale = 2, rtmpScale
	e := &encoder{track: &raw, ended: make(chan error, 1)}
	e.w, e.src = sluice.Pipe(16)
	return e
}

func audioOnly() hints { return hints{known: true, audio: true} }

func (e *encoder) connect(ctx context.Context, b *Broadcast) {
	c, err := b.attach(ctx, newInput(rtmpScale, rtmpWrap, audioOnly), Refuse)
	if err != nil {
		e.ended <- err
		return
	}
	go func() {
		ours, err := b.feed(c, e.src)
		e.ended <- cmp.Or(ours, err)
	}()
}

// send sends frames for a time, at their pace.
func (e *encoder) send(ctx context.Context, d time.Duration) error {
	for range d / (1024 * time.Second / 48000) {
		if err := e.frame(ctx); err != nil {
			return err
		}
		time.Sleep(1024 * time.Second / 48000)
	}
	return nil
}

func (e *encoder) frame(ctx context.Context) error {
	ms := e.n * 1024 * 1000 / 48000
	e.n++
	return e.w.Write(ctx, sluice.Packet{Track: e.track, DTS: ms, PTS: ms, Key: true, Data: []byte{1, 2, 3}})
}

func testBroadcast(grace time.Duration, saved *Position) *Broadcast {
	return testBroadcastWith(broadcastConfig{grace: grace}, saved)
}

// testBroadcastWith fills in what every broadcast needs.
func testBroadcastWith(c broadcastConfig, saved *Position) *Broadcast {
	c.segment, c.log = 4*time.Second, slog.New(slog.DiscardHandler)
	if c.save == nil {
		c.save = func(p Position) error { *saved = p; return nil }
	}
	return newBroadcast("test", *saved, c)
}

// readAll reads a broadcast until its end.
func readAll(ctx context.Context, b *Broadcast) (packets []sluice.Packet, err error) {
	for {
		p, err := b.ReadPacket(ctx)
		if err != nil {
			return packets, err
		}
		packets = append(packets, p)
	}
}

func TestBroadcastGoesOnWhenItsEncoderReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var saved Position
		b := testBroadcast(30*time.Second, &saved)
		var packets []sluice.Packet
		done := make(chan error, 1)
		go func() {
			var err error
			packets, err = readAll(ctx, b)
			done <- err
		}()

		first := newEncoder(t)
		first.connect(ctx, b)
		require.NoError(t, first.send(ctx, 10*time.Second))
		first.w.Close(io.ErrUnexpectedEOF)
		require.ErrorIs(t, <-first.ended, io.ErrUnexpectedEOF)

		time.Sleep(20 * time.Second)
		second := newEncoder(t)
		second.connect(ctx, b)
		require.NoError(t, second.send(ctx, 10*time.Second))
		second.w.Close(nil)
		require.NoError(t, <-second.ended)

		ended := time.Now()
		require.Equal(t, io.EOF, <-done)
		assert.InDelta(t, 30, time.Since(ended).Seconds(), 1.1, "the grace time")

		checkStamps(t, packets)
		var gaps, media int
		opened := map[uint64]bool{}
		for _, p := range packets {
			if p.Data != nil {
				media++
			} else if !opened[p.Segment] && p.Track.Era == 1 {
				gaps++
			}
			opened[p.Segment] = true
		}
		assert.EqualValues(t, first.n+second.n, media, "every frame came through")
		assert.GreaterOrEqual(t, gaps, 4, "the wait of 20 s shows as gaps")
		assert.EqualValues(t, 2, packets[len(packets)-1].Track.Era)
		assert.EqualValues(t, 2, saved.Era)
		assert.Equal(t, packets[len(packets)-1].Segment, saved.Numbers[2])
		require.NoError(t, b.Close())
	})
}

// checkStamps holds what is true of every stamped stream of one track.
func checkStamps(t *testing.T, packets []sluice.Packet) {
	t.Helper()
	for i := 1; i < len(packets); i++ {
		p, q := packets[i-1], packets[i]
		require.LessOrEqual(t, p.DTS, q.DTS)
		require.LessOrEqual(t, q.Segment-p.Segment, uint64(1), "numbers step by one")
		require.LessOrEqual(t, q.Track.Era-p.Track.Era, uint32(1))
	}
}

func TestBroadcastRefusesASecondPublisherUnlessTheFirstIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var saved Position
		b := testBroadcast(30*time.Second, &saved)
		go readAll(ctx, b)
		first, second, third := newEncoder(t), newEncoder(t), newEncoder(t)
		first.connect(ctx, b)
		require.NoError(t, first.send(ctx, time.Second))

		second.connect(ctx, b)
		require.ErrorIs(t, <-second.ended, ErrBusy)

		time.Sleep(takeOver)
		third.connect(ctx, b)
		require.ErrorIs(t, <-first.ended, errTakenOver)
		require.NoError(t, third.send(ctx, time.Second))
		b.End()
		require.ErrorIs(t, <-third.ended, errEnded)
		require.NoError(t, b.Close())
	})
}

func TestBroadcastReadsFastInputAtThePaceOfUTC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var saved Position
		b := testBroadcast(time.Second, &saved)
		e := newEncoder(t)
		e.connect(ctx, b)
		began := time.Now()
		go func() { // a minute of media as fast as it is taken
			for range 60 * 48000 / 1024 {
				if e.frame(ctx) != nil {
					return
				}
			}
			e.w.Close(nil)
		}()
		packets, err := readAll(ctx, b)
		require.Equal(t, io.EOF, err)
		require.NoError(t, <-e.ended)
		checkStamps(t, packets)
		assert.InDelta(t, 50, time.Since(began).Seconds(), 3, "10 s ahead, the rest at UTC's pace")
		assert.Zero(t, b.Stats().Repairs.Anchors)
		require.NoError(t, b.Close())
	})
}

func TestBroadcastWithASlowReaderHoldsItsPublisherBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var saved Position
		b := testBroadcast(time.Minute, &saved)
		e := newEncoder(t)
		e.connect(ctx, b)
		err := e.send(ctxWithTimeout(t, 10*time.Minute), 10*time.Minute)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		b.mu.Lock()
		assert.LessOrEqual(t, b.queue.len(), queuePackets+64)
		b.mu.Unlock()
		cancel()
		require.ErrorIs(t, <-e.ended, context.Canceled)
		require.NoError(t, b.Close())
		_, err = b.ReadPacket(t.Context())
		require.ErrorIs(t, err, io.ErrClosedPipe)
	})
}

func ctxWithTimeout(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestBroadcastLogsWhenItsPositionCannotBeSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var errs int
		b := testBroadcastWith(broadcastConfig{grace: time.Second, save: func(Position) error { errs++; return errors.New("disk full") }}, new(Position))
		e := newEncoder(t)
		e.connect(ctx, b)
		require.NoError(t, e.send(ctx, time.Second))
		e.w.Close(nil)
		packets, err := readAll(ctx, b)
		require.Equal(t, io.EOF, err, "the broadcast does not suffer")
		assert.NotEmpty(t, packets)
		assert.NotZero(t, errs)
		require.NoError(t, b.Close())
	})
}

func TestBroadcastIsASource(t *testing.T) {
	sluicetest.Source(t, func(t testing.TB) sluicetest.Feed {
		var saved Position
		b := testBroadcast(time.Hour, &saved)
		e := newEncoder(t)
		ctx, cancel := context.WithCancel(context.Background())
		e.connect(ctx, b)
		t.Cleanup(func() { // and join what feeds it
			cancel()
			<-e.ended
		})
		return sluicetest.Feed{
			Source: b,
			More: func() {
				for range 10 {
					require.NoError(t, e.frame(ctx))
				}
			},
			End: func() {
				e.w.Close(nil)
				e.ended <- <-e.ended
				b.End()
			},
		}
	})
}
