package rtc

import (
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/sluice-live/sluice"
)

const (
	maxFrame     = 4 << 20                // a key frame of 8K at 100 Mbit/s
	packetCost   = 64                     // of it, for each packet: what is held beside its payload
	keyNotOften  = 300 * time.Millisecond // encoders answer no more often either
	keyAgain     = time.Second            // while one is missing
	longestFrame = scale                  // a picture behind it comes late
	lossTick     = 15 * time.Millisecond  // of looking for repairs while packets are missing
)

// incoming is one RTP stream on its way to access units.
type incoming struct {
	s        *Session
	remote   *webrtc.TrackRemote
	receiver *webrtc.RTPReceiver

	payload  uint8 // type that codec and unpacker are of
	codec    *codecEntry
	unpacker unpacker
	buffer   *reorder
	clock    trackClock
	frame    frame
	needKey  bool // nothing goes out before a key frame
	discont  bool // something is missing before the next access unit
	restart  atomic.Bool
	native   *sluice.Track // as the unpacker made it
	track    *sluice.Track // as it goes out
	held     sluice.Packet // a picture, until the next one shows how long it lasts
	dropped  uint64
	packets  uint64
	bytes    uint64
	stats    atomic.Pointer[Stats]

	// What the codec's feedback allows.
	nack  bool
	fir   atomic.Bool  // full intra requests, where the peer knows no picture loss indications
	asked atomic.Int64 // when a key frame last was, Unix time in ns
	keys  atomic.Uint64

	// Under s.mu.
	id     uint32 // 0: not known yet
	pixels int
}

// frame is what has come of one.
type frame struct {
	ts       uint32
	payloads [][]byte
	size     int
	headless bool // packets are missing before its first
}

// newIncoming returns nil for a codec that is none of ours.
func newIncoming(s *Session, remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) *incoming {
	t := &incoming{s: s, remote: remote, receiver: receiver}
	if !t.use(remote.Codec()) {
		return nil
	}
	window := videoWindow
	if !t.isVideo() {
		window = audioWindow
	}
	t.buffer = newReorder(window, s.server.cfg.Patience)
	t.clock = trackClock{common: &s.common, rate: int64(t.codec.rate)}
	t.needKey = t.isVideo()
	return t
}

// use switches to a codec. It reports false for one that is not ours.
func (t *incoming) use(p webrtc.RTPCodecParameters) bool {
	c := codecByMIME(p.MimeType)
	if c == nil {
		return false
	}
	t.codec, t.payload, t.unpacker = c, uint8(p.PayloadType), c.unpacker(p.SDPFmtpLine)
	var nack, pli, fir bool
	for _, f := range p.RTCPFeedback {
		switch f.Type + " " + f.Parameter {
		case "nack ":
			nack = true
		case "nack pli":
			pli = true
		case "ccm fir":
			fir = true
		}
	}
	t.nack = nack
	t.fir.Store(fir && !pli)
	return true
}

func (t *incoming) isVideo() bool { return t.remote.Kind() == webrtc.RTPCodecTypeVideo }

// read takes RTP packets until the session ends.
func (t *incoming) read() {
	buf := make([]byte, 1600)
	waits := false
	for {
		if waits {
			_ = t.remote.SetReadDeadline(time.Now().Add(lossTick))
		}
		n, _, err := t.remote.Read(buf)
		now := time.Now()
		if waits {
			_ = t.remote.SetReadDeadline(time.Time{})
		}
		if late := net.Error(nil); err != nil && (!errors.As(err, &late) || !late.Timeout()) {
			return
		}
		if err == nil {
			t.take(buf[:n], now)
		}
		t.drain(now)
		waits = t.buffer.waits()
		if waits && t.nack {
			if seqs := t.buffer.missing(now); len(seqs) > 0 {
				t.s.writeRTCP(&rtcp.TransportLayerNack{MediaSSRC: uint32(t.remote.SSRC()), Nacks: rtcp.NackPairsFromSequenceNumbers(seqs)})
			}
		}
		t.publish()
	}
}

// take puts a packet into the buffer.
func (t *incoming) take(b []byte, now time.Time) {
	p := &rtp.Packet{}
	if p.Unmarshal(b) != nil {
		return
	}
	p.Payload = append([]byte(nil), p.Payload...)
	p.Extensions = nil
	if t.buffer.push(p, now) {
		t.packets++
		t.bytes += uint64(len(b))
		t.s.lastMedia.Store(now.UnixNano())
	}
}

// drain works off what is in order.
func (t *incoming) drain(now time.Time) {
	if t.restart.Swap(false) {
		t.needKey = true
	}
	for {
		p, lost := t.buffer.pop(now)
		if lost {
			t.damage()
			t.frame.headless = true
		}
		if p == nil {
			return
		}
		t.packet(p, now)
	}
}

