package codec

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

// Key frames of 64x64: SVT-AV1, libvpx-vp9 and libvpx.
const (
	someAV1 = "0a0a00000002afff9f7f2008320e1000b38200001000200095cddb20"
	someVP9 = "824983420003f003f60038241c184a000030600000673fffff564564eecc00"
	someVP8 = "f002009d012a4000400000470885858885848802020006703c42600ab220f73000feffab5080"
)

func TestPictures(t *testing.T) {
	hevc := func(types ...byte) []byte {
		var b []byte
		for _, typ := range types {
			b = append(b, 0, 0, 0, 3, typ<<1, 1, 0x80)
		}
		return b
	}
	for name, c := range map[string]struct{ got, want Picture }{
		"H.264 IDR":                   {AVCPicture([]byte{0, 0, 0, 2, 0x65, 0}), Start},
		"H.264 P":                     {AVCPicture([]byte{0, 0, 0, 2, 0x41, 0}), Dependent},
		"HEVC IDR behind its sets":    {HEVCPicture(hevc(32, 33, 34, 39, 19)), Start},
		"HEVC IDR without leading":    {HEVCPicture(hevc(20)), Start},
		"HEVC CRA":                    {HEVCPicture(hevc(35, 21)), OpenStart},
		"HEVC BLA":                    {HEVCPicture(hevc(16)), OpenStart},
		"HEVC BLA that nothing leads": {HEVCPicture(hevc(18)), Start},
		"HEVC RASL":                   {HEVCPicture(hevc(8)), Leading},
		"HEVC RADL":                   {HEVCPicture(hevc(7)), Leading},
		"HEVC trailing":               {HEVCPicture(hevc(1)), Dependent},
		"HEVC reserved":               {HEVCPicture(hevc(22)), Dependent},
		"HEVC sets alone":             {HEVCPicture(hevc(32, 33)), Dependent},
		"AV1 key":                     {AV1Picture(unhex(t, someAV1)), Start},
		"AV1 key without sequence":    {AV1Picture(unhex(t, someAV1)[12:]), Dependent},
		"AV1 sequence and inter":      {AV1Picture(unhex(t, someAV1[:24]+"320330b382")), Dependent},
		"AV1 damaged":                 {AV1Picture([]byte{0x0a, 0xff}), Dependent},
		"VP9 key":                     {VP9Picture(unhex(t, someVP9)), Start},
		"VP9 inter":                   {VP9Picture([]byte{0x86, 0, 0x40}), Dependent},
		"VP9 shown again":             {VP9Picture([]byte{0x88, 0, 0x40}), Dependent},
		"VP8 key":                     {VP8Picture(unhex(t, someVP8)), Start},
		"VP8 inter":                   {VP8Picture([]byte{0xb1}), Dependent},
		"empty":                       {VP8Picture(nil), Dependent},
	} {
		assert.Equal(t, c.want, c.got, name)
	}
}

func TestVPInBand(t *testing.T) {
	full := unhex(t, "0100000000148203020400"+"00")
	for _, record := range [][]byte{full, full[4:]} { // with and without the box's version
		track, err := VP9(record, unhex(t, someVP9))
		require.NoError(t, err)
		assert.Equal(t, 64, track.Width)
		assert.Equal(t, 64, track.Height)
		config, err := VPConfig(track)
		require.NoError(t, err)
		assert.Equal(t, "010000000014820302040000", hex.EncodeToString(config))
	}
	track, err := VP9(nil, unhex(t, someVP9))
	require.NoError(t, err)
	mime, err := RFC6381(track)
	require.NoError(t, err)
	assert.Equal(t, "vp09.00.10.08", mime)
	_, err = VP9(full, []byte{0x86, 0, 0x40})
	require.ErrorIs(t, err, ErrInvalid)

	track, err = VP8(nil, unhex(t, someVP8))
	require.NoError(t, err)
	assert.Equal(t, 64, track.Width)
	assert.Equal(t, sluice.VP08, track.Codec)
	_, err = VP8(nil, []byte{0xf0, 2, 0})
	require.ErrorIs(t, err, ErrInvalid)
}

func TestOpusRecord(t *testing.T) {
	for _, head := range []string{
		"4f707573486561640102380180bb0000000000",                      // stereo
		"4f707573486561640106380180bb000000000104020004010203" + "05", // 5.1
	} {
		track, err := OpusRecord(unhex(t, head))
		require.NoError(t, err)
		again, err := OpusConfig(track)
		require.NoError(t, err)
		assert.Equal(t, head, hex.EncodeToString(again))
	}
	track, err := OpusRecord(nil)
	require.NoError(t, err)
	assert.Equal(t, 2, track.Channels)
	for _, head := range []string{"4f7075", "4f707573486561640106380180bb00000000010402", "4f707573486561640106380180bb0000000000"} {
		_, err := OpusRecord(unhex(t, head))
		require.ErrorIs(t, err, ErrInvalid, head)
	}
}

func TestAV1Record(t *testing.T) {
	track, err := AV1Record(append([]byte{0x81, 0, 0x0c, 0}, unhex(t, someAV1)[:12]...))
	require.NoError(t, err)
	same, err := AV1(unhex(t, someAV1))
	require.NoError(t, err)
	assert.Equal(t, same, track)
	config, err := AV1Config(track)
	require.NoError(t, err)
	again, err := AV1Record(config)
	require.NoError(t, err)
	assert.Equal(t, track, again)
	for _, b := range []string{"", "01000c00", "81000c00"} {
		_, err := AV1Record(unhex(t, b))
		require.ErrorIs(t, err, ErrInvalid, b)
	}
}

// FuzzPictures looks at any bytes as samples and configurations.
func FuzzPictures(f *testing.F) {
	for _, s := range []string{someAV1, someVP9, someVP8, "81000c000a0a00000002afff805f0008", "4f707573486561640102380180bb0000000000", "00000003260180"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		HEVCPicture(b)
		AV1Picture(b)
		for _, parse := range []func([]byte) (*sluice.Track, error){
			HEVC, AV1Record, OpusRecord,
			func(b []byte) (*sluice.Track, error) { return VP8(nil, b) },
			func(b []byte) (*sluice.Track, error) { return VP9(b[:min(len(b), 12)], b[min(len(b), 12):]) },
		} {
			track, err := parse(b)
			if err != nil {
				require.True(t, isOurs(err), "%v", err)
				continue
			}
			_, err = RFC6381(track)
			require.NoError(t, err)
			require.Equal(t, track.Kind == sluice.Video, track.Width > 0)
		}
	})
}
