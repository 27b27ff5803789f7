package transcode

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

// TestKeysAlignForTenMinutes is the same as TestKeysAlign over ten minutes, in
// the middle of which the encoder comes back with another picture size; the
// source has B-frames, and one rendition half its frame rate.
func TestKeysAlignForTenMinutes(t *testing.T) {
	if os.Getenv("SLUICE_INTEROP") == "" {
		t.Skip("it takes a minute: make interop runs it")
	}
	const seconds = 300 // each half
	var in []sluice.Packet
	for i, size := range []string{"320x180", "256x144"} {
		part := demux(t, encodeMP4(t, "-f lavfi -i testsrc2=s="+size+":r=30 -video_track_timescale 90000 "+
			"-c:v libx264 -preset ultrafast -bf 2 -g 53 -t 300"))
		track := *part[0].Track
		track.Era = uint32(i + 1)
		for _, p := range part {
			p.Track = &track
			p.DTS += int64(i) * (seconds + 3) * 90000
			p.PTS += int64(i) * (seconds + 3) * 90000
			in = append(in, p)
		}
	}
	in = stampEras(in)
	out := run(t, Ladder{Renditions: small, Audio: []AudioRendition{}}, in)
	source := media(1, out)
	require.Equal(t, sluicetest.Of(1, in), sluicetest.Of(1, out), "the source goes along untouched")
	require.Greater(t, len(cuts(source)), seconds)
	for _, id := range []uint32{101, 102} {
		r := media(id, out)
		assert.Equal(t, cuts(source), cuts(r), "rendition %d", id)
		have := map[int64]bool{}
		for _, key := range keys(r) {
			have[key] = true
		}
		for _, key := range keys(source) {
			assert.True(t, have[key], "rendition %d has a key frame at %d", id, key)
		}
	}
	assert.InDelta(t, 2*seconds*30, len(media(101, out)), 2)
}
