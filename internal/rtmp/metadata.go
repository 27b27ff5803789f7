package rtmp

import (
	"github.com/sluice-live/sluice/internal/rtmp/amf"
	"github.com/sluice-live/sluice/internal/rtmp/chunk"
)

// Metadata is what a publisher's onMetaData says.
type Metadata struct {
	Known              bool // onMetaData has come
	HasVideo, HasAudio bool
	FrameRate          float64 // 0 if not said
	Encoder            string
}

// parseMetadata parses a data message. It reports whether that is onMetaData.
func parseMetadata(m chunk.Message) (Metadata, bool) {
	b := m.Data
	if m.Type == chunk.TypeDataAMF3 && len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	// What comes before an error counts: encoders cut their metadata short.
	vs, _ := amf.Decode(b)
	if len(vs) > 0 && vs[0] == "@setDataFrame" {
		vs = vs[1:]
	}
	if len(vs) < 2 || vs[0] != "onMetaData" {
		return Metadata{}, false
	}
	o := amf.Members(vs[1])
	return Metadata{
		Known:     true,
		HasVideo:  says(o, "videocodecid") || o.Number("width") > 0,
		HasAudio:  says(o, "audiocodecid") || o.Number("audiosamplerate") > 0,
		FrameRate: frameRate(o),
		Encoder:   o.String("encoder"),
	}, true
}

// says reports whether a codec is named, by number or (FMLE) by name.
func says(o amf.Object, name string) bool {
	return o.Number(name) > 0 || o.String(name) != ""
}

func frameRate(o amf.Object) float64 {
	for _, name := range []string{"framerate", "videoframerate", "fps"} {
		// Beyond it stands nonsense such as 1000 for "variable".
		if r := o.Number(name); r > 0 && r <= 480 {
			return r
		}
	}
	return 0
}
