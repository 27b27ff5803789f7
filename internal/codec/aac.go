package codec

import (
	"fmt"

	"github.com/sluice-live/sluice"
)

// MPEG-4 audio object types.
const (
	aotMain   = 1
	aotLC     = 2
	aotSSR    = 3
	aotLTP    = 4
	aotSBR    = 5
	aotERLC   = 17
	aotERLTP  = 19
	aotERLD   = 23
	aotPS     = 29
	aotEscape = 31
	aotERELD  = 39
	syncSBR   = 0x2b7
	syncPS    = 0x548
	maxASC    = 512 // a program config element with its comment has 330 bytes at most
	objectAAC = 0x40
	objectMP2 = 0x69 // MPEG-2 audio, mp4ra.org
	objectMP1 = 0x6b // MPEG-1 audio
)

// ASC is what Sluice reads of an AudioSpecificConfig (ISO/IEC 14496-3).
type ASC struct {
	ObjectType   uint8 // of the core: 2 is AAC-LC
	CoreRate     int   // samples a second that the core codes
	OutputRate   int   // samples a second that come out: twice CoreRate with SBR
	Channels     int   // that come out: 2 with PS
	SBR, PS      bool  // signalled; decoders may find them unannounced as well
	FrameSamples int   // per access unit at CoreRate
}

// AAC returns the track that an AudioSpecificConfig describes.
//
// Timescale is the rate of the core and FrameDur the core's samples per access
// unit (1024, rarely 960, 512 or 480). So a duration is exact however SBR is
// signalled: an HE-AAC access unit of 2048 output samples at 48 kHz and its 1024
// core samples at 24 kHz take the same time. SampleRate is the rate that comes out.
func AAC(asc []byte) (*sluice.Track, error) {
	c, err := ParseASC(asc)
	if err != nil {
		return nil, err
	}
	entry := box(nil, "mp4a", func(b []byte) []byte {
		b = audio(b, c.Channels, c.OutputRate)
		return box(b, "esds", func(b []byte) []byte { return esds(b, objectAAC, 0x15, asc) })
	})
	return &sluice.Track{
		Kind:       sluice.Audio,
		Codec:      sluice.MP4A,
		Timescale:  uint32(c.CoreRate),
		Config:     entry,
		FrameDur:   int64(c.FrameSamples),
		SampleRate: c.OutputRate,
		Channels:   c.Channels,
	}, nil
}

// AACConfig returns the AudioSpecificConfig of a track.
func AACConfig(t *sluice.Track) ([]byte, error) {
	_, asc, err := readESDS(t.Config)
	if err == nil && len(asc) == 0 {
		err = fmt.Errorf("no AudioSpecificConfig: %w", ErrInvalid)
	}
	if err != nil {
		return nil, fmt.Errorf("codec: AAC configuration of track %d: %w", t.ID, err)
	}
	return asc, nil
}

var ascRates = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// ParseASC reads an AudioSpecificConfig.
func ParseASC(b []byte) (ASC, error) {
	if len(b) > maxASC {
		return ASC{}, fmt.Errorf("codec: AudioSpecificConfig of %d bytes: %w", len(b), ErrInvalid)
	}
	var c ASC
	r := &bitReader{b: b}
	c.ObjectType = r.objectType()
	c.CoreRate = r.sampleRate()
	layout := r.bits(4)
	if c.ObjectType == aotSBR || c.ObjectType == aotPS {
		c.SBR, c.PS = true, c.ObjectType == aotPS
		c.OutputRate = r.sampleRate()
		c.ObjectType = r.objectType()
	} else {
		c.OutputRate = c.CoreRate
	}
	c.body(r, layout)
	if r.err == nil && !c.SBR && c.ObjectType != aotERELD {
		c.extension(r)
	}
	if c.PS && c.Channels == 1 {
		c.Channels = 2
	}
	if r.err != nil {
		return ASC{}, fmt.Errorf("codec: AudioSpecificConfig: %w", r.err)
	}
	return c, nil
}

