package rtmp

import (
	"encoding/binary"
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

// Two parameter sets of real encoders, 1280x720 and 640x360 (x264).
var testSPS = map[int]string{
	1280: "6764001facd9405005bb011000000300100000030320f18319 60",
	640:  "67640016acd940a02ff9610000030001000003003c8f162d96",
}

func testAVCC(t testing.TB, width int) []byte {
	var sps []byte
	for _, c := range testSPS[width] {
		if c != ' ' {
			sps = append(sps, byte(c))
		}
	}
	b, err := hex.DecodeString(string(sps))
	require.NoError(t, err)
	record, err := codec.AVCRecord([][]byte{b}, [][]byte{{0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0}})
	require.NoError(t, err)
	return record
}

func testVideo(t testing.TB, width int) *sluice.Track {
	track, err := codec.AVC(testAVCC(t, width))
	require.NoError(t, err)
	track.ID = VideoID
	return track
}

func testAudio(t testing.TB) *sluice.Track {
	track, err := codec.AAC([]byte{0x11, 0x90}) // LC, 48 kHz, stereo
	require.NoError(t, err)
	track.ID = AudioID
	return track
}

// sample is a NAL unit of the given size with its number in it.
func sample(key bool, n, size int) []byte {
	b := make([]byte, 4, 4+size)
	binary.BigEndian.PutUint32(b, uint32(size))
	b = append(b, 0x41)
	if key {
		b[4] = 0x65
	}
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	return append(b, make([]byte, size-5)...)
}

func sampleNumber(b []byte) int { return int(binary.BigEndian.Uint32(b[5:])) }

// generator makes packets at 25 fps with audio between.
type generator struct {
	video, audio *sluice.Track
	began        time.Time
	n            int // frames so far
	gop, size    int
}

func (g *generator) frame() sluice.Packet {
	key := g.n%g.gop == 0
	dts := g.video.Ticks(g.began) + int64(g.n)*3600
	p := sluice.Packet{Track: g.video, DTS: dts, PTS: dts + 7200, Dur: 3600, Key: key, Data: sample(key, g.n, g.size)}
	g.n++
	return p
}

func (g *generator) sound() sluice.Packet {
	dts := g.audio.Ticks(g.began) + int64(g.n)*1920
	return sluice.Packet{Track: g.audio, DTS: dts, PTS: dts, Dur: 1024, Key: true, Data: []byte{0x21, byte(g.n), 3, 4}}
}
