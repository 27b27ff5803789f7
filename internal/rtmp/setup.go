package rtmp

import (
	"strconv"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/rtmp/amf"
	"github.com/sluice-live/sluice/internal/rtmp/chunk"
)

// setup is what a decoder has to be told before it begins.
type setup struct {
	tracks  []*sluice.Track
	publish bool   // to a server, which has to be told to keep the metadata
	stream  uint32 // message stream
}

// messages returns onMetaData and the configurations, these with time stamp at.
// Metadata has time stamp 0: FFmpeg takes it for a subtitle anywhere else.
func (s *setup) messages(at uint32) ([]byte, error) {
	if len(s.tracks) == 0 {
		return nil, nil
	}
	all := []chunk.Message{metadata(s.tracks)}
	if s.publish {
		all[0].Data = append(amf.Append(nil, "@setDataFrame"), all[0].Data...)
	}
	numbers := map[sluice.Kind]int{}
	for _, t := range s.tracks {
		m, ok, err := config(t, numbers[t.Kind], at)
		if err != nil {
			return nil, err
		}
		if ok {
			all = append(all, m)
		}
		numbers[t.Kind]++
	}
	for i := range all {
		all[i].Stream = s.stream
	}
	return coded(all...), nil
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
	return chunk.Message{ID: csStatus, Type: chunk.TypeDataAMF0, Data: amf.Append(nil, "onMetaData", o)}
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
