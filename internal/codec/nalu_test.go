package codec

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNormalize(t *testing.T) {
	want := []byte{0, 0, 0, 2, 0x65, 1, 0, 0, 0, 1, 9}
	for size, b := range map[int][]byte{1: {2, 0x65, 1, 1, 9}, 2: {0, 2, 0x65, 1, 0, 1, 9}, 4: want} {
		got, err := AVCNormalize(b, size)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	got, err := AVCNormalize(want, 4)
	require.NoError(t, err)
	require.Same(t, &want[0], &got[0], "nothing to convert")
	for _, size := range []int{0, 3, 5, -1} {
		_, err := AVCNormalize(want, size)
		require.ErrorIs(t, err, ErrInvalid)
	}
	for name, b := range map[string][]byte{"cut length": {0, 0, 0}, "cut unit": {0, 0, 0, 9, 1}, "endless": {0xff, 0xff, 0xff, 0xff, 1}, "rest": {0, 0, 0, 1, 1, 7}} {
		_, err := AVCNormalize(b, 4)
		require.ErrorIs(t, err, ErrInvalid, name)
		require.False(t, AVCHasIDR(b), name)
	}
}

func TestHasIDR(t *testing.T) {
	require.True(t, AVCHasIDR([]byte{0, 0, 0, 1, 9, 0, 0, 0, 2, 0x65, 1}))
	require.False(t, AVCHasIDR([]byte{0, 0, 0, 1, 9, 0, 0, 0, 2, 0x41, 0x65}))
	require.False(t, AVCHasIDR([]byte{0, 0, 0, 0}), "a unit of no bytes")
	require.False(t, AVCHasIDR(nil))
}

func TestAnnexBUnits(t *testing.T) {
	units := slices.Collect(AnnexBNALUs([]byte{7, 7, 0, 0, 0, 1, 9, 0, 0, 0, 0, 1, 0x67, 0, 3, 0, 0, 1, 0, 0, 1, 0x65, 5, 0, 0}))
	require.Equal(t, [][]byte{{9}, {0x67, 0, 3}, {0x65, 5}}, units)
	require.Empty(t, slices.Collect(AnnexBNALUs([]byte{1, 2, 3})))
	_, err := FromAnnexB([]byte{1, 2, 3})
	require.ErrorIs(t, err, ErrInvalid)
}

func TestRecords(t *testing.T) {
	pps := []byte{0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0}
	record, err := AVCRecord([][]byte{someSPS}, [][]byte{pps})
	require.NoError(t, err)
	want, err := AVC(record)
	require.NoError(t, err)

	short := slices.Clone(record)
	short[4] = 0xfd // two-byte lengths
	n, err := AVCLengthSize(short)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	profile := slices.Clone(record)
	profile[1], profile[3] = 0, 0 // as some encoders leave them
	for name, b := range map[string][]byte{
		"two-byte lengths": short, "no profile": profile, "no extension": record[:len(record)-4], "something behind": append(slices.Clone(record), 1, 2, 3),
	} {
		got, err := AVC(b)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}

	three := slices.Clone(record)
	three[4] = 0xfe
	noPPS := append(slices.Clone(record[:8+len(someSPS)]), 0)
	for name, b := range map[string][]byte{
		"nothing": nil, "three-byte lengths": three, "no PPS": noPPS, "version": {2, 0, 0, 0, 0xff, 0xe1, 0}, "cut": record[:12],
		"no sets": {1, 100, 0, 30, 0xff, 0xe0, 0}, "swapped": append([]byte{1, 100, 0, 30, 0xff, 0xe1, 0, 6}, append(slices.Clone(pps), 0)...),
	} {
		_, err := AVC(b)
		require.ErrorIs(t, err, ErrInvalid, name)
	}
	_, err = AVCRecord(make([][]byte, 40), [][]byte{pps})
	require.ErrorIs(t, err, ErrInvalid)
}
