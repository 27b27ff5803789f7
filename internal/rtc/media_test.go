package rtc

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/testmedia"
)

// camera is a Source of made-up VP8 at 30 frames a second and Opus, in real
// time. Every frame carries its number and a checksum. It makes a key frame
// every 10 s, and when asked.
type camera struct {
	video, audio *sluice.Track
	bytes        int // of a frame
	began        time.Time
	frame, sound int64
	end          int64 // frames; 0: never
	wanted       atomic.Int64
	fulfilled    int64
	closed       atomic.Bool
}

const (
	cameraRate = 30
	soundDur   = 20 * time.Millisecond
)

func newCamera(t testing.TB, bytes int) *camera {
	video, err := codec.VP(sluice.VP08, 0, 8, 640, 360)
	require.NoError(t, err)
	audio, err := codec.Opus(codec.OpusHead{Channels: 2})
	require.NoError(t, err)
	video.ID, audio.ID = 1, 2
	return &camera{video: video, audio: audio, bytes: bytes, began: time.Now()}
}

func (c *camera) Tracks() []*sluice.Track { return []*sluice.Track{c.video, c.audio} }

func (c *camera) Close() error {
	c.closed.Store(true)
	return nil
}

func (c *camera) RequestKey(uint32) bool {
	c.wanted.Add(1)
	return true
}

func (c *camera) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	if c.closed.Load() || c.end > 0 && c.frame >= c.end {
		return sluice.Packet{}, io.EOF
	}
	video := c.began.Add(time.Duration(c.frame) * time.Second / cameraRate)
	audio := c.began.Add(time.Duration(c.sound) * soundDur)
	if audio.Before(video) {
		if err := sleep(ctx, time.Until(audio)); err != nil {
			return sluice.Packet{}, err
		}
		dts := c.audio.Ticks(audio)
		p := sluice.Packet{Track: c.audio, DTS: dts, PTS: dts, Dur: 960, Key: true, Data: opusFrame(c.sound)}
		c.sound++
		return p, nil
	}
	if err := sleep(ctx, time.Until(video)); err != nil {
		return sluice.Packet{}, err
	}
	wanted := c.wanted.Load()
	key := c.frame%(10*cameraRate) == 0 || wanted > c.fulfilled
	c.fulfilled = wanted
	dts := c.video.Ticks(video)
	p := sluice.Packet{Track: c.video, DTS: dts, PTS: dts, Dur: 3000, Key: key, Data: vp8Frame(c.frame, key, 640, 360, c.bytes)}
	c.frame++
	return p, nil
}

// vp8Frame is the head of a VP8 frame, its number, noise and a checksum.
func vp8Frame(number int64, key bool, width, height, size int) []byte {
	b := []byte{0x11, 0, 0}
	if key {
		b = []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a}
		b = binary.LittleEndian.AppendUint16(b, uint16(width))
		b = binary.LittleEndian.AppendUint16(b, uint16(height))
		size *= 4
	}
	b = append(b, make([]byte, 10-len(b))...)
	return checked(binary.BigEndian.AppendUint64(b, uint64(number)), size)
}

// opusFrame is a CELT frame of 20 ms.
func opusFrame(number int64) []byte {
	return checked(binary.BigEndian.AppendUint64([]byte{0xfc}, uint64(number)), 160)
}

func checked(b []byte, size int) []byte {
	for len(b) < size {
		b = binary.BigEndian.AppendUint32(b, rand.Uint32())
	}
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// number checks a frame and returns its number.
func number(t testing.TB, p sluice.Packet) int64 {
	t.Helper()
	at := 1
	if p.Track.Kind == sluice.Video {
		at = 10
	}
	require.Greater(t, len(p.Data), at+12)
	end := len(p.Data) - 4
	require.Equal(t, binary.BigEndian.Uint32(p.Data[end:]), crc32.ChecksumIEEE(p.Data[:end]), "frame is damaged")
	return int64(binary.BigEndian.Uint64(p.Data[at:]))
}

// clip plays real frames once, in real time.
type clip struct {
	track  *sluice.Track
	frames []sluice.Packet
	began  time.Time
	at     int
}

func (c *clip) Tracks() []*sluice.Track { return []*sluice.Track{c.track} }
func (c *clip) Close() error            { return nil }

func (c *clip) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	if c.at == len(c.frames) {
		return sluice.Packet{}, io.EOF
	}
	if c.began.IsZero() {
		c.began = time.Now()
	}
	p := c.frames[c.at]
	p.Track = c.track
	due := c.began.Add(time.Duration(c.at) * time.Second / 25)
	if err := sleep(ctx, time.Until(due)); err != nil {
		return sluice.Packet{}, err
	}
	p.DTS = c.track.Ticks(due)
	p.PTS, p.Dur = p.DTS, 3600
	c.at++
	return p, nil
}

// encoded has ffmpeg make three seconds of 320x180 at 25 frames a second.
func encoded(t *testing.T, c sluice.FourCC) *clip {
	args := map[sluice.FourCC][]string{
		sluice.AVC1: {"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-bsf:v", "h264_metadata=aud=insert", "-f", "h264"},
		sluice.VP08: {"-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-auto-alt-ref", "0", "-f", "ivf"},
		sluice.VP09: {"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-f", "ivf"},
		sluice.AV01: {"-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-f", "ivf"},
	}[c]
	all := append([]string{"-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=3", "-pix_fmt", "yuv420p", "-g", "25", "-b:v", "1M", "-threads", "1"}, args...)
	cmd := exec.CommandContext(t.Context(), testmedia.Need(t, "ffmpeg"), append(all, "-")...)
	out, err := cmd.Output()
	require.NoError(t, err)
	if c == sluice.AVC1 {
		return h264Clip(t, out)
	}
	return ivfClip(t, c, out)
}

func h264Clip(t *testing.T, stream []byte) *clip {
	c := &clip{}
	u := newH264("")
	var payloads [][]byte
	flush := func() {
		if len(payloads) == 0 {
			return
		}
		out, err := u.unpack(payloads)
		require.NoError(t, err)
		c.track = out.track
		c.frames = append(c.frames, sluice.Packet{Data: out.data, Key: out.key})
		payloads = nil
	}
	for nalu := range codec.AnnexBNALUs(stream) {
		if nalu[0]&31 == h264Delimiter {
			flush()
		}
		payloads = append(payloads, nalu)
	}
	flush()
	require.Len(t, c.frames, 75)
	c.track.ID = 1
	return c
}

func ivfClip(t *testing.T, fourCC sluice.FourCC, file []byte) *clip {
	c := &clip{}
	for b := file[32:]; len(b) >= 12; {
		n := int(binary.LittleEndian.Uint32(b))
		frame := b[12 : 12+n]
		b = b[12+n:]
		key := len(c.frames)%25 == 0
		if fourCC == sluice.AV01 {
			var err error
			if frame, err = codec.AV1Sample(frame); err != nil {
				t.Fatal(err)
			}
			require.Equal(t, key, codec.AV1Picture(frame) == codec.Start, "frame %d", len(c.frames))
			if c.track == nil {
				c.track, err = codec.AV1(frame)
				require.NoError(t, err)
			}
		}
		c.frames = append(c.frames, sluice.Packet{Data: frame, Key: key})
	}
	if c.track == nil {
		var err error
		c.track, err = codec.VP(fourCC, 0, 8, 320, 180)
		require.NoError(t, err)
	}
	c.track.ID = 1
	return c
}
