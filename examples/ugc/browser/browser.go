package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Options says how to watch. The zero value watches for ten seconds.
type Options struct {
	// Observe is how long the page is watched after its first frame; 10 s if 0.
	Observe time.Duration
	// Wait is how long the first frame may take; 20 s if 0.
	Wait time.Duration
	// UntilState ends the watching early, when the page has this state.
	UntilState string
	// Screenshot is a PNG file to write at the end.
	Screenshot string
	// Quality are names of renditions to choose from the page's menu, "" being
	// automatic; Bandwidth bounds what arrives, in kbit/s, "0" being no bound.
	Quality, Bandwidth []Change
	// Width and Height are the window's; 1280x720 if 0.
	Width, Height int
}

// Change is something that is done to the page while it is watched.
type Change struct {
	After time.Duration // since the first frame
	Value string
}

func plan(changes []Change) string {
	var all []string
	for _, c := range changes {
		all = append(all, c.Value+"@"+strconv.FormatFloat(c.After.Seconds(), 'f', -1, 64))
	}
	return strings.Join(all, ",")
}

// Report is what the browser saw.
type Report struct {
	URL     string `json:"url"`
	Playing bool   `json:"playing"` // a frame was shown, or there was sound and no picture
	// FirstFrameMs is counted from the opening of the page.
	FirstFrameMs float64 `json:"firstFrameMs"`
	// Frames counts those shown after the first, Dropped those decoded and not shown.
	Frames  int `json:"frames"`
	Dropped int `json:"dropped"`
	// Advanced is the media time that was played, in seconds, seeks left out.
	Advanced  float64  `json:"advanced"`
	Stalls    int      `json:"stalls"`
	StalledMs float64  `json:"stalledMs"`
	Latency   *Latency `json:"latency"` // nil if the stream says no time of day
	Sizes     []Size   `json:"sizes"`
	States    []State  `json:"states"`
	// Errors are uncaught exceptions of the page; Console is what it or the
	// browser complained about; FailedRequests are answers of 400 and above.
	Errors         []string `json:"errors"`
	Console        []string `json:"console"`
	FailedRequests []string `json:"failedRequests"`
	Log            []Entry  `json:"log"`
	Samples        []Sample `json:"samples"` // one each Interval
}

// Interval is the time from one sample to the next.
const Interval = 250 * time.Millisecond

// Latency is the time from the server's stamp of a frame to its showing, in
// seconds, over the samples that had a picture.
type Latency struct {
	Min    float64  `json:"min"`
	Median float64  `json:"median"`
	P95    float64  `json:"p95"`
	Max    float64  `json:"max"`
	Last   *float64 `json:"last"`
}

// Size is a picture size and when, in ms since the opening, it was first seen.
type Size struct {
	At     float64 `json:"at"`
	Width  int     `json:"width"`
	Height int     `json:"height"`
}

// State is one of the player's: connecting, live, buffering, away, offline,
// ended, reconnecting, denied, unsupported.
type State struct {
	At    float64 `json:"at"`
	State string  `json:"state"`
}

// Entry is one line of the player's log.
type Entry struct {
	At     float64         `json:"at"` // Unix time in ms
	Type   string          `json:"type"`
	Detail json.RawMessage `json:"detail"`
}

// Sample is the player at one moment; times are in seconds.
type Sample struct {
	At           float64  `json:"at"` // ms since the opening
	State        string   `json:"state"`
	CurrentTime  float64  `json:"currentTime"`
	PlaybackRate float64  `json:"playbackRate"`
	Latency      *float64 `json:"latency"`
	EdgeDelay    *float64 `json:"edgeDelay"`
	EdgeTarget   *float64 `json:"edgeTarget"`
	Buffer       float64  `json:"buffer"`
	Buffered     []Range  `json:"buffered"`
	Frames       int      `json:"frames"`
	Width        int      `json:"width"`
	Height       int      `json:"height"`
	// Colour is the mean of the picture shown: red, green and blue from 0 to
	// 255; nil while there is none.
	Colour []int `json:"colour"`
}

// Range is a stretch of buffered media.
type Range struct {
	Start float64 `json:"start"`
	End   float64 `json:"end"`
}

