package sluice_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

var errBoom = errors.New("boom")

func TestAttachRunsUntilTheStreamEnds(t *testing.T) {
	s := new(sluice.Stream)
	var got []sluice.Packet
	a := s.Attach(t.Context(), "keeper", sluice.SinkFunc(func(ctx context.Context, src sluice.Source) error {
		for {
			p, err := src.ReadPacket(ctx)
			if err != nil {
				return nil
			}
			got = append(got, p)
		}
	}), sluice.AttachConfig{})
	assert.Equal(t, 1, s.Stats().Subscribers, "subscribed before Attach returns")
	write(t, s, packets("v0k v40")...)
	s.End(nil)
	require.NoError(t, a.Wait())
	assert.Equal(t, "v0k v40", text(got...))
	assert.Equal(t, sluice.AttachStats{State: sluice.Ended}, a.Stats())
	assert.Zero(t, s.Stats().Subscribers)
	a.Detach()
}

func TestDetachIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(sluice.Stream)
		a := s.Attach(t.Context(), "drain", sluice.SinkFunc(drain), sluice.AttachConfig{Retry: time.Second})
		synctest.Wait()
		assert.Equal(t, sluice.AttachStats{State: sluice.Running}, a.Stats())
		a.Detach()
		assert.Equal(t, sluice.AttachStats{State: sluice.Ended}, a.Stats())
		assert.ErrorIs(t, a.Wait(), context.Canceled)
		assert.Zero(t, s.Stats().Subscribers)
	})
}

// A sink that is slower than the stream never waits for a packet.
func TestDetachOfASinkThatIsAlwaysBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(sluice.Stream)
		a := s.Attach(t.Context(), "slow", sluice.SinkFunc(func(ctx context.Context, src sluice.Source) error {
			for {
				if _, err := src.ReadPacket(ctx); err != nil {
					return err
				}
				time.Sleep(80 * time.Millisecond)
			}
		}), sluice.AttachConfig{})
		detached := make(chan struct{})
		go func() {
			time.Sleep(10 * time.Second)
			a.Detach()
			close(detached)
		}()
		for i, p := range frames("v", 0, 1500, 25) {
			require.NoError(t, s.Write(t.Context(), p))
			time.Sleep(40 * time.Millisecond)
			if i == 1000 {
				select {
				case <-detached:
				default:
					t.Error("not detached after 30 s")
				}
			}
		}
		s.End(nil)
		<-detached
		assert.NotZero(t, a.Stats().Dropped)
	})
}

// failing is a sink that fails after so long a time on each run, and notes
// when it was started.
type failing struct {
	began  time.Time
	lasts  []time.Duration
	starts []time.Duration
}

func (f *failing) Consume(ctx context.Context, src sluice.Source) error {
	run := len(f.starts)
	f.starts = append(f.starts, time.Since(f.began))
	if run == len(f.lasts) {
		return drain(ctx, src)
	}
	time.Sleep(f.lasts[run])
	return fmt.Errorf("run %d: %w", run+1, errBoom)
}

func TestAttachRetries(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		lasts  []time.Duration
		config sluice.AttachConfig
		starts []time.Duration
	}{
		"backing off":               {make([]time.Duration, 5), sluice.AttachConfig{Retry: s, MaxRetry: 4 * s}, []time.Duration{0, 1 * s, 3 * s, 7 * s, 11 * s, 15 * s}},
		"anew after a good run":     {[]time.Duration{0, 0, 20 * s, 0}, sluice.AttachConfig{Retry: s, MaxRetry: 8 * s}, []time.Duration{0, 1 * s, 3 * s, 24 * s, 26 * s}},
		"never beyond the maximum":  {make([]time.Duration, 2), sluice.AttachConfig{Retry: 10 * s, MaxRetry: s}, []time.Duration{0, 1 * s, 2 * s}},
		"a minute apart by default": {make([]time.Duration, 3), sluice.AttachConfig{Retry: 50 * s}, []time.Duration{0, 50 * s, 110 * s, 170 * s}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sink := &failing{began: time.Now(), lasts: c.lasts}
				stream := new(sluice.Stream)
				a := stream.Attach(t.Context(), "failing", sink, c.config)
				time.Sleep(time.Hour)
				synctest.Wait()
				st := a.Stats()
				assert.Equal(t, sluice.Running, st.State)
				assert.EqualValues(t, len(c.lasts), st.Failures)
				assert.ErrorIs(t, st.Err, errBoom)
				stream.End(nil)
				require.NoError(t, a.Wait(), "the last run was good")
				assert.Equal(t, c.starts, sink.starts)
			})
		})
	}
}

