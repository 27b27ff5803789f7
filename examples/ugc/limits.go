package main

import (
	"fmt"
	"time"

	"github.com/sluice-live/sluice/ingest"
)

// limits are what publishers are held to.
type limits struct {
	Bitrate   float64       `name:"max-bitrate" env:"UGC_MAX_BITRATE" placeholder:"MBIT" help:"Most megabits a second that a publisher may send."`
	Size      string        `name:"max-size" env:"UGC_MAX_SIZE" placeholder:"WxH" help:"Largest picture that a publisher may send, such as 1920x1080."`
	FrameRate int           `name:"max-fps" env:"UGC_MAX_FPS" placeholder:"N" help:"Most frames a second that a publisher may send."`
	Tracks    int           `name:"max-tracks" default:"16" env:"UGC_MAX_TRACKS" placeholder:"N" help:"Most tracks that a publisher may send."`
	Duration  time.Duration `name:"max-duration" env:"UGC_MAX_DURATION" help:"How long a connection may publish."`
	PerAddr   int           `name:"max-per-address" env:"UGC_MAX_PER_ADDRESS" placeholder:"N" help:"Most connections of publishers and players from one address."`
	Conns     int           `name:"max-connections" default:"10000" env:"UGC_MAX_CONNECTIONS" placeholder:"N" help:"Most connections of publishers and players in all."`
	Handshake time.Duration `name:"handshake-timeout" default:"10s" env:"UGC_HANDSHAKE_TIMEOUT" help:"How long a connection may take until it publishes or plays."`
	Idle      time.Duration `name:"idle-timeout" default:"30s" env:"UGC_IDLE_TIMEOUT" help:"How long a publisher may send nothing."`
}

// set holds a server to the limits.
func (l limits) set(s *ingest.Server) error {
	s.Limits = ingest.Limits{Bitrate: int(l.Bitrate * 1e6), FrameRate: l.FrameRate, Tracks: l.Tracks, Duration: l.Duration}
	if l.Size != "" {
		if n, err := fmt.Sscanf(l.Size+" ", "%dx%d ", &s.Limits.Width, &s.Limits.Height); n != 2 || err != nil || s.Limits.Width <= 0 || s.Limits.Height <= 0 {
			return fmt.Errorf("--max-size %q: want WIDTHxHEIGHT, such as 1920x1080", l.Size)
		}
	}
	s.Idle = l.Idle
	s.Conns = ingest.ConnLimits{Max: l.Conns, PerAddr: l.PerAddr, Handshake: l.Handshake, Idle: l.Idle}
	return nil
}
