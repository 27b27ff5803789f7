package ingest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/testmedia"
)

const secret = "a-good-passphrase"

// serveSRT starts a server whose streams of the name "locked" need a passphrase.
func serveSRT(t *testing.T) *running {
	return serve(t, &Server{SRT: "127.0.0.1:0", Authorize: func(_ context.Context, r *Request) (Grant, error) {
		g := Grant{Stream: r.Name}
		switch r.Name {
		case "locked":
			g.Passphrase = secret
		case "unknown":
			return g, fmt.Errorf("%w: stream key is not known", ErrDenied)
		}
		return g, nil
	}})
}

func (r *running) srtURL(streamID, passphrase string, more ...string) string {
	q := url.Values{"streamid": {streamID}}
	if passphrase != "" {
		q.Set("passphrase", passphrase)
	}
	u := "srt://" + r.SRTAddr().String() + "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
	return strings.Join(append([]string{u}, more...), "&")
}

// srtPublishers are commands that publish a clip to a URL.
var srtPublishers = map[string]func(t *testing.T, clip, url string) []string{
	"ffmpeg": func(t *testing.T, clip, url string) []string {
		return []string{testmedia.Need(t, "ffmpeg"), "-nostdin", "-loglevel", "warning", "-re", "-stream_loop", "-1", "-i", clip, "-c", "copy", "-f", "mpegts", url}
	},
	"srt-live-transmit": func(t *testing.T, clip, url string) []string { // over UDP, as it has no pace of its own
		port := freePort(t)
		testmedia.Start(t.Context(), t, testmedia.Need(t, "ffmpeg"), "-nostdin", "-loglevel", "warning", "-re", "-stream_loop", "-1",
			"-i", clip, "-c", "copy", "-f", "mpegts", "udp://127.0.0.1:"+port+"?pkt_size=1316")
		return []string{testmedia.Need(t, "srt-live-transmit"), "udp://127.0.0.1:" + port, url}
	},
	"gstreamer": func(t *testing.T, _, address string) []string {
		u, err := url.Parse(address)
		require.NoError(t, err)
		args := strings.Fields("-q videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=30/1 ! " +
			"x264enc tune=zerolatency speed-preset=ultrafast bitrate=300 key-int-max=30 ! h264parse ! queue ! mux. " +
			"audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! audioconvert ! avenc_aac bitrate=96000 ! aacparse ! queue ! mux. " +
			"mpegtsmux name=mux alignment=7 ! srtsink wait-for-connection=false mode=caller")
		args = append(args, "uri=srt://"+u.Host, "streamid="+u.Query().Get("streamid"))
		if p := u.Query().Get("passphrase"); p != "" {
			args = append(args, "passphrase="+p)
		}
		return append([]string{testmedia.Need(t, "gst-launch-1.0")}, args...)
	},
}

func freePort(t *testing.T) string {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer pc.Close()
	return strconv.Itoa(pc.LocalAddr().(*net.UDPAddr).Port)
}

// watch reads a stream until it has had n frames of video and some sound.
// Whether any are missing is for a test that knows how busy the machine is.
func watch(ctx context.Context, t *testing.T, stream *sluice.Stream, n int) {
	t.Helper()
	sub := stream.Subscribe(sluice.Subscription{})
	defer sub.Close()
	var video, audio int
	for video < n || audio == 0 {
		p, err := sub.ReadPacket(ctx)
		require.NoError(t, err, "after %d frames and %d of sound", video, audio)
		switch {
		case p.Data == nil:
		case p.Track.Kind == sluice.Video:
			video++
		default:
			audio++
		}
	}
}

// fewTries calls f until it succeeds: clients time out on a busy machine.
func fewTries(t *testing.T, f func() error) {
	t.Helper()
	var err error
	for range 4 {
		if err = f(); err == nil {
			return
		}
		t.Log(err)
	}
	require.NoError(t, err)
}

