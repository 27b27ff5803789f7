package flv_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/rtmp/flv"
)

func Example() {
	b := append(flv.AppendAVC(nil, flv.Frame, true, -40), "NAL units"...)
	tags, err := flv.ParseVideo(nil, b)
	t := tags[0]
	fmt.Println(t.ID, t.Key, t.CTS, string(t.Data), err)
	// Output: 7 true -40 NAL units <nil>
}

func TestParseVideo(t *testing.T) {
	avc := [4]byte{'a', 'v', 'c', '1'}
	for name, c := range map[string]struct {
		in   string
		want flv.Tag
	}{
		"AVC config":                {"\x17\x00\x00\x00\x00C", flv.Tag{ID: 7, Kind: flv.Config, Key: true, Data: []byte("C")}},
		"AVC inter, positive CTS":   {"\x27\x01\x00\x00\x50D", flv.Tag{ID: 7, CTS: 80, Data: []byte("D")}},
		"AVC inter, negative CTS":   {"\x27\x01\xff\xff\xffD", flv.Tag{ID: 7, CTS: -1, Data: []byte("D")}},
		"AVC end":                   {"\x17\x02\x00\x00\x00", flv.Tag{ID: 7, Kind: flv.Other, Key: true, Data: []byte{}}},
		"seek command":              {"\x57\x00", flv.Tag{ID: 7, Kind: flv.Other, Data: []byte{0}}},
		"Sorenson":                  {"\x12xyz", flv.Tag{ID: 2, Key: true, Data: []byte("xyz")}},
		"ex config":                 {"\x90avc1C", flv.Tag{FourCC: avc, Kind: flv.Config, Key: true, Data: []byte("C")}},
		"ex frame with CTS":         {"\xa1avc1\x00\x00\x21D", flv.Tag{FourCC: avc, Composed: true, Data: []byte("\x00\x00\x21D")}},
		"ex frame without CTS":      {"\x93avc1D", flv.Tag{FourCC: avc, Key: true, Data: []byte("D")}},
		"ex frame of AV1":           {"\x91av01D", flv.Tag{FourCC: [4]byte{'a', 'v', '0', '1'}, Key: true, Composed: true, Data: []byte("D")}},
		"ex metadata":               {"\xd4avc1M", flv.Tag{FourCC: avc, Kind: flv.Other, Data: []byte("M")}},
		"ex command":                {"\xd1\x00", flv.Tag{Kind: flv.Other}},
		"ex with nanosecond offset": {"\x97\x02\x01\x02\x03\x03avc1D", flv.Tag{FourCC: avc, Key: true, Data: []byte("D")}},
	} {
		got, err := flv.ParseVideo(nil, []byte(c.in))
		require.NoError(t, err, name)
		assert.Equal(t, []flv.Tag{c.want}, got, name)
	}
}

func TestParseAudio(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want flv.Tag
	}{
		"AAC config": {"\xaf\x00C", flv.Tag{ID: 10, Kind: flv.Config, Data: []byte("C")}},
		"AAC frame":  {"\xaf\x01D", flv.Tag{ID: 10, Data: []byte("D")}},
		"MP3":        {"\x2fD", flv.Tag{ID: 2, Data: []byte("D")}},
		"ex config":  {"\x90mp4aC", flv.Tag{FourCC: [4]byte{'m', 'p', '4', 'a'}, Kind: flv.Config, Data: []byte("C")}},
		"ex frame":   {"\x91OpusD", flv.Tag{FourCC: [4]byte{'O', 'p', 'u', 's'}, Data: []byte("D")}},
		"ex layout":  {"\x94Opusxx", flv.Tag{FourCC: [4]byte{'O', 'p', 'u', 's'}, Kind: flv.Other, Data: []byte("xx")}},
	} {
		got, err := flv.ParseAudio(nil, []byte(c.in))
		require.NoError(t, err, name)
		assert.Equal(t, []flv.Tag{c.want}, got, name)
	}
}

func TestParseRefuses(t *testing.T) {
	for in, want := range map[string]error{
		"": flv.ErrTruncated, "\x17": flv.ErrTruncated, "\x17\x01\x00\x00": flv.ErrTruncated,
		"\x90avc": flv.ErrTruncated,
		"\x97":    flv.ErrTruncated, "\x97\xff\xff": flv.ErrTruncated, "\x97\xff\xff\xffx": flv.ErrTruncated,
		"\x96": flv.ErrTruncated, "\x96\x00avc1": flv.ErrTruncated, "\x96\x11avc1\x01\x00\x00": flv.ErrTruncated,
		"\x96\x11avc1\x01\x00\x00\x02D": flv.ErrTruncated, "\x96\x21avc": flv.ErrTruncated,
		"\x96\x31avc1\x00D": flv.ErrUnsupported, "\x96\x06avc1\x00D": flv.ErrUnsupported, "\x96\x07avc1\x00D": flv.ErrUnsupported,
		"\x95av01D": flv.ErrUnsupported,
		"\x96\x11avc1" + strings.Repeat("\x01\x00\x00\x00", 257): flv.ErrUnsupported,
	} {
		_, err := flv.ParseVideo(nil, []byte(in))
		assert.ErrorIs(t, err, want, "video %q", in)
	}
	for in, want := range map[string]error{
		"": flv.ErrTruncated, "\xaf": flv.ErrTruncated, "\x90mp4": flv.ErrTruncated, "\x95\x00mp4a": flv.ErrTruncated,
	} {
		_, err := flv.ParseAudio(nil, []byte(in))
		assert.ErrorIs(t, err, want, "audio %q", in)
	}
}

