package srt

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/datarhei/gosrt/packet"
)

const (
	handshakeEvery = 250 * time.Millisecond // until it is answered
	handshakeFor   = 5 * time.Second
)

// target is what an SRT URL says.
type target struct {
	address    string
	streamID   string
	passphrase string
	keyLength  int
	latency    time.Duration // 0: not said
}

// parseURL reads srt://host:port?streamid=…&passphrase=…&pbkeylen=…&latency=…,
// as srt-live-transmit spells them: latency is in milliseconds, and pbkeylen 16,
// 24 or 32. (ffmpeg's latency is in microseconds.) The mode is caller. Errors
// do not tell the URL, which holds keys.
func parseURL(s string) (target, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return target{}, errors.New("it is no URL")
	case u.Scheme != "srt" || u.Hostname() == "" || u.Port() == "":
		return target{}, errors.New("an SRT URL looks like srt://HOST:PORT?streamid=publish:KEY")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return target{}, errors.New("its query is malformed: write % as %25 and ; as %3B")
	}
	// Standard stream ids begin with #!::, which cuts off a URL's query.
	if q.Get("streamid") == "" && u.Fragment != "" && len(u.RawQuery) > 0 {
		return target{}, errors.New("write the # of a stream id as %23")
	}
	t := target{address: u.Host, streamID: q.Get("streamid"), passphrase: q.Get("passphrase"), keyLength: 16}
	if mode := q.Get("mode"); mode != "" && mode != "caller" {
		return target{}, errors.New("its mode is not caller")
	}
	if len(t.streamID) > maxStreamID {
		return target{}, fmt.Errorf("its stream id is longer than %d bytes", maxStreamID)
	}
	if t.passphrase != "" {
		if err := CheckPassphrase(t.passphrase); err != nil {
			return target{}, err
		}
	}
	switch v := q.Get("pbkeylen"); v {
	case "", "0", "16":
	case "24", "32":
		t.keyLength, _ = strconv.Atoi(v)
	default:
		return target{}, errors.New("pbkeylen is 16, 24 or 32")
	}
	if v := q.Get("latency"); v != "" {
		ms, err := strconv.Atoi(v)
		if err != nil || ms < 0 || ms > 65000 {
			return target{}, errors.New("latency is in milliseconds, 0 to 65000")
		}
		t.latency = time.Duration(ms) * time.Millisecond
	}
	return t, nil
}

// Dial calls a server. The URL is srt://HOST:PORT with these parameters:
// streamid, passphrase, pbkeylen (16, 24 or 32), latency (in milliseconds, as
// srt-live-transmit has it; ffmpeg's is in microseconds) and mode, which is
// caller. Packets of the handshake are repeated until they are answered, for
// 5 s, or as long as ctx lasts if that is shorter. A refusal is a *RejectError.
func Dial(ctx context.Context, rawURL string, cfg Config) (*Conn, error) {
	t, err := parseURL(rawURL)
	if err != nil {
		return nil, fmt.Errorf("srt: dial: %w", err)
	}
	if t.latency > 0 {
		cfg.Latency = t.latency
	}
	c, err := dial(ctx, t, cfg.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("srt: dial %s: %w", t.address, err)
	}
	return c, nil
}

func dial(ctx context.Context, t target, cfg Config) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeFor)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "udp", t.address)
	if err != nil {
		return nil, err
	}
	h := &dialing{target: t, cfg: cfg, pc: nc.(*net.UDPConn), start: time.Now()}
	stop := context.AfterFunc(ctx, func() { _ = h.pc.SetReadDeadline(time.Unix(1, 0)) })
	c, err := h.shake(ctx)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	_ = h.pc.SetReadDeadline(time.Time{})
	c.ep.run()
	c.ep.add(c)
	return c, nil
}

// dialing is the calling side of a handshake.
type dialing struct {
	target
	cfg   Config
	pc    *net.UDPConn
	start time.Time
	id    uint32
	seq   uint32
	keys  *keys
	km    *packet.CIFKeyMaterialExtension
}

