package rtmp

import (
	"fmt"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/rtmp/amf"
)

// Bits of capsEx (Enhanced RTMP v2, "Enhancing NetConnection connect Command").
const (
	capMultitrack = 0x02
	capModEx      = 0x04
)

// Bits of the values in videoFourCcInfoMap and audioFourCcInfoMap.
const (
	canDecode  = 0x01
	canForward = 0x04
)

// caps is what a peer says in connect, or in the answer to it, that it can
// receive. The zero value is a peer that says nothing.
type caps struct {
	said   bool
	any    [sluice.Audio + 1]bool // by kind: "*"
	codecs map[string]bool        // FourCCs
	ex     int
}

// infoMaps are the properties that hold a kind's codecs.
var infoMaps = [...]struct {
	kind sluice.Kind
	name string
}{{sluice.Video, "videoFourCcInfoMap"}, {sluice.Audio, "audioFourCcInfoMap"}}

// read takes what an object of the peer's says.
func (c *caps) read(o amf.Object) {
	if l, ok := o.Get("fourCcList").([]any); ok {
		c.said = true
		for _, v := range l {
			id, _ := v.(string)
			c.take(sluice.Video, id)
			c.take(sluice.Audio, id)
		}
	}
	for _, m := range infoMaps {
		v := o.Get(m.name)
		c.said = c.said || v != nil
		for _, p := range amf.Members(v) {
			if bits, _ := p.Value.(float64); int(bits)&(canDecode|canForward) != 0 {
				c.take(m.kind, p.Name)
			}
		}
	}
	if ex, ok := o.Get("capsEx").(float64); ok && ex > 0 && ex < 1<<31 {
		c.ex = int(ex)
	}
}

func (c *caps) take(kind sluice.Kind, id string) {
	if id == "*" {
		c.any[kind] = true
		return
	}
	if c.codecs == nil {
		c.codecs = make(map[string]bool)
	}
	c.codecs[id] = true
}

// takes reports whether the peer takes a codec. One that says nothing may: FFmpeg
// plays HEVC without a word unless it is told to say so.
func (c *caps) takes(e *codecEntry) bool {
	return !c.said || e.legacy != nil || c.any[e.kind] || c.codecs[e.fourCC]
}

// check returns an error that names the first of the tracks that the peer does
// not take.
func (c *caps) check(tracks []*sluice.Track) error {
	for _, t := range tracks {
		if e := codecFor(t); !c.takes(e) {
			return fmt.Errorf("%s %s is not among the codecs that the other side lists when connecting (%q): %w",
				e.name, e.kind, e.fourCC, ErrCodec)
		}
	}
	return nil
}

// ourCaps says what we receive.
func ourCaps() amf.Object {
	var list []any
	maps := map[sluice.Kind]amf.Object{}
	for i := range codecs {
		if c := &codecs[i]; c.carried() {
			list = append(list, c.fourCC)
			maps[c.kind] = append(maps[c.kind], amf.Property{Name: c.fourCC, Value: canForward})
		}
	}
	o := amf.Object{{Name: "fourCcList", Value: list}}
	for _, m := range infoMaps {
		o = append(o, amf.Property{Name: m.name, Value: maps[m.kind]})
	}
	return append(o, amf.Property{Name: "capsEx", Value: capMultitrack | capModEx})
}
