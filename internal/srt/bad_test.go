package srt

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/datarhei/gosrt/packet"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// conclusion makes the packet with which a caller concludes its handshake.
func conclusion(t testing.TB, change func(h *packet.CIFHandshake)) []byte {
	t.Helper()
	h := &packet.CIFHandshake{
		IsRequest: true, Version: 5, HandshakeType: packet.HSTYPE_CONCLUSION, SRTSocketId: 7,
		InitialPacketSequenceNumber: sequence(1), MaxTransmissionUnitSize: mtu, MaxFlowWindowSize: 8192,
		HasHS:  true,
		SRTHS:  &packet.CIFHandshakeExtension{SRTVersion: ourVersion, SRTFlags: ourFlags},
		HasSID: true, StreamId: "key",
	}
	if change != nil {
		change(h)
	}
	b, err := handshakePacket(h, 0, 0)
	require.NoError(t, err)
	return b
}

// TestMalformedHandshakes sends handshakes that gosrt's parser panics on, and
// such as make no sense, beside a stream that must not lose a packet.
func TestMalformedHandshakes(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l := listen(t, Config{})
	d, a := pair(ctx, t, l, l.Addr().String(), url.Values{"latency": {"2000"}}, Config{})
	go func() {
		numbered(t, d, 500, 2*time.Millisecond)
		d.Flush()
		assert.NoError(t, d.Close())
	}()
	bad, err := net.Dial("udp", l.Addr().String())
	require.NoError(t, err)
	defer bad.Close()
	good := conclusion(t, nil)
	panics := 0
	for n := headerSize; n < len(good); n++ { // cut off anywhere
		if _, err := parseHandshake(good[:n]); err != nil {
			panics++
		}
		_, err := bad.Write(good[:n])
		require.NoError(t, err)
	}
	require.Positive(t, panics)
	for _, h := range []func(h *packet.CIFHandshake){
		func(h *packet.CIFHandshake) { h.MaxTransmissionUnitSize = 0 },
		func(h *packet.CIFHandshake) { h.MaxTransmissionUnitSize = 1 << 31 },
		func(h *packet.CIFHandshake) { h.Version = 4 },
		func(h *packet.CIFHandshake) { h.HasHS = false },
		func(h *packet.CIFHandshake) { h.SRTHS.SRTFlags.STREAM = true },
	} {
		_, err := bad.Write(conclusion(t, h)) // without a cookie
		require.NoError(t, err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		b := make([]byte, random.IntN(200))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		if len(b) >= headerSize && random.IntN(2) == 0 {
			binary.BigEndian.PutUint32(b, 1<<31|random.Uint32N(8)<<16)
		}
		_, err := bad.Write(b)
		require.NoError(t, err)
	}
	n, missing := count(t, a)
	assert.Equal(t, 500, n)
	assert.Zero(t, missing)
	assert.Positive(t, l.Stats().Malformed)
	assert.Zero(t, l.Stats().Pending, "who has no cookie gets nothing kept for it")
	require.NoError(t, a.Close())
}

// TestSenselessConclusions has the right cookie.
func TestSenselessConclusions(t *testing.T) {
	l := listen(t, Config{})
	pc, err := net.DialUDP("udp", nil, l.Addr().(*net.UDPAddr))
	require.NoError(t, err)
	defer pc.Close()
	require.NoError(t, pc.SetDeadline(time.Now().Add(30*time.Second)))
	ask := func(b []byte) *packet.CIFHandshake {
		_, err := pc.Write(b)
		require.NoError(t, err)
		buf := make([]byte, 2048)
		n, err := pc.Read(buf)
		require.NoError(t, err)
		h, err := parseHandshake(buf[:n])
		require.NoError(t, err)
		return h
	}
	cookie := ask(conclusion(t, func(h *packet.CIFHandshake) {
		h.HandshakeType, h.HasHS, h.HasSID, h.Version = packet.HSTYPE_INDUCTION, false, false, 4
	})).SynCookie
	for name, c := range map[string]struct {
		change func(h *packet.CIFHandshake)
		code   Code
	}{
		"MTU of 0":       {func(h *packet.CIFHandshake) { h.MaxTransmissionUnitSize = 0 }, CodeRogue},
		"MTU of 100":     {func(h *packet.CIFHandshake) { h.MaxTransmissionUnitSize = 100 }, CodeRogue},
		"MTU of 2 GB":    {func(h *packet.CIFHandshake) { h.MaxTransmissionUnitSize = 1 << 31 }, CodeRogue},
		"version 4":      {func(h *packet.CIFHandshake) { h.Version, h.HasHS, h.HasSID = 4, false, false }, CodeVersion},
		"old SRT":        {func(h *packet.CIFHandshake) { h.SRTHS.SRTVersion = 0x010200 }, CodeVersion},
		"no extension":   {func(h *packet.CIFHandshake) { h.HasHS = false }, CodeRogue},
		"file mode":      {func(h *packet.CIFHandshake) { h.SRTHS.SRTFlags.STREAM = true }, CodeMessageAPI},
		"no stream id":   {func(h *packet.CIFHandshake) { h.HasSID, h.StreamId = false, "" }, CodeBadRequest},
		"no such mode":   {func(h *packet.CIFHandshake) { h.StreamId = "#!::r=a,m=x" }, CodeBadMode},
		"too little TSB": {func(h *packet.CIFHandshake) { h.SRTHS.SRTFlags.TSBPDSND = false }, CodeRogue},
	} {
		h := ask(conclusion(t, func(h *packet.CIFHandshake) { h.SynCookie = cookie; c.change(h) }))
		assert.Equal(t, c.code.wire(), h.HandshakeType, name)
	}
	assert.Zero(t, l.Stats().Pending)
}

// TestBadPacketsOfAPeer sends nonsense on an open connection; only that one may
// suffer.
func TestBadPacketsOfAPeer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l := listen(t, Config{})
	good, a := pair(ctx, t, l, l.Addr().String(), url.Values{"latency": {"2000"}}, Config{})
	bad, _ := pair(ctx, t, l, l.Addr().String(), url.Values{"passphrase": {secret}}, Config{})
	random := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		b := make([]byte, headerSize+random.IntN(64))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		if kind := random.Uint32N(9); kind != ctrlShutdown {
			if kind == 8 {
				kind = ctrlUser
			}
			binary.BigEndian.PutUint32(b, 1<<31|kind<<16|random.Uint32N(5))
		} else {
			b[0] &= 0x7f
		}
		binary.BigEndian.PutUint32(b[12:], bad.peer.id)
		_, err := bad.ep.pc.Write(b)
		require.NoError(t, err)
	}
	go func() {
		numbered(t, good, 300, 2*time.Millisecond)
		good.Flush()
		assert.NoError(t, good.Close())
	}()
	n, missing := count(t, a)
	assert.Equal(t, 300, n)
	assert.Zero(t, missing)
}

