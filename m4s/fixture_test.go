package m4s

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// anyTrack makes a track of a codec that nobody knows.
func anyTrack(r *rand.Rand, id uint32) *sluice.Track {
	codec := sluice.FourCC{'x', byte('a' + r.IntN(26)), byte('a' + r.IntN(26)), '1'}
	config := make([]byte, 16+r.IntN(200))
	for i := range config {
		config[i] = byte(r.Uint32())
	}
	copy(config, []byte{0, 0, byte(len(config) >> 8), byte(len(config))})
	copy(config[4:], codec[:])
	return &sluice.Track{
		ID: id, Kind: sluice.Kind(1 + r.IntN(4)), Codec: codec, Timescale: []uint32{1000, 44100, 48000, 90000}[r.IntN(4)],
		Config: config, Era: r.Uint32N(9), Maker: r.Uint32(), SegmentDur: time.Duration(r.IntN(10)) * time.Second,
		PartTarget: r.Int64N(90000), FrameDur: r.Int64N(9000), Name: "name of ä"[:r.IntN(8)], Language: []string{"", "de", "en-GB", "und"}[r.IntN(4)],
		Width: r.IntN(8000), Height: r.IntN(4000), SampleRate: r.IntN(96000), Channels: r.IntN(8), Bandwidth: r.IntN(1 << 30),
	}
}

// anyPackets makes packets of tracks that appear and change, with marks,
// holes, reordering and empty frames.
func anyPackets(r *rand.Rand, n int) (out []sluice.Packet) {
	tracks := make([]*sluice.Track, 1+r.IntN(6))
	for i := range n {
		k := r.IntN(len(tracks))
		if tracks[k] == nil || r.IntN(40) == 0 {
			old := tracks[k]
			tracks[k] = anyTrack(r, uint32(k)*7+1)
			if old != nil {
				tracks[k].Timescale, tracks[k].Era = old.Timescale, old.Era+1
			}
		}
		t := tracks[k]
		dts := int64(1_790_000_000)*int64(t.Timescale) + int64(i)*100
		p := sluice.Packet{
			Track: t, DTS: dts, PTS: dts + r.Int64N(2000) - 1000, Dur: r.Int64N(4000),
			Segment: uint64(i / 30), Key: r.IntN(5) == 0, Discont: r.IntN(20) == 0,
		}
		if r.IntN(8) > 0 {
			p.Data = make([]byte, r.IntN(3000))
			for j := range p.Data {
				p.Data[j] = byte(r.Uint32())
			}
		}
		out = append(out, p)
	}
	return out
}

// encode returns the stream of packets, complete.
func encode(t testing.TB, packets ...sluice.Packet) []byte {
	var b bytes.Buffer
	e := NewEncoder(&b, EncoderConfig{Stream: 77})
	for _, p := range packets {
		require.NoError(t, e.Encode(p))
	}
	require.NoError(t, e.End(nil))
	return b.Bytes()
}

// decode reads a stream to its end.
func decode(r io.Reader) (out []sluice.Packet, err error) {
	d := NewDecoder(r, Limits{})
	for {
		p, err := d.Decode()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, p)
	}
}

// requireSame compares packets and what their tracks say.
func requireSame(t testing.TB, want, got []sluice.Packet) {
	t.Helper()
	for i := range min(len(want), len(got)) {
		require.Equal(t, want[i], got[i], "packet %d", i)
		require.Equal(t, want[i].Data == nil, got[i].Data == nil, "packet %d", i)
	}
	require.Len(t, got, len(want))
}

// readAll reads a Source to its end.
func readAll(ctx context.Context, src sluice.Source) (out []sluice.Packet, err error) {
	for {
		p, err := src.ReadPacket(ctx)
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, p)
	}
}

func stampedPackets(seconds int) []sluice.Packet { return sluicetest.Packets(seconds) }
