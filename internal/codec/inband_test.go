package codec

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// units writes NAL units as a byte stream.
func units(all ...[]byte) (b []byte) {
	for _, u := range all {
		b = append(append(b, startCode4...), u...)
	}
	return b
}

var (
	somePPS  = []byte{0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0}
	otherPPS = []byte{0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc8}
	thirdPPS = []byte{0x68, 0x5b, 0xe3, 0xcb, 0x22, 0xc8} // of number 1
	idr      = []byte{0x65, 1, 2}
	slice    = []byte{0x41, 1, 2}
)

func TestInBand(t *testing.T) {
	s := NewAVC()
	_, err := s.Sample(units(slice))
	require.ErrorIs(t, err, ErrInvalid, "no parameter sets yet")

	out, err := s.Sample(units([]byte{9, 0xf0}, someSPS, somePPS, []byte{6, 1, 2}, idr, []byte{12, 0xff}))
	require.NoError(t, err)
	require.Equal(t, 1920, out.Track.Width)
	require.True(t, out.Key)
	require.Equal(t, []byte{0, 0, 0, 3, 6, 1, 2, 0, 0, 0, 3, 0x65, 1, 2}, out.Data)
	first := out.Track

	out, err = s.Sample(units(slice))
	require.NoError(t, err)
	require.Nil(t, out.Track)
	require.False(t, out.Key)

	out, err = s.Sample(units(someSPS, somePPS, idr))
	require.NoError(t, err)
	require.Nil(t, out.Track, "the same again")

	out, err = s.Sample(units(someSPS, otherPPS))
	require.NoError(t, err)
	require.Nil(t, out.Data, "no picture")
	out, err = s.Sample(units(idr))
	require.NoError(t, err)
	require.NotNil(t, out.Track, "another PPS")
	require.NotEqual(t, first.Config, out.Track.Config)

	out, err = s.Sample(units(thirdPPS, slice))
	require.NoError(t, err)
	record, err := AVCConfig(out.Track)
	require.NoError(t, err)
	sps, pps, err := AVCParameterSets(record)
	require.NoError(t, err)
	require.Equal(t, [][]byte{someSPS}, sps)
	require.Equal(t, [][]byte{otherPPS, thirdPPS}, pps)

	_, err = s.Sample(units([]byte{0x67, 1}, idr))
	require.ErrorIs(t, err, ErrInvalid, "a damaged SPS")
	out, err = s.Sample(units(someSPS, slice))
	require.NoError(t, err)
	require.Nil(t, out.Track, "what was good remains")

	for range 3 { // more sets than anybody sends
		var flood [][]byte
		for i := range 70 {
			flood = append(flood, append(bytes.Clone(someSPS), byte(i+1)))
		}
		_, err = s.Sample(units(append(flood, idr)...))
		require.ErrorIs(t, err, ErrUnsupported)
	}
}

// Each set is compared with those that are held: as many as an access unit can
// hold would take hours.
func TestParameterSetsAreCountedBeforeTheyAreCompared(t *testing.T) {
	all := [][]byte{someSPS}
	for i := range 3000 { // each of another number
		all = append(all, []byte{0x68, 0, 0x10, byte(i>>6) | 1, byte(i<<2) | 0x80, 0x80})
	}
	unit := units(append(all, idr)...)
	s := NewAVC()
	var err error
	allocs := testing.AllocsPerRun(1, func() { _, err = s.Sample(unit) })
	require.ErrorIs(t, err, ErrUnsupported)
	require.Less(t, allocs, 1000.0)
	out, err := s.Sample(units(someSPS, somePPS, idr))
	require.NoError(t, err)
	require.NotNil(t, out.Track, "the next one is taken")
}

func TestAppendAnnexB(t *testing.T) {
	s := NewAVC()
	in := units([]byte{9, 0xf0}, someSPS, somePPS, idr)
	out, err := s.Sample(in)
	require.NoError(t, err)
	b, err := AppendAnnexB(nil, out.Track, out.Data, true)
	require.NoError(t, err)
	require.Equal(t, in, b)
	b, err = AppendAnnexB([]byte{7}, out.Track, out.Data, false)
	require.NoError(t, err)
	require.Equal(t, append([]byte{7}, units([]byte{9, 0xf0}, idr)...), b)
}

func TestADTS(t *testing.T) {
	for _, asc := range [][]byte{{0x11, 0x90}, {0x12, 0x08}, {0x14, 0x10}} {
		b, err := AppendADTS(nil, asc, []byte{1, 2, 3})
		require.NoError(t, err)
		h, err := ParseADTS(b)
		require.NoError(t, err)
		require.Equal(t, ADTSHeader{ASC: [2]byte(asc), Header: 7, Size: 10}, h)
	}
	b, err := AppendADTS(nil, []byte{0x2b, 0x11, 0x88, 0x00}, []byte{1}) // HE-AAC, said outright
	require.NoError(t, err)
	h, err := ParseADTS(b)
	require.NoError(t, err)
	require.Equal(t, [2]byte{0x13, 0x10}, h.ASC, "its core: LC at 24 kHz, stereo")
	_, err = AppendADTS(nil, []byte{0x11, 0x90}, make([]byte, 8185))
	require.ErrorIs(t, err, ErrInvalid)
	_, err = AppendADTS(nil, []byte{0x11}, nil)
	require.ErrorIs(t, err, ErrInvalid)
	_, err = AppendADTS(nil, []byte{0x11, 0x80}, nil)
	require.ErrorIs(t, err, ErrUnsupported, "channels described inside")
	b[6] |= 1
	_, err = ParseADTS(b)
	require.ErrorIs(t, err, ErrUnsupported, "several blocks")
}