func TestSRTPublishersAndPlayers(t *testing.T) {
	clip := testmedia.Clip(t, testmedia.Spec{Audio: "aac"})
	for name, command := range srtPublishers {
		if name == "gstreamer" && os.Getenv("SLUICE_INTEROP") == "" {
			continue // make interop installs it
		}
		for _, c := range []struct{ streamID, stream, passphrase string }{
			{"publish:open", "open", ""},
			{"#!::m=publish,r=locked", "locked", secret},
		} {
			t.Run(name+"/"+c.stream, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				defer cancel()
				r := serveSRT(t)
				args := command(t, clip, r.srtURL(c.streamID, c.passphrase))
				testmedia.Start(ctx, t, args[0], args[1:]...)
				var stream *sluice.Stream
				select {
				case stream = <-r.streams:
				case <-ctx.Done():
					t.Fatal("nobody published")
				}
				watch(ctx, t, stream, 60)
				st := r.SRTStats()
				require.NotEmpty(t, st)
				assert.Equal(t, c.stream, st[0].Stream)
				assert.Positive(t, st[0].RTT)
				playWithFFmpeg(ctx, t, r.srtURL("#!::m=request,r="+c.stream, c.passphrase, "latency=2000000"))
				if name == "ffmpeg" {
					playWithTransmit(ctx, t, r.srtURL("read:"+c.stream, c.passphrase, "latency=2000"))
				}
			})
		}
	}
}

// playWithFFmpeg decodes three seconds of a stream.
func playWithFFmpeg(ctx context.Context, t *testing.T, url string) {
	t.Helper()
	ffmpeg := testmedia.Need(t, "ffmpeg")
	fewTries(t, func() error {
		out, err := exec.CommandContext(ctx, ffmpeg, "-nostdin", "-hide_banner", "-loglevel", "warning", "-xerror",
			"-i", url, "-t", "3", "-map", "0:v", "-map", "0:a", "-f", "null", "-").CombinedOutput()
		if err != nil || len(out) > 0 {
			return errors.Join(err, fmt.Errorf("ffmpeg said: %s", out))
		}
		return nil
	})
}

// playWithTransmit has srt-live-transmit receive some seconds, which must be a
// whole transport stream.
func playWithTransmit(ctx context.Context, t *testing.T, url string) {
	t.Helper()
	cmd := exec.CommandContext(ctx, testmedia.Need(t, "srt-live-transmit"), "-loglevel:error", url, "file://con")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	b := make([]byte, 200*188)
	_, err = io.ReadFull(out, b)
	require.NoError(t, err)
	for i := 0; i < len(b); i += 188 {
		require.EqualValues(t, 0x47, b[i], "packet %d", i/188)
	}
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed
}

// TestSRTRefusals checks what libsrt is told, by what srt-live-transmit says. It
// does not say codes from 1400 on, but it knows them from unknown ones.
func TestSRTRefusals(t *testing.T) {
	transmit := testmedia.Need(t, "srt-live-transmit")
	r := serveSRT(t)
	publisher, err := r.publish(t, "/live/taken")
	require.NoError(t, err)
	stop := make(chan struct{})
	sent := make(chan error, 1)
	go func() { // whoever is silent may be taken over
		for {
			if err := publisher.send(t, 1); err != nil {
				sent <- err
				return
			}
			select {
			case <-stop:
				sent <- nil
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	<-r.streams
	for name, c := range map[string]struct{ streamID, passphrase, says string }{
		"wrong passphrase":      {"publish:locked", "some-other-passphrase", "Incorrect passphrase"},
		"no passphrase":         {"publish:locked", "", "Password required or unexpected"},
		"unexpected passphrase": {"publish:open", secret, "Password required or unexpected"},
		"unknown key":           {"publish:unknown", "", "Application-defined rejection reason"},
		"taken":                 {"publish:taken", "", "Application-defined rejection reason"},
		"bad mode":              {"#!::m=bidirectional,r=x", "", "Application-defined rejection reason"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, transmit, "-v", "-a:no", "udp://127.0.0.1:"+freePort(t), r.srtURL(c.streamID, c.passphrase))
			out, err := cmd.StderrPipe()
			require.NoError(t, err)
			cmd.Stdout = cmd.Stderr
			require.NoError(t, cmd.Start())
			var said strings.Builder
			for lines := bufio.NewScanner(out); !strings.Contains(said.String(), "REJECT") && lines.Scan(); {
				said.WriteString(lines.Text())
			}
			_ = cmd.Process.Kill() // it does not always end by itself
			_ = cmd.Wait()
			require.Contains(t, said.String(), "REJECT reported from HS processing: "+c.says)
		})
	}
	require.Empty(t, r.SRTStats())
	close(stop)
	require.NoError(t, <-sent, "the first goes on")
}
