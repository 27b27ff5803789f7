package cmaf

import (
	"bytes"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// mp4ff reads every box and writes the same bytes.
func TestInit(t *testing.T) {
	for _, kind := range []sluice.Kind{sluice.Video, sluice.Audio, sluice.Text, sluice.Data} {
		track := testTrack(kind, 48000)
		track.ID, track.Width, track.Height, track.Language = 3, 1920, 1080, "pt-BR"
		b, err := Init(track)
		require.NoError(t, err)
		again, err := Init(track)
		require.NoError(t, err)
		require.Equal(t, b, again)
		require.Regexp(t, "^[0-9a-f]{16}$", InitName(b))

		f, err := mp4.DecodeFile(bytes.NewReader(b))
		require.NoError(t, err)
		var out bytes.Buffer
		require.NoError(t, f.Encode(&out))
		require.Equal(t, b, out.Bytes())
		trak := f.Init.Moov.Trak
		require.Equal(t, uint32(3), trak.Tkhd.TrackID)
		require.Equal(t, uint32(3), f.Init.Moov.Mvex.Trex.TrackID)
		require.Equal(t, uint32(48000), trak.Mdia.Mdhd.Timescale)
		require.Equal(t, "und", trak.Mdia.Mdhd.GetLanguage())
		require.Equal(t, "pt-BR", trak.Mdia.Elng.Language)
		require.Equal(t, mp4.Fixed32(1920<<16), trak.Tkhd.Width)
		require.Equal(t, handlers[kind].name, trak.Mdia.Hdlr.HandlerType)
	}
}

func TestInitLanguage(t *testing.T) {
	for tag, want := range map[string]string{"": "und", "deu": "deu", "de": "und", "DEU": "und", "de\x00": "und"} {
		track := testTrack(sluice.Audio, 48000)
		track.Language = tag
		b, err := Init(track)
		require.NoError(t, err)
		f, err := mp4.DecodeFile(bytes.NewReader(b))
		require.NoError(t, err)
		require.Equal(t, want, f.Init.Moov.Trak.Mdia.Mdhd.GetLanguage(), "%q", tag)
	}
}

func TestSameInit(t *testing.T) {
	base := testTrack(sluice.Video, 90000)
	for name, change := range map[string]func(*sluice.Track){
		"id": func(t *sluice.Track) { t.ID++ }, "kind": func(t *sluice.Track) { t.Kind++ },
		"timescale": func(t *sluice.Track) { t.Timescale++ }, "width": func(t *sluice.Track) { t.Width++ },
		"height": func(t *sluice.Track) { t.Height++ }, "language": func(t *sluice.Track) { t.Language = "deu" },
		"config": func(t *sluice.Track) { t.Config = append(bytes.Clone(t.Config[:15]), 9) },
		"era":    func(t *sluice.Track) { t.Era++ }, "maker": func(t *sluice.Track) { t.Maker++ },
		"name": func(t *sluice.Track) { t.Name = "x" }, "bandwidth": func(t *sluice.Track) { t.Bandwidth++ },
		"frame": func(t *sluice.Track) { t.FrameDur++ }, "part": func(t *sluice.Track) { t.PartTarget++ },
		"segment": func(t *sluice.Track) { t.SegmentDur++ }, "channels": func(t *sluice.Track) { t.Channels++ },
	} {
		changed := *base
		change(&changed)
		a, err := Init(base)
		require.NoError(t, err)
		b, err := Init(&changed)
		require.NoError(t, err)
		require.Equal(t, bytes.Equal(a, b), SameInit(base, &changed), name)
	}
}

func TestTracksThatCannotBePackaged(t *testing.T) {
	for name, change := range map[string]func(*sluice.Track){
		"no id":           func(t *sluice.Track) { t.ID = 0 },
		"no kind":         func(t *sluice.Track) { t.Kind = 0 },
		"unknown kind":    func(t *sluice.Track) { t.Kind = 9 },
		"no timescale":    func(t *sluice.Track) { t.Timescale = 0 },
		"no config":       func(t *sluice.Track) { t.Config = nil },
		"config too long": func(t *sluice.Track) { t.Config = append([]byte(nil), t.Config[:14]...) },
		"huge picture":    func(t *sluice.Track) { t.Width = 1 << 16 },
	} {
		track := testTrack(sluice.Video, 90000)
		change(track)
		_, err := Init(track)
		require.ErrorIs(t, err, ErrTrack, name)
		require.ErrorIs(t, (&Packager{}).Write(sluice.Packet{Track: track}), ErrTrack, name)
	}
	for name, change := range map[string]func(*sluice.Track){
		"no part target":   func(t *sluice.Track) { t.PartTarget = 0 },
		"huge part target": func(t *sluice.Track) { t.PartTarget = 1 << 40 },
		"no T":             func(t *sluice.Track) { t.SegmentDur = 0 },
		"huge T":           func(t *sluice.Track) { t.SegmentDur = 100 * time.Hour },
		"huge timescale":   func(t *sluice.Track) { t.Timescale = 1 << 31 },
	} {
		track := testTrack(sluice.Video, 90000)
		change(track)
		require.ErrorIs(t, (&Packager{}).Write(sluice.Packet{Track: track}), ErrTrack, name)
	}
}