// Watch opens a watch page and reports what was seen. It fails the test only
// if the browser cannot be run.
func Watch(t testing.TB, url string, o Options) Report {
	t.Helper()
	r, err := watch(t.Context(), require(t), url, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Start watches while the test does something else; the function it returns
// waits for the report.
func Start(t testing.TB, url string, o Options) (wait func() Report) {
	t.Helper()
	dir, done := require(t), make(chan Report, 1)
	go func() {
		r, err := watch(t.Context(), dir, url, o)
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	return func() Report { return <-done }
}

func watch(ctx context.Context, dir, url string, o Options) (r Report, err error) {
	o.defaults()
	ctx, cancel := context.WithTimeout(ctx, o.Wait+o.Observe+time.Minute)
	defer cancel()
	var out, complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, "node", o.args(dir, url)...)
	cmd.Stdout, cmd.Stderr = &out, &complaint
	// The script closes its browser on a signal, which a kill would leave behind.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return r, fmt.Errorf("browser: watch %s: %w\n%s", url, err, complaint.String())
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return r, fmt.Errorf("browser: watch %s: read the report: %w", url, err)
	}
	return r, nil
}

// Reached reports whether the player was ever in a state.
func (r Report) Reached(state string) bool {
	for _, s := range r.States {
		if s.State == state {
			return true
		}
	}
	return false
}

// Summary is a few lines for a test's log.
func (r Report) Summary() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s: %d frames (%d dropped), %.1f s played, first after %.0f ms, %d stalls (%.0f ms)",
		r.URL, r.Frames, r.Dropped, r.Advanced, r.FirstFrameMs, r.Stalls, r.StalledMs)
	if r.Latency != nil {
		fmt.Fprintf(&b, "\ndelay: median %.2f s, p95 %.2f s, min %.2f s, max %.2f s",
			r.Latency.Median, r.Latency.P95, r.Latency.Min, r.Latency.Max)
	}
	for _, s := range r.States {
		fmt.Fprintf(&b, "\n%7.0f ms %s", s.At, s.State)
	}
	for _, s := range r.Sizes {
		fmt.Fprintf(&b, "\n%7.0f ms %dx%d", s.At, s.Width, s.Height)
	}
	return b.String()
}

func (o *Options) defaults() {
	if o.Observe == 0 {
		o.Observe = 10 * time.Second
	}
	if o.Wait == 0 {
		o.Wait = 20 * time.Second
	}
	if o.Width == 0 || o.Height == 0 {
		o.Width, o.Height = 1280, 720
	}
}

func (o *Options) args(dir, url string) []string {
	seconds := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }
	args := []string{
		filepath.Join(dir, "watch.mjs"), url,
		"--seconds", seconds(o.Observe), "--wait", seconds(o.Wait),
		"--size", fmt.Sprintf("%dx%d", o.Width, o.Height),
		"--interval", strconv.FormatInt(Interval.Milliseconds(), 10),
		"--chromium", chromium(),
		"--quality", plan(o.Quality), "--bandwidth", plan(o.Bandwidth),
	}
	if o.UntilState != "" {
		args = append(args, "--until-state", o.UntilState)
	}
	if o.Screenshot != "" {
		args = append(args, "--screenshot", o.Screenshot)
	}
	return args
}

// chromium is the browser of $CHROMIUM or Debian's.
func chromium() string {
	if path := os.Getenv("CHROMIUM"); path != "" {
		return path
	}
	return "/usr/bin/chromium"
}

// require returns the folder of the script, or skips the test where something
// is missing.
func require(t testing.TB) string {
	t.Helper()
	_, self, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(self) {
		missing(t, "the sources (was the test built with -trimpath?)")
	}
	dir := filepath.Dir(self)
	if _, err := exec.LookPath("node"); err != nil {
		missing(t, "node: install Node.js")
	}
	if _, err := os.Stat(chromium()); err != nil {
		missing(t, "chromium: install Debian's package or set CHROMIUM")
	}
	if _, err := os.Stat(filepath.Join(dir, "../web/node_modules/playwright-core")); err != nil {
		missing(t, "examples/ugc/web/node_modules: run make setup")
	}
	return dir
}

func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("browser: missing %s", what)
	}
	t.Skipf("browser: skipped, missing %s", what)
}
