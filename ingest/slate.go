package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/mp4"
)

// Bounds of a slate.
const (
	slateBytes   = 64 << 20
	slatePackets = 1 << 17 // of 20 minutes with sound
)

// Slate is a clip that stands for a stream while its encoder is away, played
// over and over. It may serve any number of broadcasts, and is not modified.
type Slate struct {
	video, audio clip
	length       int64 // of a round, in nanoseconds
}

// LastPicture is a Slate that shows the newest key frame of the encoder that is
// away, with silence: viewers see its last picture, or one shortly before, and
// decoders no change. It is sent four times a second.
var LastPicture = new(Slate)

const lastPictureDur = time.Second / 4 // parts of a playlist are as long at most

// of returns the slate for a stream as it is now: the slate itself, or the
// stream's last picture. That is nil for a stream without pictures.
func (s *Slate) of(t *timeline) *Slate {
	if s != LastPicture {
		return s
	}
	l := t.first(sluice.Video)
	if l == nil || l.key == nil {
		return nil
	}
	return &Slate{
		video:  clip{track: l.track, frames: []clipFrame{{key: true, data: l.key}}},
		length: int64(lastPictureDur),
	}
}

// clip is one track of a slate. Times are nanoseconds from where the slate's
// first picture is shown.
type clip struct {
	track  *sluice.Track // nil: there is none
	frames []clipFrame
	frame  int64 // duration of each, of audio
}

type clipFrame struct {
	dts, pts int64
	key      bool
	data     []byte
}

// slateScale is the clock of a slate's input: its ticks are nanoseconds.
const slateScale = int64(time.Second)

// LoadSlate reads a clip from an MP4 file of up to 64 MiB: video that every
// player of the stream can take, H.264 as a rule, with or without sound. Its
// key frames should be two seconds apart at most, so that viewers can join
// anywhere.
func LoadSlate(file string) (*Slate, error) {
	b, err := readFile(file, slateBytes)
	if err != nil {
		return nil, fmt.Errorf("ingest: slate: %w", err)
	}
	packets, err := mp4.Read(b)
	if err != nil {
		return nil, fmt.Errorf("ingest: slate %s (it is to be an MP4 file, as ffmpeg -i CLIP -c:v libx264 -bf 0 -g 50 -c:a aac slate.mp4 makes it): %w", file, err)
	}
	s, err := newSlate(packets)
	if err != nil {
		return nil, fmt.Errorf("ingest: slate %s: %w", file, err)
	}
	return s, nil
}

func readFile(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s is larger than %d MiB", name, most>>20)
	}
	return b, err
}

// NewSlate makes a slate of a Source, which it reads to its end: up to 64 MiB of
// its first video and first audio track.
func NewSlate(ctx context.Context, src sluice.Source) (*Slate, error) {
	var packets []sluice.Packet
	bytes := 0
	for {
		p, err := src.ReadPacket(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("ingest: slate: %w", err)
		}
		if bytes += len(p.Data); bytes > slateBytes || len(packets) == slatePackets {
			return nil, fmt.Errorf("ingest: slate: longer than %d MiB or %d packets", slateBytes>>20, slatePackets)
		}
		packets = append(packets, p)
	}
	s, err := newSlate(packets)
	if err != nil {
		return nil, fmt.Errorf("ingest: slate: %w", err)
	}
	return s, nil
}

var errNoMedia = errors.New("it has neither video that begins with a key frame nor sound")

func newSlate(packets []sluice.Packet) (*Slate, error) {
	s := new(Slate)
	var last int64 // duration of the video's last frame
	for _, p := range packets {
		var c *clip
		switch p.Track.Kind {
		case sluice.Video:
			c = &s.video
		case sluice.Audio:
			c = &s.audio
		}
		if c == nil || p.Data == nil || c.track != nil && c.track.ID != p.Track.ID || c.track == nil && !p.Key && c == &s.video {
			continue
		}
		if err := c.add(p); err != nil {
			return nil, err
		}
		if c == &s.video {
			last = nanoseconds(p.Dur, p.Track)
		}
	}
	if len(s.video.frames)+len(s.audio.frames) == 0 {
		return nil, errNoMedia
	}
	s.align(last)
	if s.length < int64(100*time.Millisecond) || len(s.video.frames)+len(s.audio.frames) > slatePackets {
		return nil, fmt.Errorf("a length of %v, in %d frames", time.Duration(s.length), len(s.video.frames))
	}
	return s, nil
}

func nanoseconds(ticks int64, t *sluice.Track) int64 {
	return sluice.Rescale(ticks, int64(t.Timescale), slateScale)
}

func (c *clip) add(p sluice.Packet) error {
	if c.track == nil {
		native, err := codec.Native(p.Track)
		if err != nil {
			return err
		}
		c.track = p.Track
		c.frame = nanoseconds(native.FrameDur, native)
		if c.frame == 0 {
			c.frame = nanoseconds(p.Dur, p.Track)
		}
		if c.frame <= 0 {
			c.frame = slateScale / 50
		}
	} else if !sameParameters(c.track, p.Track) {
		return errors.New("its parameters change on the way")
	}
	f := clipFrame{dts: nanoseconds(p.DTS, p.Track), pts: nanoseconds(p.PTS, p.Track), key: p.Key, data: p.Data}
	if n := len(c.frames); n > 0 && f.dts <= c.frames[n-1].dts {
		return errors.New("its time stamps go back")
	}
	c.frames = append(c.frames, f)
	return nil
}

// align counts all times from the first picture, and finds the length of a
// round. last is the duration of the last picture.
func (s *Slate) align(last int64) {
	lead := s.video.frames
	if len(lead) == 0 {
		lead = s.audio.frames
		last = s.audio.frame
	}
	zero, end := lead[0].pts, lead[0].pts
	for _, f := range lead {
		end = max(end, f.pts)
	}
	if n := len(lead); last <= 0 && n > 1 {
		last = (lead[n-1].dts - lead[0].dts) / int64(n-1)
	}
	s.length = end + max(last, int64(time.Millisecond)) - zero
	for _, c := range []*clip{&s.video, &s.audio} {
		for i := range c.frames {
			c.frames[i].dts -= zero
			c.frames[i].pts -= zero
		}
	}
	// Sound is taken by its place in the round: what is before is priming.
	for len(s.audio.frames) > 0 && s.audio.frames[0].pts < -s.audio.frame/2 {
		s.audio.frames = s.audio.frames[1:]
	}
	if len(s.audio.frames) == 0 {
		s.audio = clip{}
	}
}
