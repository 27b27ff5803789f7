package rtmp

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/rtmp/amf"
	"github.com/sluice-live/sluice/internal/rtmp/chunk"
	"github.com/sluice-live/sluice/internal/rtmp/flv"
)

// feeder sends messages to a Publisher under test.
type feeder struct {
	*Publisher
	client *Client
}

func newFeeder(t testing.TB) feeder {
	addr, conns := accepted(t, Config{})
	client, sc, answered := dialed(t, addr, conns, "/live/KEY", false)
	pub, err := sc.Publish(testContext(t))
	require.NoError(t, err)
	require.NoError(t, <-answered)
	t.Cleanup(func() { _ = pub.Close() })
	return feeder{pub, client}
}

func (f feeder) send(t testing.TB, typ uint8, at uint32, data ...[]byte) {
	require.NoError(t, f.client.write(chunk.Message{ID: 6, Type: typ, Stream: mediaStream, Time: at, Data: slices.Concat(data...)}))
}

func (f feeder) video(t testing.TB, at uint32, data ...[]byte) {
	f.send(t, chunk.TypeVideo, at, data...)
}
func (f feeder) audio(t testing.TB, at uint32, data ...[]byte) {
	f.send(t, chunk.TypeAudio, at, data...)
}

func (f feeder) next(t testing.TB) sluice.Packet {
	p, err := f.ReadPacket(testContext(t))
	require.NoError(t, err)
	return p
}

func TestPublisherPackets(t *testing.T) {
	f := newFeeder(t)
	avcC := testAVCC(t, 1280)
	f.video(t, 0, flv.AppendAVC(nil, flv.Frame, true, 0), sample(true, 0, 10)) // before its configuration
	f.audio(t, 0)                                                              // librtmp's keep-alive
	f.video(t, 5, flv.AppendAVC(nil, flv.Config, true, 0), avcC)
	p := f.next(t)
	track := p.Track
	assert.Nil(t, p.Data)
	assert.EqualValues(t, VideoID, track.ID)
	assert.EqualValues(t, 1000, track.Timescale)
	assert.Equal(t, sluice.AVC1, track.Codec)
	assert.Equal(t, 1280, track.Width)
	assert.Equal(t, []*sluice.Track{track}, f.Tracks())

	f.video(t, 0xfffffff0, flv.AppendAVC(nil, flv.Frame, true, 80), sample(true, 1, 10))
	f.video(t, 5, flv.AppendAVC(nil, flv.Config, true, 0), avcC)                       // the same again
	f.video(t, 16, flv.AppendAVC(nil, flv.Frame, true, -40), sample(false, 2, 10))     // says key, is none
	f.video(t, 17, flv.AppendAVC(nil, flv.Frame, false, 0), []byte{0, 0, 0, 99, 0x41}) // damaged
	f.video(t, 18, flv.AppendAVC(nil, flv.Frame, false, 0), sample(true, 3, 10))       // says none, is key
	p = f.next(t)
	assert.Equal(t, sluice.Packet{Track: track, DTS: 0xfffffff0, PTS: 0x100000040, Key: true, Data: sample(true, 1, 10)}, p)
	p = f.next(t)
	assert.Equal(t, sluice.Packet{Track: track, DTS: 16, PTS: -24, Data: sample(false, 2, 10)}, p)
	assert.True(t, f.next(t).Key)
	assert.EqualValues(t, 2, f.Stats().Dropped)

	f.video(t, 20, flv.AppendAVC(nil, flv.Config, true, 0), testAVCC(t, 640))
	p = f.next(t)
	assert.Nil(t, p.Data)
	assert.NotSame(t, track, p.Track)
	assert.Equal(t, 640, p.Track.Width)
	assert.Equal(t, []*sluice.Track{p.Track}, f.Tracks())
}

