package transcode

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

const picture30 = "-f lavfi -i testsrc2=s=320x180:r=30 -video_track_timescale 90000 "

var small = []Rendition{{Height: 120, Bitrate: 200_000}, {Height: 90, Bitrate: 100_000, FPS: 15}}

// Key frames of the source and of every rendition stand at equal PTS, segment
// for segment.
func TestKeysAlign(t *testing.T) {
	for _, c := range []struct{ name, args string }{
		{"no B-frames", "-c:v libx264 -bf 0 -g 30"},
		{"B-frames", "-c:v libx264 -bf 3 -g 25"},
		{"scene cuts", "-c:v libx264 -bf 2 -g 40 -keyint_min 1 -force_key_frames 0.5,1.7"},
		{"long GOP", "-c:v libx264 -bf 2 -g 75"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := clip(t, picture30+c.args+" -t 5 -preset ultrafast")
			out := run(t, Ladder{Renditions: small, Audio: []AudioRendition{}}, in)
			source := media(1, out)
			require.Equal(t, media(1, in), source, "the source goes along untouched")
			for _, id := range []uint32{101, 102} {
				r := media(id, out)
				require.NotEmpty(t, r)
				for _, key := range keys(source) {
					assert.Contains(t, keys(r), key)
				}
				assert.Equal(t, cuts(source), cuts(r))
				for _, p := range r[1:] {
					assert.Equal(t, uint32(7), p.Track.Era)
					assert.NotZero(t, p.Track.Maker)
				}
				shows := decodeVideo(t, r)
				require.Len(t, shows, len(r))
			}
			assert.InDelta(t, 150, len(media(101, out)), 0)
			assert.InDelta(t, 77, len(media(102, out)), 4)
		})
	}
}

// cuts is where the segments of a track open, in presentation order.
func cuts(packets []sluice.Packet) map[uint64]int64 {
	at := map[uint64]int64{}
	var last uint64
	for _, p := range packets {
		if p.Segment > last {
			at[p.Segment], last = p.PTS, p.Segment
		}
	}
	return at
}