// Several frames in an element, and a later one without configuration.
func TestLATM(t *testing.T) {
	var l LATM
	_, frames, err := l.Frames([]byte{0x80, 1, 2})
	require.NoError(t, err)
	require.Empty(t, frames, "before the configuration")
	// 0 | 0 version | 1 same timing | 000001 two frames | 0000 | 000 | ASC 0001 0001 1001 0000 |
	// 000 | 11111111 | 0 | 0 | then 2, a, b, 1, c
	asc, frames, err := l.Frames(bitString("0" + "0" + "1" + "000001" + "0000" + "000" + "0001000110010000" + "000" + "11111111" + "0" + "0" +
		"00000010" + "10101010" + "10111011" + "00000001" + "11001100"))
	require.NoError(t, err)
	require.Equal(t, []byte{0x11, 0x90}, asc)
	require.Equal(t, [][]byte{{0xaa, 0xbb}, {0xcc}}, frames)
	_, frames, err = l.Frames(bitString("1" + "00000001" + "00010001" + "00000001" + "00100010"))
	require.NoError(t, err)
	require.Equal(t, [][]byte{{0x11}, {0x22}}, frames)
	// Version 1 says how long the configuration is: 16 bits.
	asc, frames, err = l.Frames(bitString("0" + "10" + "0000000000" + "1" + "000000" + "0000" + "000" + "0000010000" + "0001000110010000" +
		"000" + "11111111" + "0" + "0" + "00000001" + "01110111"))
	require.NoError(t, err)
	require.Equal(t, []byte{0x11, 0x90}, asc)
	require.Equal(t, [][]byte{{0x77}}, frames)
	_, _, err = l.Frames(bitString("1" + "11111111" + "11111111"))
	require.ErrorIs(t, err, ErrInvalid)
}

func bitString(s string) []byte {
	b := make([]byte, (len(s)+7)/8)
	for i, c := range s {
		if c == '1' {
			b[i/8] |= 0x80 >> (i % 8)
		}
	}
	return b
}

func TestFrameSizes(t *testing.T) {
	for head, want := range map[string]int{ // ETSI TS 102 366, table 4.13, in bytes
		"\x0b\x77\x00\x00\x00\x40": 128, "\x0b\x77\x00\x00\x14\x40": 768, "\x0b\x77\x00\x00\x25\x40": 2560,
		"\x0b\x77\x00\x00\x54\x40": 834, "\x0b\x77\x00\x00\x55\x40": 836, "\x0b\x77\x00\x00\x94\x40": 1152,
	} {
		size, err := AC3Size([]byte(head))
		require.NoError(t, err)
		require.Equal(t, want, size)
	}
	_, err := AC3Size([]byte("\x0b\x77\x00\x00\x00\x80"))
	require.ErrorIs(t, err, ErrUnsupported, "E-AC-3")
	for head, want := range map[string]int{"\xff\xfb\x90\x64": 417, "\xff\xfb\x92\x64": 418, "\xff\xfd\x84\x00": 384, "\xff\xf3\x80\xc0": 208, "\xff\xf5\x80\xc0": 417} {
		h, err := ParseMPEGAudio([]byte(head))
		require.NoError(t, err)
		require.Equal(t, want, h.Size, "%x", head)
	}
	for packet, want := range map[string]int{"\xfc": 960, "\x80": 120, "\x19": 5760, "\x60": 480, "\x6b\x03": 2880, "\xff\x3f": 0, "": 0, "\x03": 0} {
		require.Equal(t, want, OpusSamples([]byte(packet)), "%x", packet)
	}
}

func TestMP2(t *testing.T) {
	track, err := MP2([]byte{0xff, 0xfd, 0x84, 0x00})
	require.NoError(t, err)
	require.True(t, IsMP2(track))
	require.EqualValues(t, 1152, track.FrameDur)
	name, _, err := Decoder(track)
	require.NoError(t, err)
	require.Equal(t, "mp3", name)
	mime, err := RFC6381(track)
	require.NoError(t, err)
	require.Equal(t, "mp4a.6B", mime)
	native, err := Native(track)
	require.NoError(t, err)
	require.Equal(t, track, native)
	_, err = MP2([]byte{0xff, 0xfb, 0x90, 0x64})
	require.ErrorIs(t, err, ErrUnsupported)
}

// FuzzInBand: samples are well formed, and go back to what they came from.
func FuzzInBand(f *testing.F) {
	f.Add(units(someSPS, somePPS, idr), false)
	f.Add(units([]byte{0x40, 1, 12}, []byte{0x42, 1, 1}, []byte{0x44, 1, 0xc1}, []byte{0x2a, 1, 5}), true)
	f.Fuzz(func(t *testing.T, b []byte, hevc bool) {
		s := NewAVC()
		if hevc {
			s = NewHEVC()
		}
		for range 2 {
			out, err := s.Sample(b)
			if err != nil {
				require.True(t, isOurs(err))
				continue
			}
			_, err = AVCNormalize(out.Data, 4)
			require.NoError(t, err)
			if out.Track == nil || out.Data == nil {
				continue
			}
			back, err := AppendAnnexB(nil, out.Track, out.Data, true)
			require.NoError(t, err)
			again, err := s.Sample(back)
			require.NoError(t, err)
			require.Equal(t, out.Data, again.Data)
		}
	})
}

func FuzzLATM(f *testing.F) {
	f.Add([]byte{0x20, 0x00, 0x11, 0x90, 0, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		var l LATM
		for range 2 {
			_, _, err := l.Frames(b)
			require.True(t, err == nil || isOurs(err))
		}
	})
}
