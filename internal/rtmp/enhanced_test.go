package rtmp

import (
	"encoding/hex"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/rtmp/amf"
	"github.com/sluice-live/sluice/internal/rtmp/flv"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// Configurations and key frames of real encoders: x265 320x180, SVT-AV1,
// libvpx-vp9 and libvpx 64x64. SVT-AV1's record says another sequence header
// than its stream.
var (
	testAV1C   = unhex("81000c000a0a00000002afff805f0008")
	testAV1Key = unhex("0a0a00000002afff9f7f2008320e1000b382000010002000" + "95cddb20")
	testAV1P   = unhex("320330b382")
	testVPCC   = unhex("01000000000a820202020000")
	testVP9Key = unhex("824983420003f003f60038241c184a000030600000673fffff564564eecc00")
	testVP9P   = unhex("86004092")
	testVP8Key = unhex("f002009d012a4000400000470885858885848802020006703c42600ab220f73000feffab5080")
	testVP8P   = unhex("b101000710")
	testHead   = append([]byte("OpusHead"), 1, 2, 0x38, 1, 0x80, 0xbb, 0, 0, 0, 0, 0)
	testAC3    = unhex("0b77" + "0000" + "1440" + "43ff" + "0000") // 48 kHz, 192 kbit/s, stereo
)

func testHVCC(t testing.TB) []byte {
	b := unhex("0101600000009000000000003cf000fcfdf8f800000f03a00001001840010c01ffff01600000030090000003000003003c959409" +
		"a10001002b42010101600000030090000003000003003ca00a080c1f3e595952930bc05a020000030002000003003210a2000100064401c073c189")
	_, err := codec.HEVC(b)
	require.NoError(t, err)
	return b
}

// hevc is a sample of H.265 of one NAL unit.
func hevc(typ byte, n int) []byte {
	return []byte{0, 0, 0, 4, typ << 1, 1, byte(n >> 8), byte(n)}
}

// An enhancedCodec is one that there is only an extended form of.
type enhancedCodec struct {
	name   string
	kind   sluice.Kind
	start  string // of the configuration's tag
	config []byte
	key, p []byte // samples
	track  *sluice.Track
}

func enhancedCodecs(t testing.TB) []enhancedCodec {
	must := func(track *sluice.Track, err error) *sluice.Track {
		require.NoError(t, err)
		return track
	}
	return []enhancedCodec{
		{"HEVC", sluice.Video, "\x90hvc1", testHVCC(t), hevc(19, 1), hevc(1, 2), must(codec.HEVC(testHVCC(t)))},
		{"AV1", sluice.Video, "\x90av01", testAV1C, testAV1Key, testAV1P, must(codec.AV1(testAV1Key))},
		{"VP9", sluice.Video, "\x90vp09", testVPCC, testVP9Key, testVP9P, must(codec.VP9(testVPCC, testVP9Key))},
		{"VP8", sluice.Video, "\x90vp08", testVPCC[4:], testVP8Key, testVP8P, must(codec.VP8(testVPCC, testVP8Key))},
		{"Opus", sluice.Audio, "\x90Opus", testHead, []byte{0xfc, 1}, []byte{0xfc, 2}, must(codec.OpusRecord(testHead))},
		{"AC-3", sluice.Audio, "\x90ac-3", nil, testAC3, testAC3, must(codec.AC3(testAC3))},
	}
}

func TestPublisherEnhancedCodecs(t *testing.T) {
	for _, c := range enhancedCodecs(t) {
		t.Run(c.name, func(t *testing.T) {
			f := newFeeder(t)
			send, frame := f.video, c.start[:0]+"\x93"+c.start[1:]
			if c.kind == sluice.Audio {
				send, frame = f.audio, c.start[:0]+"\x91"+c.start[1:]
			}
			send(t, 0, []byte(c.start), c.config)
			send(t, 40, []byte(frame), c.key)
			send(t, 80, []byte(frame), c.p)
			key := nextMedia(t, f)
			assert.Equal(t, c.track.Config, key.Track.Config)
			assert.Equal(t, c.track.Width, key.Track.Width)
			assert.EqualValues(t, 1000, key.Track.Timescale)
			assert.Equal(t, sluice.Packet{Track: key.Track, DTS: 40, PTS: 40, Key: true, Data: c.key}, key)
			p := f.next(t)
			assert.Equal(t, sluice.Packet{Track: key.Track, DTS: 80, PTS: 80, Key: c.kind == sluice.Audio, Data: c.p}, p)
			require.Len(t, f.Tracks(), 1)

			// The same configuration again is no news.
			send(t, 120, []byte(c.start), c.config)
			send(t, 120, []byte(frame), c.p)
			assert.Equal(t, c.p, f.next(t).Data)
			assert.Zero(t, f.Stats().Dropped)
		})
	}
}

// A CRA that pictures lead which need what is before it is no place to start.
func TestPublisherOpenGOP(t *testing.T) {
	f := newFeeder(t)
	f.video(t, 0, []byte("\x90hvc1"), testHVCC(t))
	types := []struct {
		typ byte
		key bool
	}{
		{19, true}, {1, false}, // IDR
		{21, false}, {9, false}, {8, false}, {1, false}, // CRA with RASL pictures
		{21, true}, {1, false}, // CRA without
		{20, true}, {7, false}, // what leads an IDR can be decoded
		{21, true}, {21, true}, {21, true}, // nothing between
	}
	for n, p := range types {
		f.video(t, uint32(n*40), []byte("\x93hvc1"), hevc(p.typ, n))
	}
	require.NoError(t, f.client.Close())
	for n, want := range types {
		p := nextMedia(t, f)
		require.Equal(t, hevc(want.typ, n), p.Data)
		assert.Equal(t, want.key, p.Key, "picture %d of type %d", n, want.typ)
		assert.EqualValues(t, n*40, p.DTS)
	}
}

func TestPublisherMultitrack(t *testing.T) {
	f := newFeeder(t)
	f.video(t, 0, []byte("\x17\x00\x00\x00\x00"), testAVCC(t, 1280))
	f.video(t, 0, []byte("\x96\x00avc1\x02"), testAVCC(t, 640))
	f.video(t, 0, []byte("\x96\x00hvc1\x05"), testHVCC(t))
	f.audio(t, 0, []byte("\x95\x20mp4a\x00\x00\x00\x02\x11\x90Opus\x01\x00\x00\x13"), testHead)
	ids := []uint32{1, 5, 11, 2, 4}
	for _, id := range ids {
		assert.Equal(t, id, f.next(t).Track.ID)
	}
	var got []uint32
	for _, track := range f.Tracks() {
		got = append(got, track.ID)
	}
	assert.Equal(t, []uint32{1, 2, 4, 5, 11}, got)

	f.video(t, 40, []byte("\x17\x01\x00\x00\x28"), sample(true, 1, 9))
	f.video(t, 40, []byte("\x96\x21avc1\x02\x00\x00\x10\x00\x00\x50"), sample(true, 2, 9), []byte("hvc1\x05\x00\x00\x0b\x00\x00\x00"), hevc(20, 1))
	f.audio(t, 41, []byte("\x95\x11Opus\x01\x00\x00\x02\xfc\x01\x01\x00\x00\x02\xfc\x02"))
	for _, want := range []sluice.Packet{
		{DTS: 40, PTS: 80, Key: true, Data: sample(true, 1, 9)},
		{DTS: 40, PTS: 120, Key: true, Data: sample(true, 2, 9)},
		{DTS: 40, PTS: 40, Key: true, Data: hevc(20, 1)},
		{DTS: 41, PTS: 41, Key: true, Data: []byte{0xfc, 1}},
		{DTS: 41, PTS: 41, Key: true, Data: []byte{0xfc, 2}},
	} {
		p := f.next(t)
		want.Track = p.Track
		assert.Equal(t, want, p)
	}
	assert.Zero(t, f.Stats().Dropped)

	for n := range maxTracks {
		f.video(t, 0, []byte("\x96\x00avc1"), []byte{byte(100 + n)}, testAVCC(t, 640))
	}
	for {
		_, err := f.ReadPacket(testContext(t))
		if err != nil {
			require.ErrorIs(t, err, flv.ErrUnsupported)
			require.ErrorContains(t, err, "more than 32 tracks: set the encoder to fewer")
			break
		}
	}
}

// What is written is read back: any codec, and several tracks.
func TestMuxRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var tracks []*sluice.Track
	samples := map[*sluice.Track][2][]byte{}
	add := func(track *sluice.Track, key, p []byte) {
		own := *track
		own.ID = uint32(10 + len(tracks))
		tracks = append(tracks, &own)
		samples[&own] = [2][]byte{p, key}
	}
	add(testVideo(t, 1280), sample(true, 1, 70_000), sample(false, 2, 30))
	for _, c := range enhancedCodecs(t) {
		add(c.track, c.key, c.p)
	}
	add(testAudio(t), []byte{0x21, 1}, []byte{0x21, 2})
	add(testVideo(t, 640), sample(true, 3, 100), sample(false, 4, 30))

	addr, conns := accepted(t, Config{})
	ctx := testContext(t)
	c, err := Dial(ctx, "rtmp://"+addr+"/live/KEY", Config{Multitrack: true})
	require.NoError(t, err)
	defer c.Close()
	published := make(chan error, 1)
	go func() { published <- c.Publish(ctx, time.Unix(1.7e9, 0)) }()
	pub, err := (<-conns).Publish(ctx)
	require.NoError(t, err)
	defer pub.Close()
	require.NoError(t, <-published)

	require.NoError(t, c.Describe(ctx, tracks))
	for n := range 500 {
		track := tracks[r.IntN(len(tracks))]
		i := 1
		if n >= len(tracks)*2 {
			i = r.IntN(2)
		} else {
			track = tracks[n%len(tracks)]
		}
		at := track.Ticks(time.Unix(1.7e9, int64(n)*1e7))
		p := sluice.Packet{Track: track, DTS: at, PTS: at, Key: i == 1 || track.Kind == sluice.Audio, Data: samples[track][i]}
		if codecFor(track).composed {
			p.PTS += int64(track.Timescale/1000) * int64(r.IntN(200)*r.IntN(2))
		}
		require.NoError(t, c.WritePacket(ctx, p))
		got := nextMedia(t, pub)
		require.Equal(t, track.Codec, got.Track.Codec)
		require.Equal(t, track.Config, got.Track.Config)
		require.Equal(t, p.Key, got.Key)
		require.Equal(t, p.Data, got.Data)
		require.EqualValues(t, n*10, got.DTS)
		require.Equal(t, (p.PTS-p.DTS)*1000/int64(track.Timescale), got.PTS-got.DTS)
	}
	assert.Len(t, pub.Tracks(), len(tracks))
	assert.Zero(t, pub.Stats().Dropped)
}

