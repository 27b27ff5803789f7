package cmaf

import (
	"bytes"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

const ownBox = "\x00\x00\x00\x1cuuid0123456789abcdefbody"

// What AppendChunk writes is read by mp4ff and by ParseChunk.
func TestChunkOfOnePacket(t *testing.T) {
	for _, p := range video(testTrack(sluice.Video, 90000), 7, 3, 2, 3000) {
		p.PTS -= 7000 // before its DTS
		b, err := AppendChunk([]byte("before"), &p, 9, []byte(ownBox))
		require.NoError(t, err)
		b = append(b, p.Data...)[len("before"):]
		got := decode(t, b)
		require.Len(t, got, 1)
		samples, err := got[0].GetFullSamples(&mp4.TrexBox{TrackID: 1})
		require.NoError(t, err)
		require.Equal(t, p.Data, samples[0].Data)

		_, moof, rest, ok := CutBox(b)
		require.True(t, ok)
		c, err := ParseChunk(moof)
		require.NoError(t, err)
		require.Equal(t, Chunk{
			Track: 1, DTS: p.DTS, Dur: 3000, Offset: int32(p.PTS - p.DTS), Key: p.Key, Size: uint32(len(p.Data)),
			Start: uint32(len(b) - len(rest) + 8), Own: []byte(ownBox[8:]),
		}, c)
		require.Equal(t, p.Data, b[c.Start:])
	}
}

func TestMovieOfManyTracks(t *testing.T) {
	v, a := testTrack(sluice.Video, 90000), testTrack(sluice.Audio, 48000)
	a.ID = 8
	b, err := Movie([]*sluice.Track{v, a}, func(*sluice.Track) []byte { return []byte(ownBox) })
	require.NoError(t, err)
	f, err := mp4.DecodeFile(bytes.NewReader(b))
	require.NoError(t, err)
	require.Len(t, f.Init.Moov.Traks, 2)
	_, _, rest, _ := CutBox(b)
	_, moov, _, ok := CutBox(rest)
	require.True(t, ok)
	got, err := ParseMovie(moov, 2)
	require.NoError(t, err)
	own := []byte(ownBox[8:])
	require.Equal(t, []Entry{{1, 90000, v.Config, own}, {8, 48000, a.Config, own}}, got)
	_, err = ParseMovie(moov, 1)
	require.ErrorIs(t, err, ErrFormat)
	_, err = Movie(nil, nil)
	require.ErrorIs(t, err, ErrTrack)
}

// Whatever is parsed lies within what was given.
func FuzzParse(f *testing.F) {
	p := video(testTrack(sluice.Video, 90000), 7, 1, 1, 3000)[0]
	chunk, err := AppendChunk(nil, &p, 9, []byte(ownBox))
	require.NoError(f, err)
	init, err := Init(p.Track)
	require.NoError(f, err)
	f.Add(chunk[8:])
	f.Add(init[28+8:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := ParseChunk(b); err == nil {
			require.NotZero(t, c.Track)
			require.GreaterOrEqual(t, c.DTS, int64(0))
			require.LessOrEqual(t, len(c.Own), len(b))
		}
		entries, err := ParseMovie(b, 4)
		require.LessOrEqual(t, len(entries), 4)
		for _, e := range entries {
			require.NoError(t, err)
			require.LessOrEqual(t, len(e.Config)+len(e.Own), len(b))
		}
	})
}
