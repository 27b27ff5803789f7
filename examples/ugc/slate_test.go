package main

import (
	"bufio"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/examples/ugc/browser"
	"github.com/sluice-live/sluice/ingest"
	"github.com/sluice-live/sluice/internal/testmedia"
)

// coloured makes a clip of one colour, with sound, and returns its path; the
// name tells its format.
func coloured(t *testing.T, colour, size, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	args := fmt.Sprintf("-nostdin -v error -f lavfi -i color=c=%s:s=%s:r=25:d=60 -f lavfi -i sine=frequency=330:d=60 "+
		"-c:v libx264 -preset veryfast -pix_fmt yuv420p -bf 2 -g 50 -c:a aac %s", colour, size, path)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, testmedia.Need(t, "ffmpeg"), strings.Fields(args)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

func greenPicture(t *testing.T) string {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 640, 360))
	draw.Draw(img, img.Rect, image.NewUniform(color.RGBA{G: 128, A: 255}), image.Point{}, draw.Src)
	path := filepath.Join(t.TempDir(), "slate.png")
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, png.Encode(f, img))
	require.NoError(t, f.Close())
	return path
}

// scene is a stretch of time in which the page showed one colour.
type scene struct {
	colour      string
	first, last browser.Sample
	frames      int
}

func (s scene) String() string {
	return fmt.Sprintf("%s %dx%d for %.1f s, %d frames", s.colour, s.last.Width, s.last.Height, (s.last.At-s.first.At)/1000, s.frames)
}

// scenes are what the page showed, by decoded pixels.
func scenes(r browser.Report) (all []scene) {
	for _, s := range r.Samples {
		if len(s.Colour) != 3 {
			continue
		}
		name := "other"
		switch red, green, blue := s.Colour[0], s.Colour[1], s.Colour[2]; {
		case red > 2*green+40 && red > 2*blue+40:
			name = "red"
		case green > 2*red+40 && green > 2*blue+40:
			name = "green"
		case blue > 2*red+40 && blue > 2*green+40:
			name = "blue"
		}
		if n := len(all); n == 0 || all[n-1].colour != name {
			all = append(all, scene{colour: name, first: s})
		}
		last := &all[len(all)-1]
		last.last = s
		last.frames = s.Frames - last.first.Frames
	}
	return all
}

func colours(all []scene) (names []string) {
	for _, s := range all {
		names = append(names, s.colour)
	}
	return names
}

func (s *server) viewed(t *testing.T) {
	require.Eventually(t, func() bool {
		l := s.playback.Live()
		return len(l) == 1 && l[0].Viewers > 0
	}, 30*time.Second, 100*time.Millisecond)
}

// The encoder is killed; after a while another comes, with another picture size.
// The page, never reloaded, shows picture, slate, picture.
func TestChromiumSeesPictureSlatePicture(t *testing.T) {
	for name, c := range map[string]struct {
		config
		slate func(*testing.T) string
		away  time.Duration
		want  []string
	}{
		"clip": {
			slate: func(t *testing.T) string { return coloured(t, "green", "480x270", "slate.mp4") },
			away:  20 * time.Second, want: []string{"red", "green", "blue"},
		},
		"picture and ladder": {
			config: config{Ladder: true, Renditions: "240"}, slate: greenPicture,
			away: 20 * time.Second, want: []string{"red", "green", "blue"},
		},
		"last picture": {
			slate: func(*testing.T) string { return "last" },
			away:  10 * time.Second, want: []string{"red", "blue"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if name != "clip" && !thorough {
				t.Skip("a minute each: make interop runs them")
			}
			if !thorough {
				c.away = 8 * time.Second
			}
			red, blue := coloured(t, "red", "640x360", "red.flv"), coloured(t, "blue", "320x180", "blue.flv")
			c.Slate = c.slate(t)
			s := startWith(t, c.config)
			first := testmedia.Publish(t.Context(), t, red, s.rtmp("/live/demo"))
			s.live(t, "demo")
			o := browser.Options{Observe: c.away + 22*time.Second}
			if c.Ladder {
				o.Quality = []browser.Change{{After: 2 * time.Second, Value: "240p"}}
			}
			watched := browser.Start(t, s.url("/@demo"), o)
			s.viewed(t)
			numbers := s.followNumbers(t)
			time.Sleep(8 * time.Second)
			require.NoError(t, first.Process.Kill())
			_ = first.Wait()
			time.Sleep(c.away)
			require.Len(t, s.server.Broadcasts(), 1)
			b := s.server.Broadcasts()[0]
			assert.True(t, b.Stats().Slate)
			testmedia.Publish(t.Context(), t, blue, s.rtmp("/live/demo"))

			r := watched()
			t.Log(r.Summary())
			seen := scenes(r)
			t.Log(seen)
			require.Equal(t, c.want, colours(seen))
			for _, one := range seen {
				assert.Greater(t, one.frames, 50, "%s moves", one.colour)
			}
			n := len(seen)
			assert.Greater(t, (seen[n-1].first.At-seen[0].last.At)/1000+(seen[n-2].last.At-seen[n-2].first.At)/1000, c.away.Seconds()*0.6, "seconds of slate")
			if c.Ladder {
				require.Len(t, r.Sizes, 2, "of the source, and of the rendition whatever came")
				assert.Equal(t, 240, r.Sizes[1].Height)
			}
			assert.GreaterOrEqual(t, numbers(), 2, "discontinuities")
			assert.Empty(t, r.Errors)
			require.Equal(t, []*ingest.Broadcast{b}, s.server.Broadcasts(), "one broadcast")
			assert.EqualValues(t, 2, b.Stats().Connections)
			assert.False(t, b.Stats().Slate)
		})
	}
}

