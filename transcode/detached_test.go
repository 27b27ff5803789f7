package transcode

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

// Where the source's sound becomes what goes along as a rendition, a worker
// still has some of the old: it comes too late.
func TestSoundThatBeginsToGoAlong(t *testing.T) {
	var aac *sluice.Track
	for _, p := range sluicetest.Packets(1) {
		if p.Track.Kind == sluice.Audio {
			aac = p.Track
		}
	}
	require.NotNil(t, aac)
	l := Ladder{Audio: []AudioRendition{{Codec: sluice.MP4A}}}.withDefaults()
	d := &detached{ladder: l, far: Isolated{}, router: newRouter(l), backlog: newBacklog(), sent: map[uint32]*sent{}, along: map[uint32]sluice.Packet{}}
	d.w, d.out = sluice.Pipe(outputDepth)
	mp3 := *aac
	mp3.Codec, mp3.Era = sluice.MP3, 1
	mp3.Config = append([]byte(nil), aac.Config...)
	copy(mp3.Config[4:], ".mp3")
	then := *aac
	then.Era = 2
	made := *aac
	made.ID, made.Era, made.Maker = aac.ID*trackSpan+1, 1, 7
	at := func(t *sluice.Track, n int64) sluice.Packet {
		dts := 1_790_000_000*int64(t.Timescale) + n*1024
		return sluice.Packet{Track: t, DTS: dts, PTS: dts, Dur: 1024, Segment: 5, Key: true, Data: []byte{1}}
	}
	ctx := t.Context()
	require.NoError(t, d.route(ctx, at(&mp3, 0)))
	require.NoError(t, d.route(ctx, at(&mp3, 1)))
	require.NoError(t, d.take(ctx, at(&made, 0)))
	require.NoError(t, d.route(ctx, at(&then, 2)))
	require.NoError(t, d.take(ctx, at(&made, 1)))
	require.NoError(t, d.route(ctx, at(&then, 3)))
	d.w.Close(nil)
	var last, era int64
	n := 0
	for {
		p, err := d.out.ReadPacket(ctx)
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		require.Equal(t, made.ID, p.Track.ID)
		require.Greater(t, p.DTS, last)
		require.GreaterOrEqual(t, int64(p.Track.Era), era)
		last, era = p.DTS, int64(p.Track.Era)
		n++
	}
	require.Equal(t, 3, n)
}
