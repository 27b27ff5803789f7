package mpegts

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

var began = time.Unix(1_790_000_000, 0)

// random returns n bytes without zeros, so that there is no start code in them.
func random(rnd *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(1 + rnd.IntN(255))
	}
	return b
}

// made returns seconds of video at 25 frames a second and AAC, stamped, with a
// key frame every second. Some frames are too large for a PES length.
func made(seconds int) (tracks []*sluice.Track, packets []sluice.Packet) {
	rnd := rand.New(rand.NewPCG(1, 2))
	video, audio := sluicetest.Video(1), sluicetest.Audio(2)
	next := audio.Ticks(began)
	for n := range 25 * seconds {
		dts := video.Ticks(began) + int64(n)*3600
		key := n%25 == 0
		size, head := 1+rnd.IntN(3000), byte(0x41)
		if key {
			size, head = 60_000+rnd.IntN(20_000), 0x65
		}
		data := binary.BigEndian.AppendUint32(nil, uint32(size+1))
		data = append(append(data, head), random(rnd, size)...)
		packets = append(packets, sluice.Packet{Track: video, DTS: dts, PTS: dts + 7200, Dur: 3600, Key: key, Data: data})
		for ; audio.Time(next).Before(video.Time(dts + 3600)); next += 1024 {
			packets = append(packets, sluice.Packet{Track: audio, DTS: next, PTS: next, Dur: 1024, Key: true, Data: random(rnd, 100+rnd.IntN(500))})
		}
	}
	return []*sluice.Track{video, audio}, packets
}

// mux writes packets as a transport stream.
func mux(t testing.TB, tracks []*sluice.Track, packets []sluice.Packet) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, tracks, began)
	require.NoError(t, err)
	for _, p := range packets {
		require.NoError(t, w.WritePacket(p))
	}
	return out.Bytes()
}

// raw returns what a stamped packet's time is in a transport stream.
func raw(t *sluice.Track, ticks int64) int64 {
	return (clockLead + sluice.Rescale(ticks-t.Ticks(began), int64(t.Timescale), clockRate)) & clockMask
}

// split cuts a transport stream into packets, which are copies.
func split(b []byte) (packets [][]byte) {
	for ; len(b) >= packetSize; b = b[packetSize:] {
		packets = append(packets, bytes.Clone(b[:packetSize]))
	}
	return packets
}

func pidOf(packet []byte) uint16 { return binary.BigEndian.Uint16(packet[1:]) & 0x1fff }

// media returns the packets that hold media.
func media(packets []sluice.Packet) (out []sluice.Packet) {
	for _, p := range packets {
		if p.Data != nil {
			out = append(out, p)
		}
	}
	return out
}

func opusTrack(t testing.TB) *sluice.Track {
	track, err := codec.Opus(codec.OpusHead{Channels: 2, InputRate: 48000})
	require.NoError(t, err)
	track.ID = 2
	return track
}

func mp3Track(t testing.TB) *sluice.Track {
	track, err := codec.MP3([]byte{0xff, 0xfb, 0x90, 0x64})
	require.NoError(t, err)
	track.ID = 2
	return track
}
