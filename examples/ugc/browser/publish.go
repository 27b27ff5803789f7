package browser

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// PublishOptions says how to go live. The zero value sends the fake camera and
// microphone in H.264, 640x360 at 1.5 Mbit/s.
type PublishOptions struct {
	Codec   string // "video/H264", "video/VP8" …
	TCP     bool   // candidates of TCP only
	NoAudio bool
	Vanish  bool // no goodbye in the end
	// For is how long to be live; 20 s if 0.
	For time.Duration
	// Studio has the page /creator do it, as a person would.
	Studio bool
}

// Publication is what the publishing browser saw. The fields from State on are
// empty with Studio, which fills Studio's.
type Publication struct {
	Error     string `json:"error"`
	State     string `json:"state"`
	Codec     string `json:"codec"`
	Protocol  string `json:"protocol"` // "udp" or "tcp"
	Frames    int    `json:"frames"`
	KeyFrames int    `json:"keyFrames"`
	PLIs      int    `json:"plis"`
	NACKs     int    `json:"nacks"`
	Bytes     int    `json:"bytes"`
	Deleted   int    `json:"deleted"` // status of the DELETE

	States   []string `json:"states"`
	Messages []string `json:"messages"`
	Errors   []string `json:"errors"` // uncaught exceptions of the page
	Encoders []string `json:"encoders"`
}

// Publish goes live from Chromium and returns once it is; the function it
// returns waits for the end. site is http://host:port, name the stream key.
func Publish(t testing.TB, site, name string, o PublishOptions) (wait func() Publication) {
	t.Helper()
	dir := require(t)
	if o.Codec == "" {
		o.Codec = "video/H264"
	}
	if o.For == 0 {
		o.For = 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), o.For+time.Minute)
	cmd := exec.CommandContext(ctx, "node", o.args(dir, site, name)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout = &out
	complaint, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	live, done := make(chan struct{}), make(chan Publication, 1)
	go func() {
		defer cancel()
		var said []string
		for lines := bufio.NewScanner(complaint); lines.Scan(); {
			if said = append(said, lines.Text()); lines.Text() == "live" {
				close(live)
			}
		}
		var p Publication
		err := cmd.Wait()
		if err == nil {
			err = json.Unmarshal(out.Bytes(), &p)
		}
		if err != nil {
			p.Error = err.Error() + "\n" + strings.Join(said, "\n")
		}
		done <- p
	}()
	select {
	case <-live:
	case p := <-done:
		t.Fatalf("browser: publish to %s: %s %v", site, p.Error, p.Messages)
	}
	return func() Publication { return <-done }
}

func (o PublishOptions) args(dir, site, name string) []string {
	seconds := strconv.FormatFloat(o.For.Seconds(), 'f', -1, 64)
	if o.Studio {
		args := []string{filepath.Join(dir, "studio.mjs"), site + "/creator", "--name", name, "--codec", o.Codec, "--seconds", seconds, "--chromium", chromium()}
		if o.TCP {
			args = append(args, "--tcp")
		}
		return args
	}
	args := []string{filepath.Join(dir, "publish.mjs"), site + "/whip/" + name, "--codec", o.Codec, "--seconds", seconds, "--chromium", chromium()}
	if o.TCP {
		args = append(args, "--transport", "tcp")
	}
	if o.NoAudio {
		args = append(args, "--no-audio")
	}
	if o.Vanish {
		args = append(args, "--vanish")
	}
	return args
}
