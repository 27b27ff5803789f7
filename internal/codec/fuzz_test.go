package codec

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

var someSPS = []byte{0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04,
	0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc6, 0x58}

func FuzzAVC(f *testing.F) {
	record, err := AVCRecord([][]byte{someSPS}, [][]byte{{0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0}})
	require.NoError(f, err)
	f.Add(record)
	f.Fuzz(func(t *testing.T, b []byte) {
		track, err := AVC(b)
		if err != nil {
			require.True(t, isOurs(err))
			return
		}
		require.Positive(t, track.Width)
		require.Positive(t, track.Height)
		record, err := AVCConfig(track)
		require.NoError(t, err)
		again, err := AVC(record)
		require.NoError(t, err)
		require.Equal(t, track, again)
		sps, pps, err := AVCParameterSets(record)
		require.NoError(t, err)
		built, err := AVCRecord(sps, pps)
		require.NoError(t, err)
		require.Equal(t, record, built)
		_, err = RFC6381(track)
		require.NoError(t, err)
		if num, den := FrameRate(track); track.FrameDur != 0 {
			require.Equal(t, track.FrameDur, sluice.Rescale(den, num, 90000))
		}
	})
}

func FuzzSPS(f *testing.F) {
	f.Add(someSPS)
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := ParseSPS(b); err != nil {
			require.True(t, isOurs(err))
		}
	})
}

func FuzzAAC(f *testing.F) {
	for _, c := range ascs {
		f.Add(c.asc)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		track, err := AAC(b)
		if err != nil {
			require.True(t, isOurs(err))
			return
		}
		asc, err := AACConfig(track)
		require.NoError(t, err)
		require.Equal(t, b, asc)
		_, err = RFC6381(track)
		require.NoError(t, err)
		require.Positive(t, track.FrameDur)
		require.Positive(t, track.Timescale)
		require.Positive(t, track.Channels)
	})
}

func FuzzMP3(f *testing.F) {
	f.Add([]byte{0xff, 0xfb, 0x90, 0x64})
	f.Fuzz(func(t *testing.T, b []byte) {
		track, err := MP3(b)
		if err != nil {
			require.True(t, isOurs(err))
			return
		}
		require.Positive(t, track.FrameDur)
		require.Positive(t, track.Timescale)
	})
}

// FuzzEntry reads sample entries as they come from other nodes and servers.
func FuzzEntry(f *testing.F) {
	track, err := AAC([]byte{0x12, 0x10})
	require.NoError(f, err)
	f.Add(track.Config)
	f.Add(box(nil, "avc1", func(b []byte) []byte {
		return box(visual(b, 16, 16), "avcC", func(b []byte) []byte { return append(b, 1, 2, 3, 4, 5, 0xe0, 0) })
	}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for fourCC := range formats {
			track := &sluice.Track{Codec: fourCC, Config: b}
			if _, err := RFC6381(track); err != nil {
				require.True(t, isOurs(err))
			}
			FrameRate(track)
		}
		_, _ = AVCConfig(&sluice.Track{Config: b})
		_, _ = AACConfig(&sluice.Track{Config: b})
	})
}

func FuzzNormalize(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 0x65, 1, 0, 0, 0, 1, 9}, uint8(4))
	f.Add([]byte{0, 2, 0x65, 1, 0, 1, 9}, uint8(2))
	f.Add([]byte{2, 0x65, 1, 0, 1, 9}, uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		AVCHasIDR(b)
		out, err := AVCNormalize(b, int(size))
		if err != nil {
			require.True(t, isOurs(err))
			return
		}
		again, err := AVCNormalize(out, 4)
		require.NoError(t, err)
		require.Equal(t, out, again)
	})
}

// FuzzAnnexB goes there and back: what a byte stream holds survives.
func FuzzAnnexB(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x65, 0, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		sample, err := FromAnnexB(b)
		if err != nil {
			require.ErrorIs(t, err, ErrInvalid)
			return
		}
		_, err = AVCNormalize(sample, 4)
		require.NoError(t, err)
		again, err := FromAnnexB(AnnexB(sample))
		require.NoError(t, err)
		require.True(t, bytes.Equal(sample, again))
	})
}