func TestPublisherAudio(t *testing.T) {
	f := newFeeder(t)
	f.audio(t, 1, flv.AppendAAC(nil, flv.Config), []byte{0x11, 0x90})
	f.audio(t, 2, flv.AppendAAC(nil, flv.Frame), []byte{0x21, 1, 2})
	p := f.next(t)
	assert.Nil(t, p.Data)
	assert.EqualValues(t, AudioID, p.Track.ID)
	assert.EqualValues(t, 1000, p.Track.Timescale)
	assert.Equal(t, 48000, p.Track.SampleRate)
	aac := p.Track
	assert.Equal(t, sluice.Packet{Track: aac, DTS: 2, PTS: 2, Key: true, Data: []byte{0x21, 1, 2}}, f.next(t))

	// MP3 has no configuration: the first frame announces it.
	frame := append([]byte{0xff, 0xfb, 0x90, 0x00}, make([]byte, 413)...)
	f.audio(t, 3, flv.AppendMP3(nil, 44100, 2), frame)
	f.audio(t, 4, flv.AppendMP3(nil, 44100, 2), frame)
	p = f.next(t)
	assert.Nil(t, p.Data)
	assert.Equal(t, sluice.MP3, p.Track.Codec)
	for at := range int64(2) {
		assert.Equal(t, sluice.Packet{Track: p.Track, DTS: 3 + at, PTS: 3 + at, Key: true, Data: frame}, f.next(t))
	}
}

// Some encoders write NAL unit lengths of two bytes.
func TestPublisherShortLengths(t *testing.T) {
	f := newFeeder(t)
	avcC := testAVCC(t, 1280)
	avcC[4] = avcC[4]&^3 | 1
	f.video(t, 0, flv.AppendAVC(nil, flv.Config, true, 0), avcC)
	f.video(t, 0, flv.AppendAVC(nil, flv.Frame, true, 0), []byte{0, 2, 0x06, 1, 0, 3, 0x65, 2, 3})
	p := f.next(t)
	assert.Equal(t, testVideo(t, 1280).Config, p.Track.Config)
	p = f.next(t)
	assert.Equal(t, []byte{0, 0, 0, 2, 0x06, 1, 0, 0, 0, 3, 0x65, 2, 3}, p.Data)
	assert.True(t, p.Key)
}

func TestPublisherEnhanced(t *testing.T) {
	f := newFeeder(t)
	f.video(t, 0, []byte("\x90avc1"), testAVCC(t, 1280))
	f.video(t, 40, []byte("\x91avc1\x00\x00\x28"), sample(true, 1, 10))
	f.video(t, 80, []byte("\xa3avc1"), sample(false, 2, 10))
	track := f.next(t).Track
	assert.Equal(t, sluice.Packet{Track: track, DTS: 40, PTS: 80, Key: true, Data: sample(true, 1, 10)}, f.next(t))
	assert.Equal(t, sluice.Packet{Track: track, DTS: 80, PTS: 80, Data: sample(false, 2, 10)}, f.next(t))
}

func TestPublisherRefusesCodecs(t *testing.T) {
	for body, want := range map[string]string{
		"\x12xx":            "video codec id 2 (Sorenson H.263): codec is not supported: set the encoder to H.264 or HEVC or AV1 or VP9 or VP8",
		"\x90vvc1xx":        `video codec "vvc1" (VVC): codec is not supported: set the encoder to H.264`,
		"\x90xyz1xx":        `video codec "xyz1": codec is not supported: set the encoder to H.264`,
		"\x96\x00xyz1\x01x": `video codec "xyz1": codec is not supported`,
		"\x96\x31avc1\x01x": "tracks of video in layout 3",
		"\x95av01xx":        "configuration as in MPEG-2 TS: the encoder has to send the codec's configuration record",
		"\x90hvc1xx":        "HEVC configuration",
	} {
		f := newFeeder(t)
		f.video(t, 0, []byte(body))
		_, err := f.ReadPacket(testContext(t))
		require.ErrorContains(t, err, want)
	}
	f := newFeeder(t)
	f.audio(t, 0, []byte("\xb6xx"))
	_, err := f.ReadPacket(testContext(t))
	require.ErrorIs(t, err, ErrCodec)
	require.ErrorContains(t, err, "audio codec id 11 (Speex)")
	require.ErrorContains(t, err, "set the encoder to AAC or MP3 or Opus or AC-3")
}

