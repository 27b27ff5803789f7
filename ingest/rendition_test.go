package ingest

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

// sized returns a video track.
func sized(id uint32, height, bandwidth int) *sluice.Track {
	t := *sluicetest.Video(id)
	t.Width, t.Height, t.Bandwidth = height*16/9, height, bandwidth
	return &t
}

func coded(id uint32, codec sluice.FourCC, bandwidth int) *sluice.Track {
	t := *sluicetest.Audio(id)
	t.Codec, t.Bandwidth = codec, bandwidth
	return &t
}

// selected returns the tracks that go out, in order, with the time of each.
func selected(t *testing.T, r Rendition, packets []sluice.Packet) (heights, codecs []string, times map[string][]time.Time, err error) {
	s := newSelection(&sluicetest.Slice{Packets: packets}, r, legacyRTMP)
	var last [3]*sluice.Track
	times = make(map[string][]time.Time)
	newest := make(map[uint32]int64)
	for {
		p, err := s.ReadPacket(t.Context())
		if err != nil {
			return heights, codecs, times, err
		}
		require.Contains(t, s.Tracks(), p.Track)
		if p.Data == nil {
			continue
		}
		assert.Greater(t, p.DTS, newest[p.Track.ID], "time never goes back")
		newest[p.Track.ID] = p.DTS
		if p.Track != last[p.Track.ID] {
			if last[p.Track.ID] = p.Track; p.Track.Kind == sluice.Video {
				assert.EqualValues(t, pickedVideo, p.Track.ID)
				assert.True(t, p.Key)
				heights = append(heights, itoa(p.Track.Height))
			} else {
				assert.EqualValues(t, pickedAudio, p.Track.ID)
				codecs = append(codecs, p.Track.Codec.String()+itoa(p.Track.Bandwidth))
			}
		}
		times[p.Track.Kind.String()] = append(times[p.Track.Kind.String()], p.Track.Time(p.DTS))
	}
}

var legacyRTMP = codecs{video: []sluice.FourCC{sluice.AVC1}, audio: []sluice.FourCC{sluice.MP4A, sluice.MP3}}

func itoa(n int) string { return string(rune('0'+n/1000%10)) + string(rune('0'+n/100%10)) }

func TestRenditionChoice(t *testing.T) {
	ladder := []*sluice.Track{
		sized(103, 300, 700), sized(101, 1000, 5000), sized(102, 700, 2800),
		coded(2, sluice.Opus, 900), coded(4, sluice.MP3, 900), coded(5, sluice.MP4A, 100), coded(6, sluice.MP4A, 300),
	}
	hevc := *sized(104, 2000, 9000)
	hevc.Codec = sluice.HVC1
	packets := sluicetest.Packets(8, append(ladder, &hevc)...)
	for _, c := range []struct {
		r             Rendition
		height, codec string
	}{
		{Rendition{}, "10", "mp4a03"},
		{Rendition{Height: 720}, "07", "mp4a03"},
		{Rendition{Bitrate: 1000}, "03", "mp4a03"},
		{Rendition{Height: 100}, "03", "mp4a03"},
		{Rendition{Video: 102, Audio: 5}, "07", "mp4a01"},
		{Rendition{Height: 200, Video: 101}, "10", "mp4a03"},
	} {
		heights, codecs, times, err := selected(t, c.r, packets)
		require.Equal(t, io.EOF, err)
		assert.Equal(t, []string{c.height}, heights, "%+v", c.r)
		assert.Equal(t, []string{c.codec}, codecs, "%+v", c.r)
		assert.Len(t, times["video"], 200)
	}
	for _, r := range []Rendition{{Video: 7}, {Video: 104}, {Audio: 2}} {
		_, _, _, err := selected(t, r, packets)
		require.ErrorIs(t, err, errCodec, "%+v", r)
	}
}

// A rendition that ends is followed by the next best one at its key frame, and
// one that comes back by itself.
func TestRenditionFallsBack(t *testing.T) {
	packets := sluicetest.Packets(20, sized(1, 1000, 0), sized(2, 700, 0), sluicetest.Audio(3))
	var cut []sluice.Packet
	begin := packets[0].Track.Time(packets[0].DTS)
	for _, p := range packets {
		at := p.Track.Time(p.DTS).Sub(begin)
		if p.Track.ID == 1 && at > 5*time.Second && at < 12*time.Second {
			continue
		}
		cut = append(cut, p)
	}
	heights, codecs, times, err := selected(t, Rendition{}, cut)
	require.Equal(t, io.EOF, err)
	assert.Equal(t, []string{"10", "07", "10"}, heights)
	assert.Len(t, codecs, 1)
	worst := time.Duration(0)
	for i, at := range times["video"][1:] {
		worst = max(worst, at.Sub(times["video"][i]))
	}
	assert.Less(t, worst, lost+2*time.Second)
}

// What a selection says of its tracks is known before anything is sent.
func TestRenditionSettles(t *testing.T) {
	for name, c := range map[string]struct {
		tracks []*sluice.Track
		want   int
		err    error
	}{
		"both":           {[]*sluice.Track{sluicetest.Video(1), sluicetest.Audio(2)}, 2, nil},
		"picture":        {[]*sluice.Track{sluicetest.Video(1)}, 1, nil},
		"sound":          {[]*sluice.Track{sluicetest.Audio(1)}, 1, nil},
		"unusable sound": {[]*sluice.Track{sluicetest.Video(1), coded(2, sluice.Opus, 0)}, 0, errCodec},
		"two sounds":     {[]*sluice.Track{coded(3, sluice.Opus, 0), sluicetest.Video(1), coded(2, sluice.MP4A, 0)}, 2, nil},
		"nothing":        {[]*sluice.Track{coded(3, sluice.Opus, 0)}, 0, errCodec},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSelection(&sluicetest.Slice{Packets: sluicetest.Packets(6, c.tracks...)}, Rendition{}, legacyRTMP)
			err := s.settle(t.Context())
			if c.err != nil {
				require.ErrorIs(t, err, c.err)
				return
			}
			require.NoError(t, err)
			assert.Len(t, s.Tracks(), c.want)
		})
	}
	s := newSelection(&sluicetest.Slice{Packets: sluicetest.Packets(6, sluicetest.Video(1))}, Rendition{}, legacyRTMP)
	s.kinds[1].due = true
	require.ErrorContains(t, s.settle(t.Context()), "makes no audio")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s = newSelection(&sluicetest.Slice{Block: true}, Rendition{}, legacyRTMP)
	require.ErrorIs(t, s.settle(ctx), context.Canceled)
}

// Of renditions with B-frames and without, WebRTC takes the latter.
func TestRenditionOrdered(t *testing.T) {
	packets := sluicetest.Packets(8, sized(1, 1000, 0), sized(2, 700, 0), sluicetest.Audio(3))
	var plain []sluice.Packet
	for i, p := range packets {
		if p.Track.ID == 1 && p.Data != nil && !p.Key { // I P B P B …
			packets[i].PTS += []int64{7200, -3600}[p.DTS/3600%2]
		}
		if p.Track.ID != 2 {
			plain = append(plain, packets[i])
		}
	}
	c := legacyRTMP
	c.ordered = true
	s := newSelection(&sluicetest.Slice{Packets: packets}, Rendition{}, c)
	require.NoError(t, s.settle(t.Context()))
	require.Len(t, s.Tracks(), 2)
	assert.Equal(t, 700, s.kinds[0].to.Height)
	s = newSelection(&sluicetest.Slice{Packets: plain}, Rendition{}, c)
	require.ErrorContains(t, s.settle(t.Context()), "B-frames")
}