// packet takes the next packet in order.
func (t *incoming) packet(p *rtp.Packet, now time.Time) {
	if len(p.Payload) == 0 {
		return // padding
	}
	if p.PayloadType != t.payload && !t.change(p.PayloadType) {
		return
	}
	f := &t.frame
	if len(f.payloads) > 0 && p.Timestamp != f.ts {
		t.finish(now) // its last packet had no marker
	}
	f.ts = p.Timestamp
	f.payloads = append(f.payloads, p.Payload)
	f.size += len(p.Payload) + packetCost
	if f.size > maxFrame {
		t.damage()
		f.headless = true
		return
	}
	if p.Marker || t.codec.single {
		t.finish(now)
	}
}

// change follows a sender that goes over to another codec it had offered.
func (t *incoming) change(payload uint8) bool {
	for _, p := range t.receiver.GetParameters().Codecs {
		if uint8(p.PayloadType) == payload && codecByMIME(p.MimeType) != nil {
			t.damage()
			t.frame.headless = false
			return t.use(p)
		}
	}
	return false
}

// damage drops the frame that is under way, and what depends on it.
func (t *incoming) damage() {
	if len(t.frame.payloads) > 0 {
		t.dropped++
	}
	t.frame = frame{}
	t.discont = true
	if t.isVideo() {
		t.needKey = true
		t.askKey()
	}
}

// finish makes an access unit of the frame.
func (t *incoming) finish(now time.Time) {
	f := t.frame
	t.frame = frame{payloads: f.payloads[:0]}
	u, err := t.unpacker.unpack(f.payloads)
	clear(f.payloads)
	if err != nil || f.headless && !u.whole {
		t.dropped++
		t.damage()
		return
	}
	dts := t.clock.position(f.ts, now)
	if u.data == nil || u.track == nil {
		return
	}
	if t.needKey && !u.key {
		t.dropped++
		if now.UnixNano()-t.asked.Load() > int64(keyAgain) {
			t.askKey()
		}
		return
	}
	if !t.s.open(t, u.track, now) {
		return
	}
	t.needKey = false
	t.name(u.track)
	p := sluice.Packet{Track: t.track, DTS: dts, PTS: dts, Key: u.key, Discont: t.discont, Data: u.data}
	t.discont = false
	t.hand(p)
}

// hand gives the reader an access unit. Cameras and browsers send pictures when
// they have them, so a picture waits for the next.
func (t *incoming) hand(p sluice.Packet) {
	if !t.isVideo() {
		t.s.deliver(p)
		return
	}
	if t.held.Track != nil {
		t.held.Dur = min(p.DTS-t.held.DTS, longestFrame)
		t.s.deliver(t.held)
	}
	t.held = p
}

// name makes the track that goes out of the unpacker's.
func (t *incoming) name(native *sluice.Track) {
	if t.native == native {
		return
	}
	t.native = native
	out := *native
	t.s.mu.Lock()
	out.ID = t.id
	t.s.mu.Unlock()
	out.FrameDur = sluice.Rescale(native.FrameDur, int64(native.Timescale), scale)
	out.Timescale = scale
	t.track = &out
}

// askKey asks for a key frame, unless that was done just now.
func (t *incoming) askKey() {
	now, last := time.Now().UnixNano(), t.asked.Load()
	if now-last < int64(keyNotOften) || !t.asked.CompareAndSwap(last, now) {
		return
	}
	ssrc := uint32(t.remote.SSRC())
	n := t.keys.Add(1)
	if t.fir.Load() {
		t.s.writeRTCP(&rtcp.FullIntraRequest{MediaSSRC: ssrc, FIR: []rtcp.FIREntry{{SSRC: ssrc, SequenceNumber: uint8(n)}}})
	} else {
		t.s.writeRTCP(&rtcp.PictureLossIndication{MediaSSRC: ssrc})
	}
}

// readReports takes sender reports until the session ends.
func (t *incoming) readReports() {
	for {
		var packets []rtcp.Packet
		var err error
		if rid := t.remote.RID(); rid != "" {
			packets, _, err = t.receiver.ReadSimulcastRTCP(rid)
		} else {
			packets, _, err = t.receiver.ReadRTCP()
		}
		if err != nil {
			return
		}
		for _, p := range packets {
			if r, ok := p.(*rtcp.SenderReport); ok && r.SSRC == uint32(t.remote.SSRC()) {
				if off := t.clock.report(r.NTPTime, r.RTPTime); off != 0 {
					t.s.log.Debug("sender report moves a track", "kind", t.remote.Kind().String(), "ms", float64(off)*1000/scale)
				}
			}
		}
	}
}

// publish makes the counters visible.
func (t *incoming) publish() {
	st := t.buffer.stats
	st.Packets, st.Bytes, st.FramesDropped = t.packets, t.bytes, t.dropped
	t.stats.Store(&st)
}

func (t *incoming) published() Stats {
	var st Stats
	if p := t.stats.Load(); p != nil {
		st = *p
	}
	st.KeysAsked = t.keys.Load()
	return st
}
