package mpegts

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

// sizes is a writer that looks at how it is written to.
type sizes struct {
	t   testing.TB
	all bytes.Buffer
}

func (s *sizes) Write(b []byte) (int, error) {
	require.NotEmpty(s.t, b)
	require.LessOrEqual(s.t, len(b), 1316)
	require.Zero(s.t, len(b)%packetSize)
	for i := 0; i < len(b); i += packetSize {
		require.Equal(s.t, byte(syncByte), b[i])
	}
	return s.all.Write(b)
}

// pcrOf returns the program clock of a packet in ticks of 90 kHz.
func pcrOf(p []byte) (pcr int64, ok bool) {
	if p[3]&0x20 == 0 || p[4] == 0 || p[5]&0x10 == 0 {
		return 0, false
	}
	return int64(p[6])<<25 | int64(p[7])<<17 | int64(p[8])<<9 | int64(p[9])<<1 | int64(p[10])>>7, true
}

// Tables, program clock, counters: what decoders rely on.
func TestWriterKeepsTheRules(t *testing.T) {
	out := &sizes{t: t}
	tracks, packets := made(5)
	w, err := NewWriter(out, tracks, began)
	require.NoError(t, err)
	var lastPCR, lastTable, clock int64 = -1, -1, 0
	counters := map[uint16]byte{}
	seen := 0
	for _, p := range packets {
		require.NoError(t, w.WritePacket(p))
		clock = max(clock, raw(p.Track, p.DTS))
		fresh := split(out.all.Bytes()[seen:])
		seen = out.all.Len()
		tables := 0
		for _, b := range fresh {
			pid := pidOf(b)
			if b[3]&0x10 != 0 {
				if last, ok := counters[pid]; ok {
					require.Equal(t, (last+1)&15, b[3]&15)
				}
				counters[pid] = b[3] & 15
			} else {
				require.Equal(t, counters[pid], b[3]&15, "no payload, no count")
			}
			if pid == mapPID {
				tables++
			}
			if pcr, ok := pcrOf(b); ok {
				require.Equal(t, uint16(firstPID), pid)
				require.Equal(t, clock-pcrDelay, pcr)
				if lastPCR >= 0 {
					require.LessOrEqual(t, pcr-lastPCR, int64(clockRate/10))
				}
				lastPCR = pcr
			}
		}
		if tables > 0 {
			lastTable = clock
		}
		require.LessOrEqual(t, clock-lastTable, int64(clockRate/2))
		if p.Track.Kind == sluice.Video && p.Key {
			require.Equal(t, 1, tables)
			require.Equal(t, uint16(0), pidOf(fresh[0]))
			require.Equal(t, uint16(mapPID), pidOf(fresh[1]))
			require.NotZero(t, fresh[2][5]&0x40, "random access")
		}
	}
}

// The clock wraps at 33 bits, 26.5 hours after the broadcast began, and ffmpeg
// and the Reader go on.
func TestClockWraps(t *testing.T) {
	tracks, packets := made(3)
	start := began.Add(-(1<<33/90000)*time.Second + 2500*time.Millisecond)
	var out bytes.Buffer
	w, err := NewWriter(&out, tracks, start)
	require.NoError(t, err)
	for _, p := range packets {
		require.NoError(t, w.WritePacket(p))
	}
	got, st := readAll(t, out.Bytes())
	require.Zero(t, st.Damaged+st.Unusable)
	video := sluicetest.Of(1, media(got))
	require.Len(t, video, 75)
	wraps := 0
	for i := 1; i < len(video); i++ {
		require.Equal(t, int64(3600), (video[i].DTS-video[i-1].DTS)&clockMask)
		if video[i].DTS < video[i-1].DTS {
			wraps++
		}
	}
	require.Equal(t, 1, wraps)
}

// What is not carried is named.
func TestNotCarried(t *testing.T) {
	_, err := NewWriter(&bytes.Buffer{}, []*sluice.Track{{ID: 7, Kind: sluice.Video, Codec: sluice.AV01, Timescale: 90000}}, began)
	require.ErrorIs(t, err, codec.ErrUnsupported)
	require.ErrorContains(t, err, `"av01"`)
	w, err := NewWriter(&bytes.Buffer{}, madeTracks, began)
	require.NoError(t, err)
	require.ErrorIs(t, w.WritePacket(sluice.Packet{Track: &sluice.Track{ID: 8, Kind: sluice.Text, Codec: sluice.FourCC{'w', 'v', 't', 't'}}}), codec.ErrUnsupported)
	require.NoError(t, w.WritePacket(madePackets[0]), "one track that is refused spoils nothing")
}

func TestWriteFails(t *testing.T) {
	broken := errors.New("gone")
	w, err := NewWriter(failing{broken}, madeTracks, began)
	require.NoError(t, err)
	require.ErrorIs(t, w.WritePacket(madePackets[0]), broken)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// A watermark gives the clock; nothing does before there are tables.
func TestWatermark(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, madeTracks, began)
	require.NoError(t, err)
	mark := sluice.Packet{Track: madeTracks[0], DTS: madePackets[0].DTS}
	require.NoError(t, w.WritePacket(mark))
	require.Zero(t, out.Len())
	require.NoError(t, w.WritePacket(madePackets[0]))
	out.Reset()
	mark.DTS += clockRate
	require.NoError(t, w.WritePacket(mark))
	require.Equal(t, packetSize, out.Len())
	_, ok := pcrOf(out.Bytes())
	require.True(t, ok)
}

// A track may come later, or change its picture: ffmpeg takes it as it comes.
func TestTrackComesLater(t *testing.T) {
	tracks, packets := made(2)
	b := mux(t, tracks[:1], packets)
	got, st := readAll(t, b)
	require.Zero(t, st.Damaged+st.Lost+st.Unusable)
	assert.Len(t, sluicetest.Of(2, media(got)), len(sluicetest.Of(2, packets)))
}

// A stream that joins ours on the air, in the middle, is decoded by ffmpeg from
// the next key frame on.
func TestFFmpegJoins(t *testing.T) {
	path := encode(t, args(in(picture, tone), "-c:v libx264 -preset veryfast -g 10 -pix_fmt yuv420p -c:a aac -ac 2")...)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	packets, _ := readAll(t, b)
	var key int
	for i, p := range packets {
		if p.Track.ID == 1 && p.Key && i > len(packets)/2 {
			key = i
			break
		}
	}
	for i := range packets {
		packets[i].DTS += packets[i].Track.Ticks(began)
		packets[i].PTS += packets[i].Track.Ticks(began)
	}
	joined := filepath.Join(t.TempDir(), "joined.ts")
	require.NoError(t, os.WriteFile(joined, mux(t, tracksOf(packets), packets[key:]), 0o600))
	assert.Greater(t, len(decoded(t, joined)), 40)
}
