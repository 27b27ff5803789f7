package rtc

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/sluice-live/sluice"
)

// ErrBFrames ends a publication whose pictures are not shown in the order in
// which they are decoded: WebRTC has no way to say so.
var ErrBFrames = errors.New("rtc: WebRTC carries no B-frames: send a rendition without")

const (
	mtu          = 1200
	burst        = 16 // packets
	burstPause   = time.Millisecond
	reportEvery  = time.Second
	packetHeader = 12
)

// outgoing is one track on its way to RTP.
type outgoing struct {
	client   *Client
	codec    format
	id       uint32
	local    *webrtc.TrackLocalStaticRTP
	sender   *webrtc.RTPSender
	pack     rtp.Payloader
	seq      uint16
	base     uint32 // added to time stamps
	key      bool   // one has been sent
	pts      int64
	ready    time.Time // when what was sent so far is worth half its duration
	reported time.Time
	packets  uint32
	octets   uint32
}

func newOutgoing(c *Client, t *sluice.Track, f format) *outgoing {
	return &outgoing{client: c, codec: f, id: t.ID, pack: f.pack(), seq: uint16(randomUint32()), base: randomUint32()}
}

// attach adds the track to the connection and answers the server's RTCP.
func (o *outgoing) attach() (err error) {
	capability := webrtc.RTPCodecCapability{MimeType: o.codec.mime, ClockRate: o.codec.rate, SDPFmtpLine: o.codec.fmtp}
	if o.codec.kind == webrtc.RTPCodecTypeAudio {
		capability.Channels = 2
	}
	if o.local, err = webrtc.NewTrackLocalStaticRTP(capability, strconv.Itoa(int(o.id)), "sluice"); err != nil {
		return err
	}
	t, err := o.client.pc.AddTransceiverFromTrack(o.local, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		return err
	}
	o.sender = t.Sender()
	o.client.wg.Go(o.readReports)
	return nil
}

// bound reports whether the server takes the codec.
func (o *outgoing) bound() bool {
	for _, p := range o.sender.GetParameters().Codecs {
		if codecByMIME(p.MimeType) == o.codec.codecEntry {
			return true
		}
	}
	return false
}

// readReports passes on that the server wants a key frame.
func (o *outgoing) readReports() {
	for {
		packets, _, err := o.sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			switch p.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				o.client.requestKey(o.id)
			}
		}
	}
}

// send sends one access unit, all of its packets.
func (o *outgoing) send(ctx context.Context, p sluice.Packet) error {
	if p.Data == nil {
		return nil
	}
	if p.Track.Codec != o.codec.codec {
		return fmt.Errorf("rtc: track %d goes over to %q: %w without a new connection", o.id, p.Track.Codec, ErrCodec)
	}
	video := p.Track.Kind == sluice.Video
	if video && !o.key && !p.Key {
		return nil
	}
	if o.key && p.PTS < o.pts {
		return ErrBFrames
	}
	o.key, o.pts = true, p.PTS
	frame := p.Data
	if o.codec.frame != nil {
		var err error
		if frame, err = o.codec.frame(p.Track, p); err != nil {
			return err
		}
	}
	if err := o.pace(ctx, p); err != nil {
		return err
	}
	payloads := o.pack.Payload(mtu-packetHeader, frame)
	ts := o.base + uint32(sluice.Rescale(p.PTS, int64(p.Track.Timescale), int64(o.codec.rate)))
	for i, payload := range payloads {
		if i > 0 && i%burst == 0 {
			if err := sleep(ctx, burstPause); err != nil {
				return err
			}
		}
		err := o.local.WriteRTP(&rtp.Packet{
			Header:  rtp.Header{Version: 2, Marker: video && i == len(payloads)-1, SequenceNumber: o.seq, Timestamp: ts},
			Payload: payload,
		})
		o.seq++
		if err != nil {
			return fmt.Errorf("rtc: send: %w", err)
		}
		o.packets++
		o.octets += uint32(len(payload))
	}
	o.report(p)
	return nil
}

// pace lets what has waited, such as the stream since its last key frame, go out
// at twice its pace.
func (o *outgoing) pace(ctx context.Context, p sluice.Packet) error {
	now := time.Now()
	if wait := o.ready.Sub(now); wait > 0 {
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	} else {
		o.ready = now
	}
	o.ready = o.ready.Add(min(p.Track.Duration(p.Dur), time.Second) / 2)
	return nil
}

// report says once a second which time of day a time stamp is: that of the
// packets, so that the tracks stay together.
func (o *outgoing) report(p sluice.Packet) {
	now := time.Now()
	if now.Sub(o.reported) < reportEvery {
		return
	}
	o.reported = now
	const ntpEpoch = 2208988800 // 1900 to 1970, in seconds
	ntp := uint64(now.Unix()+ntpEpoch)<<32 | uint64(now.Nanosecond())<<32/uint64(time.Second)
	err := o.client.pc.WriteRTCP([]rtcp.Packet{&rtcp.SenderReport{
		SSRC:        uint32(o.sender.GetParameters().Encodings[0].SSRC),
		NTPTime:     ntp,
		RTPTime:     o.base + uint32(sluice.Rescale(p.Track.Ticks(now), int64(p.Track.Timescale), int64(o.codec.rate))),
		PacketCount: o.packets,
		OctetCount:  o.octets,
	}})
	if err != nil {
		o.client.cfg.Log.Debug("sender report not sent", "error", err)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
