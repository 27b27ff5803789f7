package codec

import (
	"bytes"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg1audio"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// Every header that there is, read by us and by mediacommon, which knows no
// MPEG-2.5.
func TestMP3Headers(t *testing.T) {
	sound := 0
	for head := range 1 << 12 {
		frame := []byte{0xff, 0xe0 | byte(head>>8)<<1 | 1, byte(head), 0x40, 0, 0, 0, 0}
		for _, mode := range []byte{0, 1, 2, 3} {
			frame[3] = mode << 6
			got, err := ParseMP3(frame)
			if err != nil {
				require.True(t, isOurs(err))
				continue
			}
			sound++
			var mc mpeg1audio.FrameHeader
			if mpeg25 := frame[1]>>3&3 == 0; mpeg25 || got.BitRate == 0 {
				continue
			}
			require.NoError(t, mc.Unmarshal(frame))
			require.Equal(t, mc.SampleRate, got.SampleRate)
			require.Equal(t, mc.SampleCount(), got.FrameSamples)
			require.Equal(t, mc.ChannelMode == mpeg1audio.ChannelModeMono, got.Channels == 1)
			require.Equal(t, mc.Bitrate, got.BitRate)
		}
	}
	require.Equal(t, 3*15*3*2*2*4, sound, "versions, bit rates, sampling rates, padding, private bit, modes")
}

func TestMP3(t *testing.T) {
	for rate, samples := range map[string]int64{"44100": 1152, "48000": 1152, "22050": 576, "8000": 576} {
		b := ffmpeg(t, "x.mp3", "-f", "lavfi", "-i", "sine=r="+rate, "-t", "0.2", "-c:a", "libmp3lame", "-id3v2_version", "0", "-write_xing", "0")
		track, err := MP3(b)
		require.NoError(t, err)
		assert.Equal(t, samples, track.FrameDur)
		assert.EqualValues(t, track.SampleRate, track.Timescale)
		assert.Equal(t, 1, track.Channels)
		assert.True(t, bytes.HasPrefix(track.Config[4:], []byte(".mp3")))
		mime, err := RFC6381(track)
		require.NoError(t, err)
		assert.Equal(t, "mp4a.40.34", mime)
		num, den := FrameRate(track)
		assert.Zero(t, num+den)
	}
}

// Other servers put MP3 into an mp4a entry.
func TestForeignMP3Entry(t *testing.T) {
	entry := box(nil, "mp4a", func(b []byte) []byte {
		return box(audio(b, 2, 44100), "esds", func(b []byte) []byte { return esds(b, 0x6b, 0x15, nil) })
	})
	mime, err := RFC6381(&sluice.Track{Codec: sluice.MP4A, Config: entry})
	require.NoError(t, err)
	assert.Equal(t, "mp4a.6B", mime)
	_, err = AACConfig(&sluice.Track{Config: entry})
	assert.ErrorIs(t, err, ErrInvalid)
}
