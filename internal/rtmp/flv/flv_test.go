package flv_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/rtmp/flv"
)

func Example() {
	b := append(flv.AppendAVC(nil, flv.Frame, true, -40), "NAL units"...)
	t, err := flv.ParseVideo(b)
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
		"ex frame with CTS":         {"\xa1avc1\x00\x00\x21D", flv.Tag{FourCC: avc, CTS: 33, Data: []byte("D")}},
		"ex frame without CTS":      {"\x93avc1D", flv.Tag{FourCC: avc, Key: true, Data: []byte("D")}},
		"ex frame of AV1":           {"\x91av01D", flv.Tag{FourCC: [4]byte{'a', 'v', '0', '1'}, Key: true, Data: []byte("D")}},
		"ex metadata":               {"\xd4avc1M", flv.Tag{FourCC: avc, Kind: flv.Other, Data: []byte("M")}},
		"ex command":                {"\xd1\x00", flv.Tag{Kind: flv.Other}},
		"ex with nanosecond offset": {"\x97\x02\x01\x02\x03\x03avc1D", flv.Tag{FourCC: avc, Key: true, Data: []byte("D")}},
	} {
		got, err := flv.ParseVideo([]byte(c.in))
		require.NoError(t, err, name)
		assert.Equal(t, c.want, got, name)
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
		got, err := flv.ParseAudio([]byte(c.in))
		require.NoError(t, err, name)
		assert.Equal(t, c.want, got, name)
	}
}

func TestParseRefuses(t *testing.T) {
	for in, want := range map[string]error{
		"": flv.ErrTruncated, "\x17": flv.ErrTruncated, "\x17\x01\x00\x00": flv.ErrTruncated,
		"\x90avc": flv.ErrTruncated, "\x91avc1\x00\x00": flv.ErrTruncated,
		"\x97": flv.ErrTruncated, "\x97\xff\xff": flv.ErrTruncated, "\x97\xff\xff\xffx": flv.ErrTruncated,
		"\x96\x00avc1": flv.ErrUnsupported,
	} {
		_, err := flv.ParseVideo([]byte(in))
		assert.ErrorIs(t, err, want, "video %q", in)
	}
	for in, want := range map[string]error{
		"": flv.ErrTruncated, "\xaf": flv.ErrTruncated, "\x90mp4": flv.ErrTruncated, "\x95\x00mp4a": flv.ErrUnsupported,
	} {
		_, err := flv.ParseAudio([]byte(in))
		assert.ErrorIs(t, err, want, "audio %q", in)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"\x17\x00\x00\x00\x00C", "\xaf\x01D", "\x2fD", "\x97\x02\x01\x02\x03\x03avc1D", "\x91mp4a", "\x97\xff\x00\x00\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := flv.ParseVideo(b); err == nil && v.ID == flv.VideoAVC && v.Kind != flv.Other {
			again, err := flv.ParseVideo(append(flv.AppendAVC(nil, v.Kind, v.Key, v.CTS), v.Data...))
			require.NoError(t, err)
			v.Key = again.Key // a configuration is written as a key frame
			require.Equal(t, v, again)
		}
		if a, err := flv.ParseAudio(b); err == nil && a.ID == flv.AudioAAC && a.Kind != flv.Other {
			again, err := flv.ParseAudio(append(flv.AppendAAC(nil, a.Kind), a.Data...))
			require.NoError(t, err)
			require.Equal(t, a, again)
		}
	})
}
