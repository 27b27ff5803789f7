package ingest

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// newest returns how far each track has come, in UTC.
func newest(packets []sluice.Packet) map[uint32]time.Time {
	at := map[uint32]time.Time{}
	for _, p := range packets {
		at[p.Track.ID] = p.Track.Time(p.DTS)
	}
	return at
}

func TestBroadcastSaysThatOneTrackIsSilentWhileAnotherRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var saved Position
		b := testBroadcast(time.Second, &saved)
		var packets []sluice.Packet
		done := make(chan error, 1)
		go func() {
			var err error
			packets, err = readAll(ctx, b)
			done <- err
		}()
		e := newEncoder(t)
		other := *e.track
		other.ID = 3
		e.connect(ctx, b)
		for n := range 1000 { // 21 s
			ms := e.n * 1024 * 1000 / 48000
			if n < 200 {
				require.NoError(t, e.w.Write(ctx, sluice.Packet{Track: &other, DTS: ms, PTS: ms, Key: true, Data: []byte{4}}))
			}
			require.NoError(t, e.frame(ctx))
			time.Sleep(1024 * time.Second / 48000)
		}
		e.w.Close(nil)
		require.NoError(t, <-e.ended)
		require.Equal(t, io.EOF, <-done)
		newChecker(t).packets(packets)
		at := newest(packets)
		assert.WithinDuration(t, at[2], at[3], trackSilence+2*tick)
	})
}

func TestBroadcastSaysThatANewConnectionIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var saved Position
		b := testBroadcast(time.Minute, &saved)
		var packets []sluice.Packet
		done := make(chan error, 1)
		go func() {
			for {
				p, err := b.ReadPacket(ctx)
				if err != nil {
					done <- err
					return
				}
				packets = append(packets, p)
			}
		}()
		first := newEncoder(t)
		first.connect(ctx, b)
		require.NoError(t, first.send(ctx, 6*time.Second))
		first.w.Close(io.ErrUnexpectedEOF)
		<-first.ended

		second := newEncoder(t)
		second.connect(ctx, b) // and sends nothing for now
		time.Sleep(25 * time.Second)
		synctest.Wait()
		assert.WithinDuration(t, time.Now(), newest(packets)[2], 2*tick)
		require.NoError(t, second.send(ctx, 6*time.Second))
		second.w.Close(nil)
		require.NoError(t, <-second.ended)
		b.End()
		require.Equal(t, io.EOF, <-done)
		checkStamps(t, packets)
		assert.EqualValues(t, 2, packets[len(packets)-1].Track.Era)
	})
}