func TestPublisherAggregate(t *testing.T) {
	f := newFeeder(t)
	tag := func(typ byte, at uint32, data []byte) []byte {
		n := len(data)
		b := []byte{typ, byte(n >> 16), byte(n >> 8), byte(n), byte(at >> 16), byte(at >> 8), byte(at), byte(at >> 24), 0, 0, 0}
		return binary.BigEndian.AppendUint32(append(b, data...), uint32(n+11))
	}
	f.send(t, chunk.TypeAggregate, 1000,
		tag(chunk.TypeAudio, 50, append(flv.AppendAAC(nil, flv.Config), 0x11, 0x90)),
		tag(chunk.TypeAudio, 60, append(flv.AppendAAC(nil, flv.Frame), 1)),
		tag(chunk.TypeDataAMF0, 60, amf.Append(nil, "onMetaData", amf.ECMA{{Name: "encoder", Value: "x"}})),
		tag(chunk.TypeAudio, 70, append(flv.AppendAAC(nil, flv.Frame), 2)),
		[]byte{8, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1})
	assert.EqualValues(t, 1000, f.next(t).DTS)
	assert.EqualValues(t, 1010, f.next(t).DTS)
	p := f.next(t)
	assert.EqualValues(t, 1020, p.DTS)
	assert.Equal(t, []byte{2}, p.Data)
	assert.Equal(t, "x", f.Metadata().Encoder)
	assert.EqualValues(t, 1, f.Stats().Dropped)
}