// unconnected returns a connection whose packets go nowhere.
func unconnected(t *testing.T) *Conn {
	t.Helper()
	h, err := parseHandshake(conclusion(t, nil))
	require.NoError(t, err)
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	e := &endpoint{cfg: Config{}.withDefaults(), pc: pc, conns: map[uint32]*Conn{}}
	now := time.Now()
	c := e.agree(h, 1, peerAddr{addr: pc.LocalAddr().(*net.UDPAddr).AddrPort()}, now, now, 0)
	t.Cleanup(func() {
		c.hangUp()
		require.NoError(t, pc.Close())
	})
	return c
}

// A loss report of a player's may name all that was sent, as often as it has
// room: the work it makes must not grow with that.
func TestLossReportIsReadForAsMuchAsWasSent(t *testing.T) {
	c := unconnected(t)
	const sent = 2000
	for range sent {
		c.out.add(newBuffer([]byte{1}), 0)
	}
	nak := appendControl(nil, ctrlNAK, 0, 0, 0, 0)
	for range maxLossWords / 2 {
		nak = append(nak, 0x80, 0, 0, 1, 0, 0, sent>>8, sent&0xff)
	}
	c.handle(nak, time.Now())
	assert.EqualValues(t, sent, c.Stats().PeerLost)
}

// What a player sends, perhaps to be read in half an hour, is not kept.
func TestNothingIsHeldOfWhatPlayersSend(t *testing.T) {
	c := unconnected(t)
	data := make([]byte, 200)
	send := func() {
		for i := range uint32(100) {
			putData(data, 1+i, flagSolo|1, 1<<31-1, 0)
			c.handle(data, time.Now())
		}
	}
	send()
	assert.Zero(t, c.Stats().Held)
	c.media = true
	send()
	assert.Equal(t, 100, c.Stats().Held, "a publisher's is")
}

func FuzzHandshake(f *testing.F) {
	f.Add(conclusion(f, nil))
	f.Add(conclusion(f, nil)[:70])
	f.Add(conclusion(f, func(h *packet.CIFHandshake) {
		k, km, err := newKeys(16, secret)
		if err != nil || k == nil {
			f.Fatal(err)
		}
		h.HasKM, h.SRTKM = true, km
	}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < headerSize {
			return
		}
		h, err := parseHandshake(b)
		if err != nil {
			return
		}
		if _, err := check(h); err != nil {
			return
		}
		if h.HasKM {
			_, _ = openKeys(h.SRTKM, secret)
		}
		if _, err := parseStreamID(h.StreamId); err != nil {
			return
		}
	})
}

// FuzzConn feeds an open connection with packets.
func FuzzConn(f *testing.F) {
	ack := appendControl(nil, ctrlACK, 0, 1, 0, 0)
	f.Add(append(ack, make([]byte, 28)...))
	f.Add(append(appendControl(nil, ctrlNAK, 0, 0, 0, 0), 0x80, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff))
	data := make([]byte, 200)
	putData(data, 5, flagSolo|1, 100, 0)
	f.Add(data)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < headerSize || len(b) > 2048 {
			return
		}
		h, err := parseHandshake(conclusion(t, nil))
		if err != nil {
			t.Fatal(err)
		}
		pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		e := &endpoint{cfg: Config{}.withDefaults(), pc: pc, conns: map[uint32]*Conn{}}
		now := time.Now()
		c := e.agree(h, 1, peerAddr{addr: pc.LocalAddr().(*net.UDPAddr).AddrPort()}, now, now, 0)
		c.media = true
		for i := range 3 {
			putData(data, uint32(1+2*i), flagSolo|1, 100, 0)
			c.handle(data, now)
		}
		c.handle(b, now)
		c.tick(now.Add(time.Second), len(b)%2 == 0)
		for range 10 {
			if n, err := c.tryRead(make([]byte, 10)); n == 0 || err != nil {
				break
			}
		}
		c.hangUp()
	})
}
