package rtmp

import (
	"strconv"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/rtmp/amf"
	"github.com/sluice-live/sluice/internal/rtmp/chunk"
)

// setup is what a decoder has to be told before it begins.
type setup struct {
	tracks []*sluice.Track
}

// messages returns onMetaData and the configurations, with time stamp at.
func (s *setup) messages(at uint32) ([]byte, error) {
	if len(s.tracks) == 0 {
		return nil, nil
	}
	// Its time stamp is 0: FFmpeg takes a later one for the first of a text track.
	m := metadata(s.tracks)
	return s.configs(chunk.Append(nil, m, outSize), at)
}

// configs appends the configurations.
func (s *setup) configs(b []byte, at uint32) ([]byte, error) {
	numbers := map[sluice.Kind]int{}
	for _, t := range s.tracks {
		m, ok, err := config(t, numbers[t.Kind], at)
		if err != nil {
			return nil, err
		}
		if ok {
			b = chunk.Append(b, m, outSize)
		}
		numbers[t.Kind]++
	}
	return b, nil
}

// metadata is the onMetaData message that tells players of the tracks: those of
// number 0 as ever, the others as Enhanced RTMP has it.
func metadata(tracks []*sluice.Track) chunk.Message {
	o := amf.ECMA{}
	more := map[sluice.Kind]amf.Object{}
	numbers := map[sluice.Kind]int{}
	for _, t := range tracks {
		if n := numbers[t.Kind]; n == 0 {
			o = append(o, describe(t)...)
		} else {
			more[t.Kind] = append(more[t.Kind], amf.Property{Name: strconv.Itoa(n), Value: amf.Object(describe(t))})
		}
		numbers[t.Kind]++
	}
	for _, kind := range []sluice.Kind{sluice.Video, sluice.Audio} {
		if more[kind] != nil {
			o = append(o, amf.Property{Name: kind.String() + "TrackIdInfoMap", Value: more[kind]})
		}
	}
	o = append(o, amf.Property{Name: "encoder", Value: "Sluice"})
	return chunk.Message{ID: csStatus, Type: chunk.TypeDataAMF0, Stream: mediaStream, Data: amf.Append(nil, "onMetaData", o)}
}

// describe returns the properties of a track in onMetaData.
func describe(t *sluice.Track) []amf.Property {
	var o []amf.Property
	add := func(name string, v any) { o = append(o, amf.Property{Name: name, Value: v}) }
	id := codecFor(t).number()
	switch t.Kind {
	case sluice.Video:
		add("width", t.Width)
		add("height", t.Height)
		add("videocodecid", id)
		if t.FrameDur > 0 {
			add("framerate", float64(t.Timescale)/float64(t.FrameDur))
		}
	case sluice.Audio:
		add("audiocodecid", id)
		add("audiosamplerate", t.SampleRate)
		add("audiochannels", t.Channels)
		add("stereo", t.Channels > 1)
	}
	if t.Language != "" {
		add("language", t.Language)
	}
	return o
}
