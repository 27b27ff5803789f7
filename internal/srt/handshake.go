package srt

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/datarhei/gosrt/circular"
	"github.com/datarhei/gosrt/packet"

	"github.com/sluice-live/sluice/internal/access"
)

const (
	inductionMagic = 0x4a17
	ourVersion     = 0x010401 // what we can do is what libsrt 1.4.1 can
	leastVersion   = 0x010300 // the first with handshake version 5
)

// Code is a reason for refusing a connection, as libsrt numbers them
// (srtcore/srt.h and access_control.h).
type Code int

// The reasons that we give.
const (
	CodeResource     Code = 3
	CodeRogue        Code = 4
	CodeClose        Code = 7
	CodeVersion      Code = 8
	CodeBadSecret    Code = 10
	CodeUnsecure     Code = 11
	CodeMessageAPI   Code = 12
	CodeCongestion   Code = 13
	CodeBadRequest   Code = 1400
	CodeUnauthorized Code = 1401
	CodeOverload     Code = 1402
	CodeForbidden    Code = 1403
	CodeNotFound     Code = 1404
	CodeBadMode      Code = 1405
	CodeConflict     Code = 1409
	CodeUnsupported  Code = 1415
)

var codeText = map[Code]string{
	CodeResource: "there are no resources", CodeRogue: "the handshake is malformed", CodeClose: "the server is closing",
	CodeVersion: "the SRT version is too old", CodeBadSecret: "the passphrase is wrong",
	CodeUnsecure: "a passphrase is required, or not expected", CodeMessageAPI: "only live mode is spoken",
	CodeCongestion: "only live mode is spoken", CodeBadRequest: "the stream id is not understood",
	CodeUnauthorized: "access denied", CodeOverload: "the server is overloaded", CodeForbidden: "access denied",
	CodeNotFound: "there is no such stream", CodeBadMode: "the mode that the stream id asks for is not known",
	CodeConflict: "the stream is being published already", CodeUnsupported: "such media is not taken",
}

// RejectError is a peer's refusal.
type RejectError struct{ Code Code }

func (r *RejectError) Error() string {
	if t := codeText[r.Code]; t != "" {
		return fmt.Sprintf("refused: %s (code %d)", t, r.Code)
	}
	return fmt.Sprintf("refused (code %d)", r.Code)
}

// Is reports what a refusal means in the terms of package access.
func (r *RejectError) Is(target error) bool {
	switch target {
	case access.ErrDenied:
		return r.Code == CodeUnauthorized || r.Code == CodeForbidden || r.Code == CodeBadSecret || r.Code == CodeUnsecure
	case access.ErrBusy:
		return r.Code == CodeConflict
	case access.ErrNotFound:
		return r.Code == CodeNotFound
	}
	return false
}

// codeOf returns the reason that tells a peer of an error.
func codeOf(err error) Code {
	var r *RejectError
	switch {
	case errors.As(err, &r):
		return r.Code
	case errors.Is(err, access.ErrNotFound):
		return CodeNotFound
	case errors.Is(err, access.ErrBusy):
		return CodeConflict
	case errors.Is(err, access.ErrDenied):
		return CodeForbidden
	}
	return CodeOverload
}

// On the wire a reason is a handshake type.
const failure = 1000

func (c Code) wire() packet.HandshakeType { return packet.HandshakeType(failure + c) }

// parseHandshake parses a handshake packet. gosrt's parser panics on some.
func parseHandshake(b []byte) (h *packet.CIFHandshake, err error) {
	defer func() {
		if r := recover(); r != nil {
			h, err = nil, fmt.Errorf("handshake: %v", r)
		}
	}()
	h = new(packet.CIFHandshake)
	if err := h.Unmarshal(b[headerSize:]); err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	return h, nil
}

// handshakePacket makes a packet of a handshake.
func handshakePacket(h *packet.CIFHandshake, time, to uint32) ([]byte, error) {
	var b bytes.Buffer
	b.Write(appendControl(nil, ctrlHandshake, 0, 0, time, to))
	err := h.Marshal(&b)
	return b.Bytes(), err
}

// check says what about a conclusion we cannot do with.
func check(h *packet.CIFHandshake) (Code, error) {
	switch {
	case h.Version != 5:
		return CodeVersion, fmt.Errorf("handshake version %d, not 5", h.Version)
	case h.SRTHS == nil || h.HasKM && (h.SRTKM == nil || h.SRTKM.Error != 0):
		return CodeRogue, errors.New("handshake lacks its extension")
	case h.MaxTransmissionUnitSize > mtu || h.MaxTransmissionUnitSize < overhead+minPayload:
		return CodeRogue, fmt.Errorf("MTU of %d", h.MaxTransmissionUnitSize)
	case h.SRTHS.SRTVersion < leastVersion:
		return CodeVersion, fmt.Errorf("SRT version %#x is older than 1.3", h.SRTHS.SRTVersion)
	case h.SRTHS.SRTFlags.STREAM:
		return CodeMessageAPI, errors.New("not in live mode")
	case !h.SRTHS.SRTFlags.TSBPDSND || !h.SRTHS.SRTFlags.TSBPDRCV || !h.SRTHS.SRTFlags.REXMITFLG:
		return CodeRogue, errors.New("not in live mode")
	case h.HasCongestionCtl && h.CongestionCtl != "live":
		return CodeCongestion, errors.New("not in live mode")
	}
	return 0, nil
}

var ourFlags = packet.CIFHandshakeExtensionFlags{
	TSBPDSND: true, TSBPDRCV: true, CRYPT: true, TLPKTDROP: true, PERIODICNAK: true, REXMITFLG: true,
}

// agree sets up a connection as two handshakes agree; theirs is the peer's.
func (e *endpoint) agree(theirs *packet.CIFHandshake, id uint32, from peerAddr, at, start time.Time, stamp uint32) *Conn {
	c := &Conn{
		ep: e, cfg: e.cfg, id: id, start: start,
		peer: peer{
			id: theirs.SRTSocketId, addr: from.addr, from: from.oob,
			payload: min(int(theirs.MaxTransmissionUnitSize)-overhead, livePacket),
			agent:   versionText(theirs.SRTHS.SRTVersion),
		},
		ready: make(chan struct{}, 1), room: make(chan struct{}, 1),
	}
	ours := e.cfg.Latency.Microseconds()
	now := c.at(at)
	seq := theirs.InitialPacketSequenceNumber.Val()
	c.heard, c.spoke = now, now
	c.in = receiver{
		inbox: newInbox(seq),
		clock: peerClock{base: now - int64(stamp), last: int64(stamp)},
		delay: max(ours, int64(theirs.SRTHS.SendTSBPDDelay)*1000),
		acks:  acks{seq: seq, confirmed: true},
		media: now,
	}
	c.out = sender{
		outbox: newOutbox(seq, int(min(theirs.MaxFlowWindowSize, maxWindow))),
		delay:  max(ours, int64(theirs.SRTHS.RecvTSBPDDelay)*1000),
	}
	c.rtt = rtt{mean: 100_000, dev: 50_000}
	return c
}

func versionText(v uint32) string {
	return fmt.Sprintf("SRT %d.%d.%d", v>>16&0xff, v>>8&0xff, v&0xff)
}

func sequence(v uint32) circular.Number { return circular.New(v&seqMask, seqMask) }

func setPeerIP(h *packet.CIFHandshake, a peerAddr) {
	h.PeerIP.FromNetAddr(net.UDPAddrFromAddrPort(a.addr))
}
