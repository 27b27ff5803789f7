package codec

import (
	"bytes"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// config builds an AudioSpecificConfig; tail may be nil.
func config(object, rate, channels uint64, tail func(*bitWriter)) []byte {
	var w bitWriter
	w.bits(object, 5)
	w.bits(rate, 4)
	w.bits(channels, 4)
	if tail != nil {
		tail(&w)
	}
	return w.b
}

// ga appends a GASpecificConfig of 1024-sample frames.
func ga(w *bitWriter) { w.bits(0, 3) }

// The program config element of a 5.1 stream: one front element and one pair,
// one pair behind, one low-frequency element.
func surround(w *bitWriter) {
	ga(w)
	w.bits(0, 4+2+4)
	for _, n := range []uint64{2, 0, 1} {
		w.bits(n, 4)
	}
	w.bits(1, 2)
	w.bits(0, 3+4+3)
	for _, pair := range []uint64{0, 1, 1} {
		w.bits(pair, 1)
		w.bits(0, 4)
	}
	w.bits(0, 4)
}

var ascs = []struct {
	name string
	asc  []byte
	want ASC
	mime string
}{
	{"LC 44.1 stereo", []byte{0x12, 0x10}, ASC{2, 44100, 44100, 2, false, false, 1024}, "mp4a.40.2"},
	{"LC 48 mono", []byte{0x11, 0x88}, ASC{2, 48000, 48000, 1, false, false, 1024}, "mp4a.40.2"},
	{"LC 48 stereo as OBS writes it", []byte{0x11, 0x90, 0x56, 0xe5, 0x00}, ASC{2, 48000, 48000, 2, false, false, 1024}, "mp4a.40.2"},
	{"LC 48 7.1", config(2, 3, 7, ga), ASC{2, 48000, 48000, 8, false, false, 1024}, "mp4a.40.2"},
	{"LC 960", config(2, 3, 2, func(w *bitWriter) { w.bits(4, 3) }), ASC{2, 48000, 48000, 2, false, false, 960}, "mp4a.40.2"},
	{"Main", config(1, 4, 2, ga), ASC{1, 44100, 44100, 2, false, false, 1024}, "mp4a.40.1"},
	{"escaped rate", config(2, 15, 2, nil)[:1], ASC{}, ""},
	{"rate of its own", config(2, 15, 0, nil), ASC{}, ""},
	{"SBR, explicit", config(5, 6, 2, func(w *bitWriter) { w.bits(3, 4); w.bits(2, 5); ga(w) }), ASC{2, 24000, 48000, 2, true, false, 1024}, "mp4a.40.5"},
	{"PS, explicit", config(29, 7, 1, func(w *bitWriter) { w.bits(4, 4); w.bits(2, 5); ga(w) }), ASC{2, 22050, 44100, 2, true, true, 1024}, "mp4a.40.29"},
	{"SBR, compatible", config(2, 6, 2, func(w *bitWriter) { ga(w); w.bits(syncSBR, 11); w.bits(5, 5); w.bits(1, 1); w.bits(3, 4) }),
		ASC{2, 24000, 48000, 2, true, false, 1024}, "mp4a.40.5"},
	{"PS, compatible", config(2, 7, 1, func(w *bitWriter) {
		ga(w)
		w.bits(syncSBR, 11)
		w.bits(5, 5)
		w.bits(1, 1)
		w.bits(4, 4)
		w.bits(syncPS, 11)
		w.bits(1, 1)
	}), ASC{2, 22050, 44100, 2, true, true, 1024}, "mp4a.40.29"},
	{"5.1 by program config", config(2, 3, 0, surround), ASC{2, 48000, 48000, 6, false, false, 1024}, "mp4a.40.2"},
	{"LD", config(23, 3, 2, ga), ASC{23, 48000, 48000, 2, false, false, 512}, "mp4a.40.23"},
	{"xHE-AAC", config(31, 0, 0, nil), ASC{}, ""},
	{"USAC", []byte{0xf9, 0x46, 0x40}, ASC{}, ""},
	{"reserved rate", config(2, 13, 2, ga), ASC{}, ""},
	{"reserved channels", config(2, 3, 15, ga), ASC{}, ""},
	{"nothing", nil, ASC{}, ""},
	{"one byte", []byte{0x12}, ASC{}, ""},
	{"too long", make([]byte, maxASC+1), ASC{}, ""},
}

func TestAAC(t *testing.T) {
	for _, c := range ascs {
		t.Run(c.name, func(t *testing.T) {
			track, err := AAC(c.asc)
			if c.mime == "" {
				require.True(t, isOurs(err), "%v", err)
				return
			}
			require.NoError(t, err)
			got, err := ParseASC(c.asc)
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
			assert.EqualValues(t, c.want.CoreRate, track.Timescale)
			assert.EqualValues(t, c.want.FrameSamples, track.FrameDur)
			assert.Equal(t, c.want.OutputRate, track.SampleRate)
			mime, err := RFC6381(track)
			require.NoError(t, err)
			assert.Equal(t, c.mime, mime)
			back, err := AACConfig(track)
			require.NoError(t, err)
			assert.Equal(t, c.asc, back)
			checkAudioEntry(t, track, c.asc)
		})
	}
}

func checkAudioEntry(t testing.TB, track *sluice.Track, asc []byte) {
	b, err := mp4.DecodeBox(0, bytes.NewReader(track.Config))
	require.NoError(t, err)
	entry := b.(*mp4.AudioSampleEntryBox)
	assert.EqualValues(t, track.Channels, entry.ChannelCount)
	if entry.Esds != nil {
		assert.Equal(t, asc, entry.Esds.DecConfigDescriptor.DecSpecificInfo.DecConfig)
	}
	var again bytes.Buffer
	require.NoError(t, b.Encode(&again))
	assert.Equal(t, track.Config, again.Bytes())
}

// What ffmpeg's encoder configures, read by us and by mediacommon.
func TestRealAAC(t *testing.T) {
	for _, c := range []struct{ rate, channels string }{{"48000", "2"}, {"44100", "1"}, {"22050", "2"}, {"8000", "1"}, {"48000", "6"}, {"96000", "2"}} {
		b := ffmpeg(t, "x.mp4", "-f", "lavfi", "-i", "sine=r="+c.rate, "-t", "0.1", "-c:a", "aac", "-ac", c.channels)
		f, err := mp4.DecodeFile(bytes.NewReader(b))
		require.NoError(t, err)
		entry := f.Moov.Trak.Mdia.Minf.Stbl.Stsd.Mp4a
		asc := entry.Esds.DecConfigDescriptor.DecSpecificInfo.DecConfig
		track, err := AAC(asc)
		require.NoError(t, err)
		var mc mpeg4audio.AudioSpecificConfig
		require.NoError(t, mc.Unmarshal(asc))
		assert.Equal(t, mc.SampleRate, track.SampleRate)
		assert.Equal(t, int(mc.ChannelConfig), track.Channels)

		var theirs bytes.Buffer
		require.NoError(t, entry.Encode(&theirs))
		mime, err := RFC6381(&sluice.Track{Codec: sluice.MP4A, Config: theirs.Bytes()})
		require.NoError(t, err)
		assert.Equal(t, "mp4a.40.2", mime)
		got, err := AACConfig(&sluice.Track{Config: theirs.Bytes()})
		require.NoError(t, err)
		assert.Equal(t, asc, got)
	}
}