func (c *ASC) body(r *bitReader, layout uint32) {
	long, short := 1024, 960
	switch c.ObjectType {
	case aotMain, aotLC, aotSSR, aotLTP, aotERLC, aotERLTP:
	case aotERLD, aotERELD:
		long, short = 512, 480
	default:
		r.fail(fmt.Errorf("audio object type %d: %w", c.ObjectType, ErrUnsupported))
	}
	c.FrameSamples = long
	if r.flag() {
		c.FrameSamples = short
	}
	if c.ObjectType != aotERELD {
		if r.flag() {
			r.skip(14) // coreCoderDelay
		}
		r.flag() // extensionFlag
	}
	if layout == 0 && c.ObjectType != aotERELD {
		c.Channels = r.programConfig()
	} else {
		c.Channels = layoutChannels[layout]
	}
	if c.Channels == 0 {
		r.fail(fmt.Errorf("channel configuration %d: %w", layout, ErrUnsupported))
	}
}

// layoutChannels counts the channels of a channelConfiguration; 0 is reserved.
var layoutChannels = [16]int{0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 24, 8, 0}

// extension looks for the backward-compatible signalling of SBR and PS, which
// stands behind the part that old decoders know. A damaged one is ignored, as
// they do.
func (c *ASC) extension(r *bitReader) {
	x := *r
	if x.left() < 16 || x.bits(11) != syncSBR || x.objectType() != aotSBR || !x.flag() {
		return
	}
	rate := x.sampleRate()
	if x.err != nil {
		return
	}
	c.SBR, c.OutputRate = true, rate
	if x.left() >= 12 && x.bits(11) == syncPS {
		c.PS = x.flag()
	}
}

func (r *bitReader) objectType() uint8 {
	t := r.bits(5)
	if t == aotEscape {
		t = 32 + r.bits(6)
	}
	return uint8(t)
}

func (r *bitReader) sampleRate() int {
	i := r.bits(4)
	rate := 0
	if i == 15 {
		rate = int(r.bits(24))
	} else if int(i) < len(ascRates) {
		rate = ascRates[i]
	}
	if rate < 1000 || rate > 384000 {
		r.fail(fmt.Errorf("sampling rate %d: %w", rate, ErrInvalid))
	}
	return rate
}

// programConfig reads a program_config_element and counts its channels.
func (r *bitReader) programConfig() int {
	r.skip(4 + 2 + 4)
	elements := int(r.bits(4) + r.bits(4) + r.bits(4)) // front, side, back
	lfe := int(r.bits(2))
	r.skip(3 + 4)
	for _, n := range [...]int{4, 4, 3} { // mono, stereo and matrix mixdown
		if r.flag() {
			r.skip(n)
		}
	}
	channels := lfe
	for range elements {
		channels += 1 + int(r.bits(1)) // a channel pair
		r.skip(4)
	}
	return channels
}

func mp4aMIME(entry []byte) (string, error) {
	object, asc, err := readESDS(entry)
	if err != nil {
		return "", err
	}
	if object != objectAAC {
		return fmt.Sprintf("mp4a.%02X", object), nil
	}
	c, err := ParseASC(asc)
	if err != nil {
		return "", err
	}
	switch {
	case c.PS:
		return "mp4a.40.29", nil
	case c.SBR:
		return "mp4a.40.5", nil
	}
	return fmt.Sprintf("mp4a.40.%d", c.ObjectType), nil
}

// mp4aDecoder tells the codings apart that the entry is used for: the object
// types of mp4ra.org.
func mp4aDecoder(entry []byte) (name string, private []byte, err error) {
	object, asc, err := readESDS(entry)
	if err != nil {
		return "", nil, err
	}
	switch object {
	case objectAAC, 0x66, 0x67, 0x68: // MPEG-4, and MPEG-2 Main, LC and SSR
		if len(asc) == 0 || len(asc) > maxASC {
			return "", nil, fmt.Errorf("AudioSpecificConfig of %d bytes: %w", len(asc), ErrInvalid)
		}
		return "aac", asc, nil
	case objectMP2, objectMP1:
		return "mp3", nil, nil // its decoder takes layers I and II as well
	case 0xa5:
		return "ac3", nil, nil
	}
	return "", nil, fmt.Errorf("object type 0x%02x: %w", object, ErrUnsupported)
}
