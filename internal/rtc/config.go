package rtc

import (
	"cmp"
	"errors"
	"log/slog"
	"time"

	"github.com/sluice-live/sluice"
)

// Errors that sessions end with, to be matched with errors.Is.
var (
	// ErrOffer says that an offer cannot be understood.
	ErrOffer = errors.New("the offer is not valid")
	// ErrCodec says that a codec is not carried.
	ErrCodec = errors.New("codec is not supported")
	// ErrMedia says that RTP payloads are not what their codec's are.
	ErrMedia = errors.New("payload is not valid")
	// ErrSilent says that a peer sent no media for too long.
	ErrSilent = errors.New("rtc: no media came")
	// ErrFull says that as many sessions are open as may be.
	ErrFull = errors.New("rtc: too many sessions are open")
	// ErrGone says that a peer cannot be reached any more.
	ErrGone = errors.New("rtc: peer is gone")
)

// Config configures a Server. The zero value is good, but for Address.
type Config struct {
	// Address is where one UDP and one TCP port of the same number are opened,
	// such as ":8189". With port 0 the system chooses.
	Address string
	// Advertise are the IP addresses that peers are told to connect to, for
	// hosts behind 1:1 NAT or a port forward. Empty: all local addresses.
	Advertise []string
	// ICEServers are told to WHIP clients, as Link headers.
	ICEServers []ICEServer
	// Patience is how long a packet that is missing is waited for: 500 ms if 0.
	// Media that follows it is as late.
	Patience time.Duration
	// FirstMedia is how long a session may take until media comes: 15 s if 0.
	FirstMedia time.Duration
	// Idle is how long a session may send no media: 30 s if 0.
	Idle time.Duration
	// Away is how long a peer may be unreachable, which ICE notices after 5 s:
	// 5 s if 0.
	Away time.Duration
	// Log takes what is odd but not an error; nil discards it.
	Log *slog.Logger
}

// ICEServer is a STUN or TURN server for clients.
type ICEServer struct {
	URL                  string // stun:…, turn:…, turns:…
	Username, Credential string
}

func (c Config) withDefaults() Config {
	c.Patience = cmp.Or(c.Patience, 500*time.Millisecond)
	c.FirstMedia = cmp.Or(c.FirstMedia, 15*time.Second)
	c.Idle = cmp.Or(c.Idle, 30*time.Second)
	c.Away = cmp.Or(c.Away, 5*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Stats count what sessions went through.
type Stats struct {
	Packets, Bytes uint64 // of RTP, repaired ones included
	Asked          uint64 // packets asked for again
	Repaired       uint64 // of these, came
	Lost           uint64 // packets that never came
	FramesDropped  uint64 // for want of a packet or of a key frame before them
	KeysAsked      uint64 // key frames asked for
}

func (s *Stats) add(o Stats) {
	s.Packets += o.Packets
	s.Bytes += o.Bytes
	s.Asked += o.Asked
	s.Repaired += o.Repaired
	s.Lost += o.Lost
	s.FramesDropped += o.FramesDropped
	s.KeysAsked += o.KeysAsked
}

// sameOr returns old if both describe the same, so that a Track stays the same
// pointer for as long as its parameters do.
func sameOr(old, track *sluice.Track) *sluice.Track {
	if old != nil && old.Codec == track.Codec && string(old.Config) == string(track.Config) {
		return old
	}
	return track
}
