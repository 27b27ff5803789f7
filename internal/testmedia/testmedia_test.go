package testmedia

import (
	"encoding/json"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type probed struct {
	Type    string `json:"codec_type"`
	Codec   string `json:"codec_name"`
	Rate    string `json:"r_frame_rate"`
	Width   int
	Start   string `json:"start_time"`
	BFrames int    `json:"has_b_frames"`
}

func probe(t *testing.T, clip string) map[string]probed {
	out, err := exec.Command(Need(t, "ffprobe"), "-v", "error", "-show_streams", "-of", "json", clip).Output()
	require.NoError(t, err)
	var found struct{ Streams []probed }
	require.NoError(t, json.Unmarshal(out, &found))
	byType := map[string]probed{}
	for _, s := range found.Streams {
		byType[s.Type] = s
	}
	return byType
}

func keyFrames(t *testing.T, clip string) []string {
	out, err := exec.Command(Need(t, "ffprobe"), "-v", "error", "-select_streams", "v", "-skip_frame", "nokey",
		"-show_entries", "frame=pts_time", "-of", "csv=p=0", clip).Output()
	require.NoError(t, err)
	return strings.Fields(string(out))
}

func TestClip(t *testing.T) {
	clip := Clip(t, Spec{Width: 320, Height: 180, FPS: "30000/1001", GOP: 1, BFrames: 2, VideoKbps: 300, Audio: "aac", Seconds: 3})
	got := probe(t, clip)
	assert.Equal(t, "h264", got["video"].Codec)
	assert.Equal(t, "30000/1001", got["video"].Rate)
	assert.Equal(t, 320, got["video"].Width)
	assert.NotZero(t, got["video"].BFrames)
	assert.Equal(t, "aac", got["audio"].Codec)
	assert.Len(t, keyFrames(t, clip), 3)
	assert.Equal(t, clip, Clip(t, Spec{Width: 320, Height: 180, FPS: "30000/1001", GOP: 1, BFrames: 2, VideoKbps: 300, Audio: "aac", Seconds: 3}))
}

func TestClipWithSceneCuts(t *testing.T) {
	spec := Spec{Width: 320, Height: 180, GOP: 20, VideoKbps: 300, Seconds: 6}
	assert.Len(t, keyFrames(t, Clip(t, spec)), 1)
	spec.SceneCut = true
	assert.Greater(t, len(keyFrames(t, Clip(t, spec))), 2)
}

func TestClipWithEarlySound(t *testing.T) {
	got := probe(t, Clip(t, Spec{Width: 320, Height: 180, VideoKbps: 300, Audio: "mp3", AudioOffset: -400 * time.Millisecond, Seconds: 3}))
	assert.Equal(t, "mp3", got["audio"].Codec)
	assert.True(t, strings.HasPrefix(got["video"].Start, "0.4"), "video starts at %s", got["video"].Start)
}

func TestClipOfSoundAlone(t *testing.T) {
	got := probe(t, Clip(t, Spec{NoVideo: true, Audio: "aac", Seconds: 2}))
	assert.NotContains(t, got, "video")
	assert.Contains(t, got, "audio")
}

func TestMakeRefusesNonsense(t *testing.T) {
	for _, spec := range []Spec{{FPS: "fast"}, {FPS: "30/0"}, {Audio: "vorbis"}, {NoVideo: true}} {
		_, err := Make(t.Context(), spec)
		assert.Error(t, err, "%+v", spec)
	}
}

func TestPublishConnects(t *testing.T) {
	clip := Clip(t, Spec{Width: 320, Height: 180, VideoKbps: 300, Seconds: 3})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	Publish(t.Context(), t, clip, "rtmp://"+ln.Addr().String()+"/live/demo")
	conn, err := ln.Accept()
	require.NoError(t, err)
	defer conn.Close()
	hello := make([]byte, 1)
	_, err = conn.Read(hello)
	require.NoError(t, err)
	assert.Equal(t, byte(3), hello[0], "RTMP version")
}

func TestTailKeepsTheEnd(t *testing.T) {
	var o tail
	for range 100 {
		_, err := o.Write([]byte(strings.Repeat("x", 1000)))
		require.NoError(t, err)
	}
	_, err := o.Write([]byte("end"))
	require.NoError(t, err)
	assert.LessOrEqual(t, len(o.String()), tailSize)
	assert.True(t, strings.HasSuffix(o.String(), "end"))
}
