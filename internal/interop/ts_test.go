package interop

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/mpegts"
)

// TestTransportStreamWithGStreamer reads what GStreamer's multiplexer writes,
// every frame of it, and has its demultiplexer read what we make of that.
func TestTransportStreamWithGStreamer(t *testing.T) {
	if os.Getenv("SLUICE_INTEROP") == "" {
		t.Skip("tests with real clients: make interop runs them")
	}
	for _, c := range []struct{ video, format, sound string }{
		{"x264enc speed-preset=veryfast key-int-max=25 ! h264parse", "video/x-h264", "voaacenc ! aacparse"},
		{"x265enc speed-preset=ultrafast key-int-max=25 ! h265parse", "video/x-h265", "lamemp3enc ! mpegaudioparse"},
		{"x264enc tune=zerolatency ! h264parse", "video/x-h264", "opusenc ! opusparse"},
	} {
		t.Run(c.video+" "+c.sound, func(t *testing.T) {
			theirs, ours := filepath.Join(t.TempDir(), "theirs.ts"), filepath.Join(t.TempDir(), "ours.ts")
			run(t, time.Minute, "gst-launch-1.0", strings.Fields("-q videotestsrc num-buffers=50 ! video/x-raw,width=320,height=180,framerate=25/1 ! "+c.video+
				" ! mpegtsmux name=m alignment=7 ! filesink location="+theirs+
				" audiotestsrc num-buffers=94 ! audio/x-raw,rate=48000,channels=2 ! "+c.sound+" ! m.")...)
			frames := remux(t, theirs, ours)
			require.Equal(t, 50, frames[sluice.Video])
			require.Greater(t, frames[sluice.Audio], 80)
			parser := func(chain string) string { return chain[strings.LastIndex(chain, " ")+1:] }
			picture, sound := filepath.Join(t.TempDir(), "picture"), filepath.Join(t.TempDir(), "sound")
			out := run(t, time.Minute, "gst-launch-1.0", strings.Fields("-q filesrc location="+ours+" ! tsdemux name=d "+
				"d. ! queue ! "+parser(c.video)+" ! "+c.format+",stream-format=byte-stream,alignment=au ! filesink location="+picture+" "+
				"d. ! queue ! "+parser(c.sound)+" ! filesink location="+sound)...)
			require.Empty(t, out)
			b, err := os.ReadFile(picture)
			require.NoError(t, err)
			delimiters := 0
			for u := range codec.AnnexBNALUs(b) {
				if u[0] == 9 || u[0] == 35<<1 {
					delimiters++
				}
			}
			require.Equal(t, 50, delimiters)
			info, err := os.Stat(sound)
			require.NoError(t, err)
			require.Positive(t, info.Size())
		})
	}
}

// remux reads a transport stream and writes it again; it counts the frames.
func remux(t *testing.T, from, to string) map[sluice.Kind]int {
	t.Helper()
	b, err := os.ReadFile(from)
	require.NoError(t, err)
	r := mpegts.NewReader(bytes.NewReader(b), mpegts.Config{})
	defer r.Close()
	var packets []sluice.Packet
	frames := make(map[sluice.Kind]int)
	for {
		p, err := r.ReadPacket(t.Context())
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		packets = append(packets, p)
		if p.Data != nil {
			require.False(t, p.Discont)
			frames[p.Track.Kind]++
		}
	}
	var out bytes.Buffer
	// All tracks beforehand: tsdemux begins anew where the program map changes.
	w, err := mpegts.NewWriter(&out, r.Tracks(), time.Unix(0, 0))
	require.NoError(t, err)
	for _, p := range packets {
		require.NoError(t, w.WritePacket(p))
	}
	require.NoError(t, os.WriteFile(to, out.Bytes(), 0o600))
	return frames
}
