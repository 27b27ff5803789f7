package codec

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

func isOurs(err error) bool {
	return errors.Is(err, ErrInvalid) || errors.Is(err, ErrUnsupported)
}

func TestUnknownCodec(t *testing.T) {
	track := &sluice.Track{Codec: sluice.FourCC{'x', 'y', 'z', '1'}}
	_, err := RFC6381(track)
	require.ErrorIs(t, err, ErrUnsupported)
	num, den := FrameRate(track)
	require.Zero(t, num+den)
}

// Every codec of the table refuses a damaged entry with an error.
func TestDamagedEntries(t *testing.T) {
	for fourCC := range formats {
		for _, entry := range [][]byte{nil, {0, 0, 0, 4}, make([]byte, 35), make([]byte, 20)} {
			track := &sluice.Track{Codec: fourCC, Config: entry}
			_, err := RFC6381(track)
			require.True(t, isOurs(err), "%v: %v", fourCC, err)
			FrameRate(track)
			_, err = AVCConfig(track)
			require.ErrorIs(t, err, ErrInvalid)
			_, err = AACConfig(track)
			require.ErrorIs(t, err, ErrInvalid)
		}
	}
}

func ExampleAAC() {
	track, err := AAC([]byte{0x12, 0x10})
	if err != nil {
		fmt.Println(err)
		return
	}
	name, _ := RFC6381(track)
	fmt.Println(name, track.SampleRate, "Hz,", track.FrameDur, "ticks a frame")
	// Output: mp4a.40.2 44100 Hz, 1024 ticks a frame
}

// A protocol's own clock is undone: a track told in milliseconds gets back what
// its constructor gave it.
func TestNative(t *testing.T) {
	aac, err := AAC([]byte{0x12, 0x10})
	require.NoError(t, err)
	mp3, err := MP3([]byte{0xff, 0xfb, 0x90, 0x64})
	require.NoError(t, err)
	mp3Low, err := MP3([]byte{0xff, 0xf3, 0x90, 0x64})
	require.NoError(t, err)
	for _, want := range []*sluice.Track{aac, mp3, mp3Low} {
		track := *want
		track.Timescale, track.FrameDur = 1000, 0
		got, err := Native(&track)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err = Native(&sluice.Track{})
	require.ErrorIs(t, err, ErrUnsupported)
	_, err = Native(&sluice.Track{Codec: sluice.MP4A})
	require.ErrorIs(t, err, ErrInvalid)
}