func TestMetadata(t *testing.T) {
	o := func(kv ...any) amf.ECMA {
		var e amf.ECMA
		for i := 0; i < len(kv); i += 2 {
			e = append(e, amf.Property{Name: kv[i].(string), Value: kv[i+1]})
		}
		return e
	}
	for name, c := range map[string]struct {
		in   []any
		want Metadata
	}{
		"OBS": {[]any{"@setDataFrame", "onMetaData", o("videocodecid", 7, "audiocodecid", 10, "framerate", 60, "encoder", "obs")},
			Metadata{Known: true, HasVideo: true, HasAudio: true, FrameRate: 60, Encoder: "obs"}},
		"audio only":   {[]any{"onMetaData", o("audiosamplerate", 48000.0)}, Metadata{Known: true, HasAudio: true}},
		"codec names":  {[]any{"onMetaData", amf.Object(o("videocodecid", "avc1", "audiocodecid", "mp4a"))}, Metadata{Known: true, HasVideo: true, HasAudio: true}},
		"absurd rate":  {[]any{"onMetaData", o("width", 640, "framerate", 90000)}, Metadata{Known: true, HasVideo: true}},
		"another":      {[]any{"onCuePoint", o("width", 640)}, Metadata{}},
		"without body": {[]any{"@setDataFrame", "onMetaData"}, Metadata{}},
		"empty":        {nil, Metadata{}},
	} {
		got, ok := parseMetadata(chunk.Message{Type: chunk.TypeDataAMF0, Data: amf.Append(nil, c.in...)})
		assert.Equal(t, c.want, got, name)
		assert.Equal(t, c.want.Known, ok, name)
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add(false, amf.Append(nil, "@setDataFrame", "onMetaData", amf.ECMA{{Name: "width", Value: 1920}, {Name: "framerate", Value: 30}}))
	f.Add(true, append([]byte{0}, amf.Append(nil, "onMetaData", amf.Object{{Name: "audiocodecid", Value: "mp4a"}})...))
	f.Fuzz(func(t *testing.T, amf3 bool, b []byte) {
		m := chunk.Message{Type: chunk.TypeDataAMF0, Data: b}
		if amf3 {
			m.Type = chunk.TypeDataAMF3
		}
		meta, ok := parseMetadata(m)
		require.Equal(t, ok, meta.Known)
		require.False(t, meta.FrameRate < 0 || meta.FrameRate > 480)
	})
}

// FuzzMedia sends any bytes as media; the packets that come of it are sound.
func FuzzMedia(f *testing.F) {
	f.Add(true, append(flv.AppendAVC(nil, flv.Config, true, 0), testAVCC(f, 640)...), append(flv.AppendAVC(nil, flv.Frame, true, 1), sample(true, 1, 10)...))
	f.Add(false, append(flv.AppendAAC(nil, flv.Config), 0x11, 0x90), append(flv.AppendAAC(nil, flv.Frame), 1))
	f.Add(false, []byte("\x2f\xff\xfb\x90\x00"), []byte("\x2f\xff\xfb\x50\x00"))
	f.Add(true, []byte("\x90avc1"), []byte("\x91avc1\x00\x00\x01"))
	f.Add(true, append([]byte("\x90hvc1"), testHVCC(f)...), []byte("\x91hvc1\x00\x00\x01\x00\x00\x00\x03\x2a\x01\x00"))
	f.Add(true, append([]byte("\x90av01"), testAV1C...), append([]byte("\x91av01"), testAV1Key...))
	f.Add(true, []byte("\x90vp09\x01\x00\x00\x00\x00\x0a\x82\x02\x02\x02\x00\x00"), append([]byte("\xa6\x01vp09\x02\x00\x00\x10"), testVP9Key...))
	f.Add(false, []byte("\x95\x20Opus\x01\x00\x00\x00mp4a\x02\x00\x00\x02\x11\x90"), []byte("\x95\x21Opus\x01\x00\x00\x01\x08mp4a\x02\x00\x00\x01\x21"))
	f.Fuzz(func(t *testing.T, video bool, first, second []byte) {
		p := &Publisher{conn: newConn(nopConn{}, Config{})}
		typ := uint8(chunk.TypeAudio)
		if video {
			typ = chunk.TypeVideo
		}
		for _, b := range [][]byte{first, second} {
			if err := p.message(chunk.Message{Type: typ, Data: b}); err != nil {
				require.ErrorIs(t, err, flv.ErrUnsupported)
				return
			}
			for p.done < len(p.queue) || p.taken < len(p.ready) {
				out, err := p.readPacket()
				if err != nil {
					return
				}
				require.NotNil(t, out.Track)
				require.NotEmpty(t, out.Track.Config)
				require.Contains(t, p.Tracks(), out.Track)
				if c := out.Track.Codec; (c == sluice.AVC1 || c == sluice.HVC1) && out.Data != nil {
					n := 0
					for rest := out.Data; len(rest) > 0; n++ {
						rest = rest[4+binary.BigEndian.Uint32(rest):]
					}
				}
			}
		}
	})
}

// A message of 16 MB could hold two million tags, each of more bytes in memory.
func TestTagsOfAMessageAreBounded(t *testing.T) {
	tag := []byte{9, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0x27, 1, 0, 0, 0, 0, 0, 0, 16}
	p := &Publisher{conn: newConn(nopConn{}, Config{})}
	require.NoError(t, p.message(chunk.Message{Type: chunk.TypeAggregate, Data: bytes.Repeat(tag, 100)}))
	require.Len(t, p.queue, 100)
	require.Zero(t, p.dropped.Load())
	require.NoError(t, p.message(chunk.Message{Type: chunk.TypeAggregate, Data: bytes.Repeat(tag, 800_000)}))
	require.LessOrEqual(t, len(p.queue), maxTags+256)
	require.NotZero(t, p.dropped.Load())
}

// FuzzAggregate takes any aggregate apart.
func FuzzAggregate(f *testing.F) {
	f.Add([]byte{8, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0xaf, 1, 0, 0, 0, 13})
	f.Fuzz(func(t *testing.T, b []byte) {
		p := &Publisher{conn: newConn(nopConn{}, Config{})}
		if err := p.message(chunk.Message{Type: chunk.TypeAggregate, Data: b}); err != nil {
			require.ErrorIs(t, err, flv.ErrUnsupported)
		}
		n := 0
		for _, q := range p.queue {
			n += len(q.tag.Data)
		}
		require.LessOrEqual(t, n, len(b))
	})
}
