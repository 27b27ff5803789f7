package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/testmedia"
)

func TestStampsSurviveChunking(t *testing.T) {
	path := testmedia.Clip(t, testmedia.Spec{Width: 320, Height: 180, Audio: "aac", Seconds: 2})
	c, err := loadClip(path, 2)
	require.NoError(t, err)
	require.Len(t, c.setup, 3, "metadata and two configurations")
	var wire []byte
	for i, m := range c.media {
		setTime(m.wire, m.ms)
		putStamp(m.wire[m.stampAt:], int64(i)<<40|0xabc)
		wire = append(wire, m.wire...)
	}
	in := newChunkReader(bytes.NewReader(wire))
	in.size = outChunkSize
	for i, sent := range c.media {
		got, err := in.read()
		require.NoError(t, err)
		assert.Equal(t, sent.kind, got.kind)
		stamp, ok := stampOf(got)
		require.True(t, ok, "message %d", i)
		assert.Equal(t, int64(i)<<40|0xabc, stamp)
	}
}

func TestPlaylistAddresses(t *testing.T) {
	text := "#EXTM3U\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:4,\nvideo/1.m4s?token=x\n" +
		"#EXT-X-PART:DURATION=0.26,URI=\"video/2.0.m4s\",INDEPENDENT=YES\n" +
		"#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"video/2.1.m4s\"\n"
	p := playlist{url: "http://127.0.0.1/live/demo/v.m3u8"}
	require.NoError(t, p.parse(text))
	assert.Equal(t, []string{"http://127.0.0.1/live/demo/video/1.m4s?token=x"}, p.segments)
	assert.Equal(t, []string{"http://127.0.0.1/live/demo/video/2.0.m4s"}, p.parts)
	assert.Equal(t, "http://127.0.0.1/live/demo/video/2.1.m4s", p.hint)
}

func TestReport(t *testing.T) {
	r := results{}
	for _, v := range []float64{3, 1, 2} {
		r.add(delayP99, "sluice", v)
		r.add(delayP99, "nginx", 2*v)
	}
	r.add(fewP99, "nginx", 123.4)
	assert.Contains(t, r.table(), "| … added delay, 99th percentile | ms | 2 | 4 | 0.5 | below 5 |\n")
	assert.Contains(t, r.table(), "| … added delay, 99th percentile | ms |  | 123 |  | below 5 |\n")
}
