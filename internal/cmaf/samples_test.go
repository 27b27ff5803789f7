package cmaf

import (
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// What the Packager makes is read as mp4ff reads it.
func TestParseFragment(t *testing.T) {
	m := pack(t, announce(video(testTrack(sluice.Video, 90000), 7, 60, 13, 3000)))
	for _, parts := range m.parts {
		for _, p := range parts {
			f, err := ParseFragment(append(p.Data[:len(p.Data):len(p.Data)], "behind"...))
			require.NoError(t, err)
			require.Equal(t, len(p.Data), f.Size)
			require.Equal(t, uint32(1), f.Track)
			want, err := decode(t, p.Data)[0].GetFullSamples(&mp4.TrexBox{TrackID: 1})
			require.NoError(t, err)
			require.Len(t, f.Samples, len(want))
			for i, s := range f.Samples {
				require.Equal(t, want[i].Data, p.Data[s.Start:s.Start+s.Size])
				require.Equal(t, int64(want[i].DecodeTime), s.DTS)
				require.Equal(t, want[i].PresentationTime(), s.PTS)
				require.Equal(t, int64(want[i].Dur), s.Dur)
				require.Equal(t, want[i].IsSync(), s.Key)
			}
			for n := range p.Data {
				_, err := ParseFragment(p.Data[:n])
				require.ErrorIs(t, err, ErrFormat)
			}
		}
	}
}

// Samples lie where their fragment does.
func FuzzParseFragment(f *testing.F) {
	m := pack(f, announce(video(testTrack(sluice.Video, 90000), 7, 4, 4, 3000)))
	f.Add(m.parts[0][0].Data)
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseFragment(b)
		if err != nil {
			return
		}
		require.LessOrEqual(t, got.Size, len(b))
		for _, s := range got.Samples {
			require.LessOrEqual(t, s.Start+s.Size, got.Size)
			require.GreaterOrEqual(t, s.DTS, int64(0))
		}
	})
}