func TestAttachWithoutRetry(t *testing.T) {
	s := new(sluice.Stream)
	a := s.Attach(t.Context(), "failing", &failing{lasts: make([]time.Duration, 1)}, sluice.AttachConfig{})
	require.ErrorIs(t, a.Wait(), errBoom)
	st := a.Stats()
	assert.Equal(t, sluice.Ended, st.State)
	assert.EqualValues(t, 1, st.Failures)
	assert.Zero(t, s.Stats().Subscribers)
}

func TestRetryingEnds(t *testing.T) {
	for name, end := range map[string]func(s *sluice.Stream, a *sluice.Attachment, cancel func()){
		"with the stream": func(s *sluice.Stream, _ *sluice.Attachment, _ func()) { s.End(nil) },
		"by Detach":       func(_ *sluice.Stream, a *sluice.Attachment, _ func()) { a.Detach() },
		"with ctx":        func(_ *sluice.Stream, _ *sluice.Attachment, cancel func()) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				s := new(sluice.Stream)
				began := time.Now()
				a := s.Attach(ctx, "failing", &failing{lasts: make([]time.Duration, 9)}, sluice.AttachConfig{Retry: time.Hour})
				synctest.Wait()
				require.Equal(t, sluice.Retrying, a.Stats().State)
				require.Zero(t, s.Stats().Subscribers, "who waits holds nobody up")
				end(s, a, cancel)
				require.ErrorIs(t, a.Wait(), errBoom)
				require.Zero(t, time.Since(began), "at once")
				require.Equal(t, sluice.Ended, a.Stats().State)
			})
		})
	}
}

// The error that a stream ended with comes out of its sinks. It is not theirs.
func TestSinksAreNotBlamedForTheStream(t *testing.T) {
	s := new(sluice.Stream)
	a := s.Attach(t.Context(), "drain", sluice.SinkFunc(drain), sluice.AttachConfig{Retry: time.Hour})
	s.End(errBoom)
	require.ErrorIs(t, a.Wait(), errBoom)
	require.Equal(t, sluice.AttachStats{State: sluice.Ended}, a.Stats())
}

func TestPanicOfASinkIsItsError(t *testing.T) {
	s := new(sluice.Stream)
	other := s.Attach(t.Context(), "drain", sluice.SinkFunc(drain), sluice.AttachConfig{})
	a := s.Attach(t.Context(), "panicking", sluice.SinkFunc(func(context.Context, sluice.Source) error {
		panic("at the disco")
	}), sluice.AttachConfig{})
	err := a.Wait()
	require.ErrorContains(t, err, "panic in sink: at the disco")
	require.ErrorContains(t, err, "attach_test.go", "it says where")
	write(t, s, packets("v0k")...)
	s.End(nil)
	require.NoError(t, other.Wait())
}

func TestAttachCountsDropsOverRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sluice.Stream{Window: 100 * time.Millisecond}
		runs := 0
		a := s.Attach(t.Context(), "slow", sluice.SinkFunc(func(ctx context.Context, src sluice.Source) error {
			runs++
			time.Sleep(time.Second) // during which it is overtaken
			if _, err := src.ReadPacket(ctx); err != nil {
				return err
			}
			return errBoom
		}), sluice.AttachConfig{Retry: time.Second})
		time.Sleep(time.Millisecond)
		write(t, s, packets("v0k v200k v400k")...) // 2 missed
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, 2, runs)
		write(t, s, packets("v600k v800k")...) // begins at 400: 2 missed
		time.Sleep(time.Second)
		synctest.Wait()
		require.EqualValues(t, 4, a.Stats().Dropped)
		a.Detach()
	})
}

func TestAttachStateStrings(t *testing.T) {
	assert.Equal(t, "running retrying ended unknown",
		fmt.Sprint(sluice.Running, " ", sluice.Retrying, " ", sluice.Ended, " ", sluice.AttachState(9)))
}
