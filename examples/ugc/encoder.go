package main

import (
	"time"

	"github.com/sluice-live/sluice/ingest"
)

// encoder is what the API says of a stream's way in.
type encoder struct {
	State       string         `json:"state"`              // encoderLive …
	Protocol    string         `json:"protocol,omitempty"` // rtmp, rtmps, srt, webrtc; none while it is away
	Spares      int            `json:"spares"`             // connections that may take over
	Switches    uint64         `json:"switches"`           // to one of them, so far
	Connections uint64         `json:"connections"`        // so far
	Bytes       uint64         `json:"bytes"`              // of media that went out, so far
	Repairs     ingest.Repairs `json:"repairs"`

	since time.Time
}

// What an encoder may be doing.
const (
	encoderLive    = "live"    // its media goes out
	encoderSlate   = "slate"   // it is away or silent, and the slate stands for it
	encoderWaiting = "waiting" // it is away, and viewers see a gap
)

// encoders describes the broadcasts of this process, those whose encoder is
// away included, by stream.
func (p *platform) encoders() map[string]*encoder {
	all := make(map[string]*encoder)
	if p.server == nil {
		return all
	}
	for _, b := range p.server.Broadcasts() {
		st := b.Stats()
		e := &encoder{
			State: encoderWaiting, Protocol: st.Protocol, Spares: st.Waiting, Switches: st.Switches,
			Connections: st.Connections, Bytes: st.LiveBytes, Repairs: st.Repairs, since: b.Started.UTC(),
		}
		switch {
		case st.Slate:
			e.State = encoderSlate
		case st.Live:
			e.State = encoderLive
		}
		all[b.Name] = e
	}
	return all
}
