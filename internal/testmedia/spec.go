package testmedia

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Spec describes a clip. The zero value of each field is a sensible small
// clip: 640x360 at 30 fps and 800 kbit/s, a key frame every two seconds, ten
// seconds long, silent.
type Spec struct {
	NoVideo       bool
	Width, Height int
	// FPS is the frame rate as a number or a fraction, such as "30000/1001".
	FPS string
	// GOP is the distance of key frames in seconds.
	GOP float64
	// SceneCut adds abrupt changes of the picture, and a key frame at each.
	SceneCut  bool
	BFrames   int
	VideoKbps int

	// Audio is "aac", "mp3", or "" for no audio track.
	Audio string
	// SampleRate is in Hz: 48,000 for AAC and 44,100 for MP3 unless set. FLV
	// carries MP3 at 44,100, 22,050 and 11,025 only.
	SampleRate int
	AudioKbps  int
	// AudioOffset moves the sound against the picture: negative is early.
	AudioOffset time.Duration

	Seconds float64
}

func (s Spec) withDefaults() Spec {
	setDefault(&s.Width, 640)
	setDefault(&s.Height, 360)
	setDefault(&s.FPS, "30")
	setDefault(&s.GOP, 2)
	setDefault(&s.VideoKbps, 800)
	setDefault(&s.AudioKbps, 128)
	setDefault(&s.Seconds, 10)
	if s.Audio == "mp3" {
		setDefault(&s.SampleRate, 44100)
	}
	setDefault(&s.SampleRate, 48000)
	return s
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (s Spec) check() error {
	if _, err := s.rate(); err != nil {
		return err
	}
	if s.Audio != "" && s.Audio != "aac" && s.Audio != "mp3" {
		return fmt.Errorf("audio %q is neither aac nor mp3", s.Audio)
	}
	if s.NoVideo && s.Audio == "" {
		return fmt.Errorf("neither video nor audio is asked for")
	}
	return nil
}

// rate returns the frame rate in frames a second.
func (s Spec) rate() (float64, error) {
	num, den, isFraction := strings.Cut(s.FPS, "/")
	if !isFraction {
		den = "1"
	}
	n, err := strconv.ParseFloat(num, 64)
	if err != nil {
		return 0, fmt.Errorf("frame rate %q is not a number or fraction", s.FPS)
	}
	d, err := strconv.ParseFloat(den, 64)
	if err != nil || n <= 0 || d <= 0 {
		return 0, fmt.Errorf("frame rate %q is not a positive number or fraction", s.FPS)
	}
	return n / d, nil
}

// args returns ffmpeg's arguments up to the output file.
func (s Spec) args() []string {
	args := []string{"-nostdin", "-hide_banner", "-loglevel", "error", "-y"}
	duration := strconv.FormatFloat(s.Seconds, 'f', -1, 64)
	// Offsets are kept positive, since a container without edit lists shifts
	// negative time stamps away: an early sound is a late picture.
	if !s.NoVideo {
		args = append(args, "-itsoffset", seconds(max(0, -s.AudioOffset)), "-f", "lavfi", "-i", s.picture())
	}
	if s.Audio != "" {
		args = append(args, "-itsoffset", seconds(max(0, s.AudioOffset)), "-f", "lavfi", "-i",
			fmt.Sprintf("sine=frequency=330:beep_factor=4:sample_rate=%d:duration=%s", s.SampleRate, duration))
	}
	if !s.NoVideo {
		args = append(args, s.videoArgs()...)
	}
	if s.Audio != "" {
		args = append(args, s.audioArgs()...)
	}
	return append(args, "-f", "flv")
}

func (s Spec) picture() string {
	duration := strconv.FormatFloat(s.Seconds, 'f', -1, 64)
	picture := fmt.Sprintf("testsrc2=size=%dx%d:rate=%s:duration=%s", s.Width, s.Height, s.FPS, duration)
	if s.SceneCut {
		// Inverted for 1.3 s every 3.7 s: at odd places of every GOP.
		picture += ",negate=enable='lt(mod(t+1.2,3.7),1.3)'"
	}
	return picture
}

func (s Spec) videoArgs() []string {
	rate, _ := s.rate()
	keyInterval := strconv.Itoa(max(1, int(math.Round(s.GOP*rate))))
	sceneCut, minKeyInterval := "0", keyInterval
	if s.SceneCut {
		sceneCut, minKeyInterval = "40", "1"
	}
	return []string{
		"-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-threads", "2",
		"-g", keyInterval, "-keyint_min", minKeyInterval, "-sc_threshold", sceneCut,
		"-bf", strconv.Itoa(s.BFrames), "-b:v", kbit(s.VideoKbps), "-maxrate", kbit(s.VideoKbps), "-bufsize", kbit(s.VideoKbps),
		"-x264-params", "nal-hrd=cbr:force-cfr=1",
	}
}

func (s Spec) audioArgs() []string {
	encoder := s.Audio
	if encoder == "mp3" {
		encoder = "libmp3lame"
	}
	return []string{"-c:a", encoder, "-b:a", kbit(s.AudioKbps), "-ac", "2", "-ar", strconv.Itoa(s.SampleRate)}
}

func kbit(n int) string { return strconv.Itoa(n) + "k" }

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }
