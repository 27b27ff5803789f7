package transcode

import (
	"errors"
	"fmt"
	"strings"

	"github.com/asticode/go-astiav"

	"github.com/sluice-live/sluice"
)

// Rendition is one picture size and quality of a Ladder.
type Rendition struct {
	// Name is for viewers to choose by; default the height, as "720p".
	Name string
	// Width and Height bound the picture, in pixels. With one of them 0 the
	// other decides; Height alone bounds the shorter side, so that a portrait
	// picture becomes 720 wide in "720p". A picture is never made larger, but
	// for Ladder.Steady: a rendition that is larger than the source is left out.
	Width, Height int
	// Fit says how a picture of another shape gets into Width and Height.
	Fit Fit
	// FPS is the largest frame rate; frames beyond are dropped, but never one
	// that opens a segment. 0 is the source's.
	FPS float64
	// Bitrate is the mean, MaxBitrate the peak in bits a second; MaxBitrate
	// defaults to 1.2 times the mean. Bitrate 0 takes 0.1 bits a pixel.
	Bitrate, MaxBitrate int
	// Buffer is the VBV buffer in bits; default one second of MaxBitrate.
	Buffer int
	// Encoder is FFmpeg's name of it ("libx264", "libx265", "libsvtav1",
	// "h264_nvenc", "h264_vaapi" …); default libx264.
	Encoder string
	// Preset, Profile and Tune are the encoder's own. Default "veryfast", the
	// encoder's choice, and "zerolatency"; Tune "none" gives x264 and x265 their
	// look-ahead back: better pictures, up to half a second later.
	Preset, Profile, Tune string
	// BFrames is the most in a row; each costs a frame of delay. Default none.
	BFrames int
	// Threads of the encoder; default one for every 1280x720 pixels.
	Threads int
	// Options are more of the encoder's, by FFmpeg's names.
	Options map[string]string
}

// Fit says how a picture of one shape gets into a rectangle of another.
type Fit uint8

// The ways to fit a picture.
const (
	Contain Fit = iota // as large as fits, in its own shape
	Crop               // fills the rectangle, what stands over is cut
	Pad                // as large as fits, black beside it
)

// AudioRendition is one coding of a Ladder's sound: 48 kHz stereo.
type AudioRendition struct {
	// Codec is sluice.MP4A (AAC-LC) or sluice.Opus.
	Codec sluice.FourCC
	// Bitrate in bits a second; default 128,000.
	Bitrate int
}

// The presets, from the largest picture down.
var (
	HD = []Rendition{
		{Height: 720, Bitrate: 2_800_000}, {Height: 480, Bitrate: 1_200_000}, {Height: 360, Bitrate: 700_000}, {Height: 240, Bitrate: 350_000},
	}
	FullHD = append([]Rendition{{Height: 1080, Bitrate: 5_000_000}}, HD...)
	UHD    = append([]Rendition{{Height: 2160, Bitrate: 16_000_000}, {Height: 1440, Bitrate: 9_000_000}}, FullHD...)
	// AudioOnly is a stream without picture.
	AudioOnly = []Rendition{}
)

const maxSide = 8192

func (r Rendition) check() error {
	switch {
	case r.Width < 0 || r.Height < 0 || r.Width > maxSide || r.Height > maxSide || r.Width+r.Height == 0:
		return fmt.Errorf("size %dx%d: give a width or height of up to %d", r.Width, r.Height, maxSide)
	case r.Fit != Contain && (r.Width == 0 || r.Height == 0):
		return errors.New("cropping and padding need both Width and Height")
	case r.FPS < 0 || r.FPS > 1000 || r.Bitrate < 0 || r.MaxBitrate < 0 || r.Buffer < 0 || r.BFrames < 0 || r.BFrames > 16 || r.Threads < 0:
		return errors.New("a value is out of range")
	}
	return checkEncoder(r.encoder())
}

func (r Rendition) encoder() string {
	if r.Encoder == "" {
		return "libx264"
	}
	return r.Encoder
}

func checkEncoder(name string) error {
	c := astiav.FindEncoderByName(name)
	if c == nil {
		return fmt.Errorf("this build of FFmpeg has no encoder %q", name)
	}
	if _, ok := outputs[c.ID().Name()]; !ok {
		return fmt.Errorf("encoder %q makes %s, which Sluice does not package", name, c.ID().Name())
	}
	return nil
}

func (a AudioRendition) check() error {
	if a.Bitrate != 0 && (a.Bitrate < 6000 || a.Bitrate > 512_000) {
		return fmt.Errorf("bit rate %d: give one from 6,000 to 512,000", a.Bitrate)
	}
	_, err := a.encoder()
	return err
}

func (a AudioRendition) encoder() (string, error) {
	name, ok := map[sluice.FourCC]string{sluice.MP4A: "aac", sluice.Opus: "libopus"}[a.Codec]
	if !ok {
		return "", fmt.Errorf("codec %q: audio is encoded as %q or %q", a.Codec, sluice.MP4A, sluice.Opus)
	}
	return name, checkEncoder(name)
}

// size is what a rendition comes to for one picture.
type size struct {
	scaleW, scaleH int // of the whole picture
	w, h           int // of what is encoded
}

// sizeFor returns the rendition's size for a picture of the given size with
// square pixels; ok is false where the picture would have to be made larger.
func (r Rendition) sizeFor(width, height int) (s size, ok bool) {
	w, h := float64(r.Width), float64(r.Height)
	switch pw, ph := float64(width), float64(height); {
	case w == 0 && pw < ph: // portrait: Height bounds the shorter side
		w, h = h, h*ph/pw
	case w == 0:
		w = h * pw / ph
	case h == 0:
		h = w * ph / pw
	}
	factor := min(w/float64(width), h/float64(height))
	if r.Fit == Crop {
		factor = max(w/float64(width), h/float64(height))
	}
	ok = factor <= 1.001
	s.scaleW, s.scaleH = even(float64(width)*factor), even(float64(height)*factor)
	s.w, s.h = s.scaleW, s.scaleH
	if r.Fit != Contain {
		s.w, s.h = even(w), even(h)
	}
	if r.Fit == Crop {
		s.scaleW, s.scaleH = max(s.scaleW, s.w), max(s.scaleH, s.h)
	}
	if r.Fit == Pad {
		s.scaleW, s.scaleH = min(s.scaleW, s.w), min(s.scaleH, s.h)
	}
	return s, ok
}

// even rounds to the nearest even number: 4:2:0 has a colour sample for two.
func even(v float64) int { return max(2, int(v/2+0.5)*2) }

// sourceSize is a rendition of the picture's own size.
func sourceSize(width, height int) size {
	w, h := max(2, width&^1), max(2, height&^1)
	return size{w, h, w, h}
}

func (r Rendition) name(s size) string {
	if r.Name != "" {
		return r.Name
	}
	return fmt.Sprintf("%dp", min(s.w, s.h))
}

// bitrate returns mean, peak and buffer for a picture.
func (r Rendition) bitrate(s size, fps float64) (mean, peak, buffer int) {
	mean = r.Bitrate
	if mean == 0 {
		mean = max(64_000, int(0.1*float64(s.w)*float64(s.h)*fps))
	}
	peak = max(r.MaxBitrate, mean)
	if r.MaxBitrate == 0 {
		peak = mean / 5 * 6
	}
	buffer = r.Buffer
	if buffer == 0 {
		buffer = peak
	}
	return mean, peak, buffer
}

func isHardware(encoder string) bool {
	return strings.HasSuffix(encoder, "_nvenc") || strings.HasSuffix(encoder, "_vaapi")
}