func TestParseTracks(t *testing.T) {
	avc, hevc := [4]byte{'a', 'v', 'c', '1'}, [4]byte{'h', 'v', 'c', '1'}
	for name, c := range map[string]struct {
		in   string
		want []flv.Tag
	}{
		"one":          {"\x96\x00avc1\x03CC", []flv.Tag{{FourCC: avc, Track: 3, Kind: flv.Config, Key: true, Data: []byte("CC")}}},
		"one, its end": {"\x96\x02avc1\x03", []flv.Tag{{FourCC: avc, Track: 3, Kind: flv.Other, Key: true, Data: []byte{}}}},
		"many": {"\xa6\x13avc1\x00\x00\x00\x01D\x05\x00\x00\x02EE", []flv.Tag{
			{FourCC: avc, Data: []byte("D")}, {FourCC: avc, Track: 5, Data: []byte("EE")},
		}},
		"many codecs": {"\x97\x02\x00\x00\x01\x06\x21avc1\x00\x00\x00\x04\x00\x00\x07Dhvc1\x01\x00\x00\x00", []flv.Tag{
			{FourCC: avc, Key: true, Composed: true, Data: []byte("\x00\x00\x07D")},
			{FourCC: hevc, Track: 1, Key: true, Composed: true, Data: []byte{}},
		}},
	} {
		got, err := flv.ParseVideo(nil, []byte(c.in))
		require.NoError(t, err, name)
		assert.Equal(t, c.want, got, name)
	}
	got, err := flv.ParseAudio(nil, []byte("\x95\x11Opus\x01\x00\x00\x01D\x02\x00\x00\x09"))
	require.ErrorIs(t, err, flv.ErrTruncated)
	assert.Len(t, got, 1, "what came before the damage is there")
}

func TestTakeCTS(t *testing.T) {
	tag := flv.Tag{Composed: true, Data: []byte("\xff\xff\xfeD")}
	require.NoError(t, tag.TakeCTS())
	assert.Equal(t, flv.Tag{CTS: -2, Data: []byte("D")}, tag)
	require.NoError(t, tag.TakeCTS(), "there is none any more")
	assert.Equal(t, flv.Tag{CTS: -2, Data: []byte("D")}, tag)
	tag = flv.Tag{Composed: true, Data: []byte("\xff\xff")}
	require.ErrorIs(t, tag.TakeCTS(), flv.ErrTruncated)
}

// What is written in the extended form is read back.
func TestAppendEnhanced(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		want := flv.Tag{
			FourCC: [4]byte{'h', 'v', 'c', byte(r.IntN(256))}, Track: uint8(r.IntN(256) * r.IntN(2)),
			Kind: flv.Kind(r.IntN(2)), Data: make([]byte, r.IntN(10)),
		}
		audio := want
		want.Key = want.Kind == flv.Config || r.IntN(2) == 0
		composed := r.IntN(2) == 0
		if composed && want.Kind == flv.Frame {
			want.CTS = int32(r.IntN(1<<24)-1<<23) * int32(r.IntN(2))
		}
		got, err := flv.ParseVideo(nil, append(flv.AppendVideo(nil, want, composed), want.Data...))
		require.NoError(t, err)
		require.Len(t, got, 1)
		if composed {
			require.NoError(t, got[0].TakeCTS())
		}
		got[0].Composed = false
		require.Equal(t, want, got[0])
		got, err = flv.ParseAudio(nil, append(flv.AppendAudio(nil, audio), audio.Data...))
		require.NoError(t, err)
		require.Equal(t, []flv.Tag{audio}, got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"\x17\x00\x00\x00\x00C", "\xaf\x01D", "\x2fD", "\x97\x02\x01\x02\x03\x03avc1D", "\x91mp4a", "\x97\xff\x00\x00\x00",
		"\x91hvc1\x00\x00\x07D", "\x95av01", "\x96\x00avc1\x03C", "\xa6\x13avc1\x00\x00\x00\x01D\x05\x00\x00\x02EE",
		"\x96\x21avc1\x00\x00\x00\x04\x00\x00\x07Dhvc1\x01\x00\x00\x00", "\x95\x11Opus\x01\x00\x00\x01D\x02\x00\x00\x09",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(parse func([]flv.Tag, []byte) ([]flv.Tag, error), write func(flv.Tag) []byte) {
			tags, err := parse(nil, b)
			if err != nil {
				require.True(t, errors.Is(err, flv.ErrTruncated) || errors.Is(err, flv.ErrUnsupported))
			}
			size := 0
			for _, tag := range tags {
				size += len(tag.Data)
				head := write(tag)
				if head == nil {
					continue
				}
				again, err := parse(nil, append(head, tag.Data...))
				require.NoError(t, err)
				require.Len(t, again, 1)
				tag.Key = again[0].Key // a configuration is written as a key frame
				require.Equal(t, tag, again[0])
			}
			require.Less(t, size, len(b)+1)
		}
		check(flv.ParseVideo, func(tag flv.Tag) []byte {
			switch {
			case tag.Kind == flv.Other:
				return nil
			case tag.ID == flv.VideoAVC:
				return flv.AppendAVC(nil, tag.Kind, tag.Key, tag.CTS)
			case tag.FourCC == [4]byte{}:
				return nil
			}
			// A frame with its offset still in the data goes out as one without.
			head := flv.AppendVideo(nil, tag, !tag.Composed && tag.Kind == flv.Frame)
			return head
		})
		check(flv.ParseAudio, func(tag flv.Tag) []byte {
			switch {
			case tag.Kind == flv.Other:
				return nil
			case tag.ID == flv.AudioAAC:
				return flv.AppendAAC(nil, tag.Kind)
			case tag.FourCC == [4]byte{}:
				return nil
			}
			return flv.AppendAudio(nil, tag)
		})
	})
}