func TestCaps(t *testing.T) {
	entry := func(id string) *codecEntry {
		for i := range codecs {
			if codecs[i].fourCC == id {
				return &codecs[i]
			}
		}
		t.Fatal(id)
		return nil
	}
	for name, c := range map[string]struct {
		says  amf.Object
		takes []string
		not   []string
	}{
		"nothing":   {nil, []string{"avc1", "hvc1", "Opus"}, nil},
		"list":      {amf.Object{{Name: "fourCcList", Value: []any{"hvc1", 1.0}}}, []string{"avc1", "mp4a", "hvc1"}, []string{"av01", "Opus"}},
		"any":       {amf.Object{{Name: "fourCcList", Value: []any{"*"}}}, []string{"vp09", "Opus"}, nil},
		"empty":     {amf.Object{{Name: "fourCcList", Value: []any{}}}, []string{"avc1", ".mp3"}, []string{"hvc1"}},
		"maps":      {amf.Object{{Name: "videoFourCcInfoMap", Value: amf.Object{{Name: "*", Value: 4.0}}}, {Name: "audioFourCcInfoMap", Value: amf.ECMA{{Name: "Opus", Value: 3.0}, {Name: "ac-3", Value: 2.0}}}}, []string{"hvc1", "vp08", "Opus", "mp4a"}, []string{"ac-3"}},
		"only caps": {amf.Object{{Name: "capsEx", Value: 3.0}}, []string{"hvc1"}, nil},
	} {
		var got caps
		got.read(c.says)
		for _, id := range c.takes {
			assert.True(t, got.takes(entry(id)), "%s: %s", name, id)
		}
		for _, id := range c.not {
			assert.False(t, got.takes(entry(id)), "%s: %s", name, id)
		}
	}
}

