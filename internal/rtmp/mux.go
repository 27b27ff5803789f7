package rtmp

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/rtmp/chunk"
	"github.com/sluice-live/sluice/internal/rtmp/flv"
)

// mux turns packets into messages: RTMP carries one video and one audio track,
// the first of each that it knows the codec of; Enhanced RTMP more.
type mux struct {
	began   time.Time // time stamp 0; taken from the first packet if zero
	many    bool      // all tracks, and not only the first of each kind
	tracks  []*sluice.Track
	publish bool   // to a server, which has to be told to keep the metadata
	stream  uint32 // message stream

	last map[uint32]int64 // time stamp of each track's last frame
}

// add makes t known and reports whether players have to be told: it is new or
// its configuration has changed.
func (m *mux) add(t *sluice.Track) bool {
	i := slices.IndexFunc(m.tracks, func(o *sluice.Track) bool { return o.Kind == t.Kind && (o.ID == t.ID || !m.many) })
	switch {
	case i >= 0 && m.tracks[i] == t:
		return false
	case codecFor(t) == nil:
		return false
	case i < 0 && m.number(t) > maxNumber:
		return false
	case i < 0:
		m.tracks = append(slices.Clone(m.tracks), t)
		return true
	case m.tracks[i].ID != t.ID:
		return false
	}
	same := m.tracks[i].Codec == t.Codec && bytes.Equal(m.tracks[i].Config, t.Config)
	m.tracks = slices.Clone(m.tracks)
	m.tracks[i] = t
	return !same
}

// maxNumber is the largest trackId.
const maxNumber = 255

// number is Enhanced RTMP's trackId: tracks of a kind are counted as they came.
func (m *mux) number(t *sluice.Track) (n int) {
	for _, o := range m.tracks {
		if o == t {
			break
		}
		if o.Kind == t.Kind {
			n++
		}
	}
	return n
}

// everyonesFirst returns the tracks that RTMP carries, those first that every
// player takes.
func everyonesFirst(tracks []*sluice.Track) []*sluice.Track {
	tracks = slices.DeleteFunc(slices.Clone(tracks), func(t *sluice.Track) bool { return codecFor(t) == nil })
	rank := func(t *sluice.Track) int {
		if codecFor(t).legacy == nil {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(tracks, func(a, b *sluice.Track) int { return cmp.Compare(rank(a), rank(b)) })
	return tracks
}

// preferred orders tracks so that a player gets the best of the renditions
// there are: the largest of those that every player takes, if there are such.
func preferred(tracks []*sluice.Track) []*sluice.Track {
	tracks = slices.Clone(tracks)
	slices.SortStableFunc(tracks, func(a, b *sluice.Track) int { return cmp.Compare(b.Width*b.Height, a.Width*a.Height) })
	return everyonesFirst(tracks)
}

// chosen returns the tracks that players get of a stream.
func chosen(tracks []*sluice.Track) []*sluice.Track {
	var m mux
	for _, t := range preferred(tracks) {
		m.add(t)
	}
	return m.tracks
}

// carries reports whether the packets of t go out.
func (m *mux) carries(t *sluice.Track) bool { return slices.Contains(m.tracks, t) }

// clock returns a position in milliseconds since the beginning. Before it is 0:
// sound may come a little before the first packet.
func (m *mux) clock(t *sluice.Track, ticks int64) int64 {
	return sluice.Rescale(ticks, int64(t.Timescale), 1000) - m.began.UnixMilli()
}

// stamp returns a packet's time stamp and composition offset. No two frames of a
// track get the same millisecond: recorders refuse the second.
func (m *mux) stamp(p sluice.Packet) (at int64, cts int32) {
	if m.began.IsZero() {
		m.began = time.UnixMilli(sluice.Rescale(p.DTS, int64(p.Track.Timescale), 1000))
	}
	at = max(0, m.clock(p.Track, p.DTS))
	if last, ok := m.last[p.Track.ID]; ok {
		at = max(at, last+1)
	}
	offset := m.clock(p.Track, p.PTS) - at
	if p.PTS >= p.DTS {
		offset = max(offset, 0)
	}
	return at, int32(min(max(offset, -1<<23), 1<<23-1))
}

func header(t *sluice.Track, at uint32) chunk.Message {
	m := chunk.Message{ID: csVideo, Type: chunk.TypeVideo, Time: at}
	if t.Kind == sluice.Audio {
		m.ID, m.Type = csAudio, chunk.TypeAudio
	}
	return m
}

// cut returns the packet's chunks, which refer to its Data, and their time stamp.
func (m *mux) cut(p sluice.Packet) ([][]byte, uint32) {
	at, cts := m.stamp(p)
	if m.last == nil {
		m.last = make(map[uint32]int64)
	}
	m.last[p.Track.ID] = at
	msg := header(p.Track, uint32(at))
	msg.Stream, msg.Data = m.stream, p.Data
	tag := flv.Tag{Track: uint8(m.number(p.Track)), Kind: flv.Frame, Key: p.Key, CTS: cts}
	return chunk.Cut(msg, codecFor(p.Track).head(p.Track, tag), outSize), msg.Time
}

// config returns the configuration message of a track; false if its codec has
// none.
func config(t *sluice.Track, number int, at uint32) (chunk.Message, bool, error) {
	c := codecFor(t)
	if c.config == nil {
		return chunk.Message{}, false, nil
	}
	record, err := c.config(t)
	if err != nil {
		return chunk.Message{}, false, fmt.Errorf("rtmp: %s configuration: %w", c.name, err)
	}
	msg := header(t, at)
	msg.Data = append(c.head(t, flv.Tag{Track: uint8(number), Kind: flv.Config, Key: true}), record...)
	return msg, true, nil
}

func (m *mux) has(k sluice.Kind) bool {
	return slices.ContainsFunc(m.tracks, func(t *sluice.Track) bool { return t.Kind == k })
}

func (m *mux) setup() *setup { return &setup{m.tracks, m.publish, m.stream} }
