package rtc

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// layersOf are simulcast layers in no order of size.
var layersOf = []struct {
	rid           string
	width, height int
}{{"m", 640, 360}, {"h", 1280, 720}, {"l", 320, 180}}

// simulcast sends three layers until ctx is done.
func simulcast(ctx context.Context, t *testing.T, s *site) *webrtc.PeerConnection {
	api, err := clientAPI([]format{{codecEntry: codecByMIME(webrtc.MimeTypeVP8), payload: 96, rtx: 97}}, loggers{s.cfg.Log})
	require.NoError(t, err)
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	require.NoError(t, err)
	var locals []*webrtc.TrackLocalStaticRTP
	for _, l := range layersOf {
		local, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, "v", "s", webrtc.WithRTPStreamID(l.rid))
		require.NoError(t, err)
		locals = append(locals, local)
	}
	sender, err := pc.AddTrack(locals[0])
	require.NoError(t, err)
	for _, local := range locals[1:] {
		require.NoError(t, sender.AddEncoding(local))
	}
	connected := make(chan struct{})
	var once sync.Once
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateConnected {
			once.Do(func() { close(connected) })
		}
	})
	offer, err := pc.CreateOffer(nil)
	require.NoError(t, err)
	gathered := webrtc.GatheringCompletePromise(pc)
	require.NoError(t, pc.SetLocalDescription(offer))
	<-gathered
	status, _, answer := do(t, http.MethodPost, s.url, sdpType, pc.LocalDescription().SDP)
	require.Equal(t, http.StatusCreated, status, answer)
	require.NoError(t, pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}))
	<-connected
	var mid, rid uint8
	for _, e := range sender.GetParameters().HeaderExtensions {
		switch e.URI {
		case sdp.SDESMidURI:
			mid = uint8(e.ID)
		case sdp.SDESRTPStreamIDURI:
			rid = uint8(e.ID)
		}
	}
	require.NotZero(t, rid)
	var wg sync.WaitGroup
	for i, local := range locals {
		wg.Go(func() {
			pack := packVP8()
			var seq uint16
			for n := int64(0); ctx.Err() == nil; n++ {
				l := layersOf[i]
				payloads := pack.Payload(mtu-packetHeader, vp8Frame(n, n%15 == 0, l.width, l.height, 1500))
				for j, payload := range payloads {
					p := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: seq, Timestamp: uint32(n) * 3000, Marker: j == len(payloads)-1}, Payload: payload}
					seq++
					_ = p.SetExtension(mid, []byte("0"))
					_ = p.SetExtension(rid, []byte(l.rid))
					_ = local.WriteRTP(p) // the session may have ended first
				}
				_ = sleep(ctx, 33*time.Millisecond)
			}
		})
	}
	t.Cleanup(func() {
		wg.Wait()
		require.NoError(t, pc.GracefulClose())
	})
	return pc
}

func TestSimulcastLayersAreTracksOfTheirOwnTheLargestFirst(t *testing.T) {
	s := newSite(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	simulcast(ctx, t, s)
	session := <-s.sessions
	first := map[uint32]sluice.Packet{}
	last := map[uint32]int64{}
	for range 150 {
		p := read(t, session)
		n := number(t, p)
		if _, ok := first[p.Track.ID]; !ok {
			first[p.Track.ID] = p
			assert.True(t, p.Key)
		} else {
			assert.Equal(t, last[p.Track.ID]+1, n)
		}
		last[p.Track.ID] = n
	}
	cancel()
	require.Len(t, first, 3)
	assert.Equal(t, 1280, first[1].Track.Width)
	assert.Equal(t, 640, first[11].Track.Width)
	assert.Equal(t, 320, first[12].Track.Width)
}