func (d *dialing) shake(ctx context.Context) (*Conn, error) {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	d.id = max(binary.BigEndian.Uint32(b[:])&^(3<<30), 1)
	d.seq = binary.BigEndian.Uint32(b[4:]) & seqMask
	if d.passphrase != "" {
		var err error
		if d.keys, d.km, err = newKeys(d.keyLength, d.passphrase); err != nil {
			return nil, fmt.Errorf("make keys: %w", err)
		}
	}
	first := d.hello(packet.HSTYPE_INDUCTION)
	first.Version, first.ExtensionField = 4, 2
	in, _, err := d.ask(ctx, first, packet.HSTYPE_INDUCTION)
	if err != nil {
		return nil, err
	}
	if in.Version != 5 || in.ExtensionField != inductionMagic {
		return nil, errors.New("the server speaks an SRT older than 1.3")
	}
	second := d.hello(packet.HSTYPE_CONCLUSION)
	second.Version, second.SynCookie = 5, in.SynCookie
	second.HasHS = true
	latency := uint16(d.cfg.Latency.Milliseconds())
	second.SRTHS = &packet.CIFHandshakeExtension{
		SRTVersion: ourVersion, SRTFlags: ourFlags, RecvTSBPDDelay: latency, SendTSBPDDelay: latency,
	}
	second.HasSID, second.StreamId = d.streamID != "", d.streamID
	second.HasKM, second.SRTKM = d.km != nil, d.km
	out, stamp, err := d.ask(ctx, second, packet.HSTYPE_CONCLUSION)
	if err != nil {
		return nil, err
	}
	return d.conn(out, stamp)
}

func (d *dialing) hello(kind packet.HandshakeType) *packet.CIFHandshake {
	h := &packet.CIFHandshake{
		IsRequest: true, HandshakeType: kind, SRTSocketId: d.id,
		InitialPacketSequenceNumber: sequence(d.seq),
		MaxTransmissionUnitSize:     mtu, MaxFlowWindowSize: maxWindow,
	}
	h.PeerIP.FromNetAddr(d.pc.RemoteAddr())
	return h
}

// ask sends a handshake until it is answered with one of the given type, or
// refused. It returns the answer and its time stamp.
func (d *dialing) ask(ctx context.Context, h *packet.CIFHandshake, want packet.HandshakeType) (*packet.CIFHandshake, uint32, error) {
	for {
		b, err := handshakePacket(h, uint32(time.Since(d.start).Microseconds()), 0)
		if err != nil {
			return nil, 0, err
		}
		_, _ = d.pc.Write(b) // what is lost is sent again
		next := time.Now().Add(handshakeEvery)
		_ = d.pc.SetReadDeadline(next)
		for a := h; a != nil; {
			if ctx.Err() != nil {
				return nil, 0, fmt.Errorf("no answer: %w", ctx.Err())
			}
			var stamp uint32
			if a, stamp, err = d.answer(); err != nil || a != nil && a.HandshakeType == want {
				return a, stamp, err
			}
		}
		if sleepUntil(ctx, next) != nil {
			return nil, 0, fmt.Errorf("no answer: %w", ctx.Err())
		}
	}
}

// answer reads a handshake of the server's: none if the time is up, or if
// nobody listens there now. A refusal is an error.
func (d *dialing) answer() (*packet.CIFHandshake, uint32, error) {
	buf := make([]byte, 2048)
	for {
		n, err := d.pc.Read(buf)
		if err != nil {
			return nil, 0, nil
		}
		if n < headerSize || word(buf, 0) != 1<<31|ctrlHandshake || word(buf, 3) != d.id && word(buf, 3) != 0 {
			continue
		}
		h, err := parseHandshake(buf[:n])
		if err != nil {
			continue
		}
		if h.HandshakeType.IsRejection() || h.HandshakeType >= failure && h.HandshakeType < 4*failure {
			return nil, 0, &RejectError{wireCode(h.HandshakeType)}
		}
		return h, word(buf, 2), nil
	}
}

func sleepUntil(ctx context.Context, at time.Time) error {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wireCode undoes Code.wire. Servers on gosrt leave the offset of codes from
// 1400 on out.
func wireCode(t packet.HandshakeType) Code {
	if t >= failure+400 && t < 2*failure {
		return Code(t)
	}
	return Code(t - failure)
}

func (d *dialing) conn(h *packet.CIFHandshake, stamp uint32) (*Conn, error) {
	if _, err := check(h); err != nil {
		return nil, fmt.Errorf("the server's answer: %w", err)
	}
	if d.keys != nil && (!h.HasKM || h.SRTKM.Error != 0) {
		return nil, &RejectError{CodeUnsecure}
	}
	e := &endpoint{cfg: d.cfg, pc: d.pc, single: true, greet: func([]byte, peerAddr) {}}
	remote := d.pc.RemoteAddr().(*net.UDPAddr).AddrPort()
	c := e.agree(h, d.id, peerAddr{addr: remote}, time.Now(), d.start, stamp)
	c.keys = d.keys
	return c, nil
}
