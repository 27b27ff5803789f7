package origin

import (
	"strconv"
	"time"

	"github.com/sluice-live/sluice"
)

// Info describes a stream that is live.
type Info struct {
	Name    string
	Since   time.Time // of its first packet's arrival here
	Tracks  []TrackInfo
	Viewers int // different clients that asked for playlists in the last 10 to 20 s; an estimate
}

// TrackInfo describes one track of a live stream.
type TrackInfo struct {
	ID            uint32
	Kind          sluice.Kind
	Codec         string  // RFC 6381
	Width, Height int     // video
	FrameRate     float64 // frames a second; 0 is not known
}

// Live describes the streams that are live now, in no order.
func (s *Server) Live() []Info {
	names := s.names.Load()
	if names == nil {
		return nil
	}
	var all []Info
	for _, b := range *names {
		if !b.finished.Load() {
			all = append(all, b.info())
		}
	}
	return all
}

func (b *broadcast) info() Info {
	info := Info{Name: b.name, Since: b.since, Viewers: b.viewers.count()}
	for _, id := range b.entry.Load().tracks {
		t := b.track(strconv.FormatUint(uint64(id), 10))
		if t == nil {
			continue
		}
		if s := t.now.Load(); s.desc != nil {
			info.Tracks = append(info.Tracks, TrackInfo{
				ID: s.desc.ID, Kind: s.desc.Kind, Codec: s.mime,
				Width: s.desc.Width, Height: s.desc.Height, FrameRate: frameRate(s.desc),
			})
		}
	}
	return info
}