// followNumbers reads a media playlist until the function it returns is called,
// which returns by how much the discontinuity sequence rose. No number goes back.
func (s *server) followNumbers(t *testing.T) (stop func() int) {
	ctx, cancel := context.WithCancel(t.Context())
	rose := make(chan int, 1)
	go func() {
		first, last := -1, [2]int{}
		for ctx.Err() == nil {
			now, err := s.numbers(ctx)
			if ctx.Err() != nil {
				break
			}
			if assert.NoError(t, err) {
				assert.GreaterOrEqual(t, now[0], last[0], "media sequence")
				assert.GreaterOrEqual(t, now[1], last[1], "eras")
				last = now
				if first < 0 {
					first = now[1]
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
			}
		}
		rose <- last[1] - first
	}()
	t.Cleanup(cancel)
	return func() int {
		cancel()
		return <-rose
	}
}

// numbers returns the number of the playlist's last segment and its era.
func (s *server) numbers(ctx context.Context) (n [2]int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url("/live/demo/1/index.m3u8"), nil)
	if err != nil {
		return n, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return n, err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		switch name {
		case "#EXT-X-MEDIA-SEQUENCE":
			n[0], err = strconv.Atoi(value)
		case "#EXT-X-DISCONTINUITY-SEQUENCE":
			n[1], err = strconv.Atoi(value)
		case "#EXT-X-DISCONTINUITY":
			n[1]++
		case "#EXTINF":
			n[0]++
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// The active encoder is stopped, not killed: its socket stays. The page goes on
// with the spare.
func TestChromiumGoesOnWithTheSpare(t *testing.T) {
	s := startWith(t, config{Second: ingest.Standby})
	first := testmedia.Publish(t.Context(), t, coloured(t, "red", "640x360", "red.flv"), s.rtmp("/live/demo"))
	s.live(t, "demo")
	testmedia.Publish(t.Context(), t, coloured(t, "blue", "320x180", "blue.flv"), s.rtmp("/live/demo"))
	watched := browser.Start(t, s.url("/@demo"), browser.Options{Observe: 25 * time.Second})
	s.viewed(t)
	time.Sleep(8 * time.Second)
	b := s.server.Broadcasts()[0]
	require.Equal(t, 1, b.Stats().Waiting)
	require.Zero(t, b.Stats().Switches)
	require.NoError(t, first.Process.Signal(syscall.SIGSTOP))
	stopped := time.Now()
	require.Eventually(t, func() bool { return b.Stats().Switches == 1 }, 10*time.Second, 20*time.Millisecond)
	t.Logf("the spare was taken after %v: 1 s without a frame, and then its key frame", time.Since(stopped).Round(10*time.Millisecond))

	r := watched()
	t.Log(r.Summary())
	seen := scenes(r)
	t.Log(seen)
	require.Equal(t, []string{"red", "blue"}, colours(seen))
	assert.Greater(t, seen[1].frames, 100)
	assert.Empty(t, r.Errors)
	assert.EqualValues(t, 1, b.Stats().Switches)
}

func TestSlateThatIsMissingIsSaidAtTheStart(t *testing.T) {
	for _, name := range []string{"none.mp4", "none.png"} {
		_, err := open(config{HTTP: "127.0.0.1:0", RTMP: "127.0.0.1:0", Data: t.TempDir(), Open: true, Slate: filepath.Join(t.TempDir(), name)})
		assert.ErrorIs(t, err, os.ErrNotExist)
		assert.ErrorContains(t, err, "--slate")
	}
}
