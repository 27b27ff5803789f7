package codec

import (
	"bytes"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// entryOf returns the first sample entry that ffmpeg writes for a coding.
func entryOf(t testing.TB, args ...string) []byte {
	t.Helper()
	b := ffmpeg(t, "x.mp4", append(args, "-t", "0.3", "-strict", "-2")...)
	f, err := mp4.DecodeFile(bytes.NewReader(b))
	require.NoError(t, err)
	var entry bytes.Buffer
	require.NoError(t, f.Moov.Trak.Mdia.Minf.Stbl.Stsd.Children[0].Encode(&entry))
	return entry.Bytes()
}

func track(entry []byte) *sluice.Track {
	t := &sluice.Track{Config: entry}
	copy(t.Codec[:], entry[4:])
	return t
}

var (
	aPicture = []string{"-f", "lavfi", "-i", "testsrc2=s=320x180:r=25", "-pix_fmt", "yuv420p"}
	aSound   = []string{"-f", "lavfi", "-i", "sine=r=48000", "-ac", "2"}
)

func with(base []string, args ...string) []string { return append(base[:len(base):len(base)], args...) }

// What others write into MP4 names the decoder, and our own entries say the same.
func TestForeignEntries(t *testing.T) {
	for _, c := range []struct {
		args          []string
		decoder, mime string
	}{
		{with(aPicture, "-c:v", "libx264"), "h264", "avc1.64000c"},
		{with(aPicture, "-c:v", "libx265", "-tag:v", "hvc1"), "hevc", "hvc1.1.6.L60.90"},
		{with(aPicture, "-c:v", "libsvtav1", "-preset", "12"), "av1", "av01.0.00M.08"},
		{with(aPicture, "-c:v", "libvpx-vp9"), "vp9", "vp09.00.11.08"},
		{with(aPicture, "-c:v", "mpeg2video"), "mpeg2video", "mp4v.61"},
		{with(aPicture, "-c:v", "mpeg4"), "mpeg4", "mp4v.20"},
		{with(aSound, "-c:a", "aac"), "aac", "mp4a.40.2"},
		{with(aSound, "-c:a", "libopus"), "opus", "opus"},
		{with(aSound, "-c:a", "ac3"), "ac3", "ac-3"},
		{with(aSound, "-c:a", "libmp3lame"), "mp3", "mp4a.6B"},
		{with(aSound, "-c:a", "mp2"), "mp3", "mp4a.6B"},
	} {
		tr := track(entryOf(t, c.args...))
		name, _, err := Decoder(tr)
		require.NoError(t, err, c.mime)
		assert.Equal(t, c.decoder, name, c.mime)
		mime, err := RFC6381(tr)
		require.NoError(t, err)
		assert.Equal(t, c.mime, mime)
		_, err = Native(tr)
		if c.mime != "mp4a.6B" {
			require.NoError(t, err, c.mime)
		}
	}
}

func TestHEVC(t *testing.T) {
	stream := ffmpeg(t, "x.hevc", with(aPicture, "-c:v", "libx265", "-t", "0.3", "-x265-params", "log-level=none")...)
	vps, sps, pps := HEVCParameterSets(stream)
	record, err := HEVCRecord(vps, sps, pps)
	require.NoError(t, err)
	tr, err := HEVC(record)
	require.NoError(t, err)
	assert.Equal(t, [3]int64{320, 180, 3600}, [3]int64{int64(tr.Width), int64(tr.Height), tr.FrameDur})
	b, err := mp4.DecodeBox(0, bytes.NewReader(tr.Config))
	require.NoError(t, err)
	theirs := b.(*mp4.VisualSampleEntryBox).HvcC
	require.NotNil(t, theirs)
	assert.EqualValues(t, 1, theirs.GeneralProfileIDC)
	assert.EqualValues(t, 1, theirs.ChromaFormatIDC)
	num, den := FrameRate(tr)
	assert.Equal(t, [2]int64{25, 1}, [2]int64{num, den})
	mime, err := RFC6381(tr)
	require.NoError(t, err)
	assert.Equal(t, "hvc1.1.6.L60.90", mime)
	_, err = HEVCRecord(nil, sps, pps)
	require.ErrorIs(t, err, ErrInvalid)
	_, err = HEVCRecord(vps, nil, pps)
	require.ErrorIs(t, err, ErrInvalid)
}

// The record that ffmpeg writes is the one we build of its sequence header.
func TestAV1(t *testing.T) {
	entry := entryOf(t, with(aPicture, "-c:v", "libsvtav1", "-preset", "12")...)
	_, theirs, err := Decoder(track(entry))
	require.NoError(t, err)
	tr, err := AV1(theirs[4:])
	require.NoError(t, err)
	_, ours, err := Decoder(tr)
	require.NoError(t, err)
	assert.Equal(t, theirs, ours)
	assert.Equal(t, [2]int{320, 180}, [2]int{tr.Width, tr.Height})

	unit := append([]byte{0x12, 0}, theirs[4:]...) // a delimiter in front
	sample, err := AV1Sample(unit)
	require.NoError(t, err)
	assert.Equal(t, theirs[4:], sample)
	_, err = AV1Sample([]byte{0x12, 0})
	require.ErrorIs(t, err, ErrInvalid)
	_, err = AV1([]byte{0x12, 0})
	require.ErrorIs(t, err, ErrInvalid)
}

func TestOpus(t *testing.T) {
	tr, err := Opus(OpusHead{Channels: 2, PreSkip: 312, InputRate: 44100})
	require.NoError(t, err)
	head, err := OpusConfig(tr)
	require.NoError(t, err)
	assert.Equal(t, []byte("OpusHead\x01\x02\x38\x01\x44\xac\x00\x00\x00\x00\x00"), head)
	b, err := mp4.DecodeBox(0, bytes.NewReader(tr.Config))
	require.NoError(t, err)
	dops := b.(*mp4.AudioSampleEntryBox).Dops
	require.NotNil(t, dops)
	assert.EqualValues(t, 312, dops.PreSkip)
	assert.EqualValues(t, 44100, dops.InputSampleRate)
	_, private, err := Decoder(tr)
	require.NoError(t, err)
	assert.Equal(t, []byte{0, 0}, private[10:12], "its time counts")
	_, err = Opus(OpusHead{Channels: 6})
	require.ErrorIs(t, err, ErrUnsupported)
}

func TestAC3(t *testing.T) {
	for _, c := range []struct {
		channels, rate string
		want           [2]int
	}{{"2", "48000", [2]int{2, 48000}}, {"1", "44100", [2]int{1, 44100}}, {"6", "32000", [2]int{6, 32000}}} {
		args := []string{"-f", "lavfi", "-i", "sine=r=" + c.rate, "-ac", c.channels, "-c:a", "ac3"}
		tr, err := AC3(ffmpeg(t, "x.ac3", append(args, "-t", "0.1")...))
		require.NoError(t, err)
		assert.Equal(t, c.want, [2]int{tr.Channels, tr.SampleRate})
		theirs, err := child(entryOf(t, args...), audioEntry, "dac3")
		require.NoError(t, err)
		ours, err := child(tr.Config, audioEntry, "dac3")
		require.NoError(t, err)
		assert.Equal(t, theirs, ours)
		ts, frame, err := ac3Timing(tr.Config)
		require.NoError(t, err)
		assert.EqualValues(t, c.want[1], ts)
		assert.EqualValues(t, 1536, frame)
	}
}

func TestMPEG2(t *testing.T) {
	tr, err := MPEG2(ffmpeg(t, "x.m2v", with(aPicture, "-c:v", "mpeg2video", "-t", "0.1")...))
	require.NoError(t, err)
	assert.Equal(t, [2]int{320, 180}, [2]int{tr.Width, tr.Height})
	name, _, err := Decoder(tr)
	require.NoError(t, err)
	assert.Equal(t, "mpeg2video", name)
	_, err = MPEG2([]byte{0, 0, 1, 0xb3, 0, 0, 0, 0})
	require.ErrorIs(t, err, ErrInvalid)
}

func TestVP(t *testing.T) {
	for codec, want := range map[sluice.FourCC][2]string{sluice.VP08: {"vp8", "vp08.00.10.08"}, sluice.VP09: {"vp9", "vp09.02.10.10"}} {
		profile, depth := 0, 8
		if codec == sluice.VP09 {
			profile, depth = 2, 10
		}
		tr, err := VP(codec, profile, depth, 640, 360)
		require.NoError(t, err)
		name, private, err := Decoder(tr)
		require.NoError(t, err)
		assert.Equal(t, want[0], name)
		assert.Empty(t, private)
		mime, err := RFC6381(tr)
		require.NoError(t, err)
		assert.Equal(t, want[1], mime)
	}
	_, err := VP(sluice.AVC1, 0, 8, 640, 360)
	require.ErrorIs(t, err, ErrInvalid)
	_, err = VP(sluice.VP09, 0, 8, 0, 360)
	require.ErrorIs(t, err, ErrInvalid)
}

// FuzzDecoder asks everything of sample entries from outside.
func FuzzDecoder(f *testing.F) {
	hevc := []byte("\x00\x00\x00\x76hvc1")
	f.Add(append(append(hevc, make([]byte, 78)...), "\x00\x00\x00\x20hvcC\x01\x01\x60\x00\x00\x00\x90\x00\x00\x00\x00\x00\x3c\xf0\x00\xfc\xfd\xf8\xf8\x00\x00\x0f\x00"...))
	for _, make := range []func() (*sluice.Track, error){
		func() (*sluice.Track, error) { return Opus(OpusHead{Channels: 2}) },
		func() (*sluice.Track, error) { return VP(sluice.VP09, 0, 8, 16, 16) },
		func() (*sluice.Track, error) { return MPEG2([]byte{0, 0, 1, 0xb3, 1, 0, 1, 0}) },
		func() (*sluice.Track, error) { return AC3([]byte{0x0b, 0x77, 0, 0, 0x14, 0x40, 0x40, 0}) },
		func() (*sluice.Track, error) { return AAC([]byte{0x11, 0x90}) },
	} {
		t, err := make()
		require.NoError(f, err)
		f.Add(t.Config)
	}
	f.Fuzz(func(t *testing.T, entry []byte) {
		if len(entry) < 8 {
			return
		}
		tr := track(entry)
		_, _, err := Decoder(tr)
		require.True(t, err == nil || isOurs(err), "%v", err)
		_, err = RFC6381(tr)
		require.True(t, err == nil || isOurs(err), "%v", err)
		_, err = Native(tr)
		require.True(t, err == nil || isOurs(err), "%v", err)
		FrameRate(tr)
	})
}

// FuzzPrivate builds tracks of what encoders and publishers send.
func FuzzPrivate(f *testing.F) {
	f.Add([]byte("\x01\x01\x60\x00\x00\x00\x90\x00\x00\x00\x00\x00\x3c\xf0\x00\xfc\xfd\xf8\xf8\x00\x00\x0f\x00"))
	f.Add([]byte("\x0a\x0b\x00\x00\x00\x02\xaf\xff\x9b\x5f\x30\x08\x10"))
	f.Add([]byte("\x12\x00\x0a\x0b\x00\x00\x00\x02\xaf\xff\x9b\x5f\x30\x08\x10"))
	f.Add([]byte{0x0b, 0x77, 0, 0, 0x14, 0x40, 0x40, 0})
	f.Add([]byte{0, 0, 1, 0xb3, 1, 0, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, make := range []func([]byte) (*sluice.Track, error){HEVC, AV1, AC3, MPEG2,
			func(b []byte) (*sluice.Track, error) {
				record, err := HEVCRecord(HEVCParameterSets(b))
				if err != nil {
					return nil, err
				}
				return HEVC(record)
			}} {
			tr, err := make(b)
			if err != nil {
				require.True(t, isOurs(err), "%v", err)
				continue
			}
			_, _, err = Decoder(tr)
			require.NoError(t, err)
			_, err = RFC6381(tr)
			require.NoError(t, err)
		}
		if s, err := AV1Sample(b); err == nil {
			again, err := AV1Sample(s)
			require.NoError(t, err)
			require.Equal(t, s, again)
		}
	})
}