// playSaying is a player that says what it takes.
func (s *site) playSaying(t *testing.T, o amf.Object) (*Publisher, error) {
	ctx := testContext(t)
	c, err := Dial(ctx, "rtmp://"+s.addr+"/play/demo", Config{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	// The last connect counts.
	require.NoError(t, c.write(call("connect", c.nextTx(), append(amf.Object{{Name: "app", Value: "play"}, {Name: "tcUrl", Value: c.tcURL}}, o...))))
	require.NoError(t, c.within(ctx, func() error { _, err := c.await(c.tx); return err }))
	return c.Play(ctx)
}

var onlyHEVC = amf.Object{{Name: "fourCcList", Value: []any{"hvc1"}}}

func TestFanoutRefusesPlayerWithoutTheCodec(t *testing.T) {
	s := newSite(t, FanoutConfig{})
	av1 := enhancedCodecs(t)[1]
	write := func(track *sluice.Track, second int64, data []byte) {
		own := *track
		own.ID = VideoID
		at := own.Ticks(time.Unix(second, 0))
		s.write(t, sluice.Packet{Track: &own, DTS: at, PTS: at, Dur: 3600, Key: true, Data: data})
	}
	write(av1.track, 1000, av1.key)
	_, err := s.playSaying(t, onlyHEVC)
	var status *StatusError
	require.ErrorAs(t, err, &status)
	assert.Equal(t, "NetStream.Play.Failed", status.Code)
	assert.Contains(t, status.Description, `AV1 video is not among the codecs that the other side lists when connecting ("av01")`)
	require.ErrorIs(t, <-s.served, ErrCodec)

	silent := s.play(t)
	assert.Equal(t, av1.key, nextMedia(t, silent).Data)
	assert.Equal(t, sluice.AV01, silent.Tracks()[0].Codec)
}

// The stream becomes one of a codec that one of its players does not take.
func TestFanoutTellsPlayerThatTheCodecIsAnother(t *testing.T) {
	s := newSite(t, FanoutConfig{})
	list := enhancedCodecs(t)
	write := func(c enhancedCodec, second int64) {
		own := *c.track
		own.ID = VideoID
		at := own.Ticks(time.Unix(second, 0))
		s.write(t, sluice.Packet{Track: &own, DTS: at, PTS: at, Dur: 3600, Key: true, Data: c.key})
	}
	write(list[0], 1000)
	p, err := s.playSaying(t, onlyHEVC)
	require.NoError(t, err)
	other := s.play(t)
	assert.Equal(t, list[0].key, nextMedia(t, p).Data)
	assert.Equal(t, list[0].key, nextMedia(t, other).Data)
	write(list[1], 1001)
	write(list[1], 1002)
	_, err = p.ReadPacket(testContext(t))
	require.Error(t, err)
	require.ErrorIs(t, <-s.served, ErrCodec)
	assert.Equal(t, list[1].key, nextMedia(t, other).Data, "the others go on")
}

// Where there is a rendition that every player takes it goes out.
func TestFanoutPrefersWhatEveryPlayerTakes(t *testing.T) {
	av1, opus := *enhancedCodecs(t)[1].track, *enhancedCodecs(t)[4].track
	av1.ID, opus.ID, av1.Width, av1.Height = 7, 8, 3840, 2160
	small, aac := testVideo(t, 640), testAudio(t)
	assert.Equal(t, []*sluice.Track{small, aac}, chosen([]*sluice.Track{&av1, &opus, small, aac}))
	assert.Equal(t, []*sluice.Track{&av1, &opus}, chosen([]*sluice.Track{&av1, &opus}))
}

func TestClientTellsThatServerLacksTheCodec(t *testing.T) {
	c := &Client{conn: newConn(nopConn{}, Config{})}
	c.caps.read(onlyHEVC)
	av1 := enhancedCodecs(t)[1]
	err := c.WritePacket(testContext(t), sluice.Packet{Track: av1.track, Key: true, Data: av1.key})
	require.ErrorIs(t, err, ErrCodec)
	require.ErrorContains(t, err, "AV1 video is not among the codecs")
}
