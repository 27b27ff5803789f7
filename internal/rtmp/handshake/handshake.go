package handshake

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrProtocol says that the peer does not speak RTMP.
var ErrProtocol = errors.New("rtmp: handshake: peer does not speak plain RTMP")

const (
	size       = 1536
	digestSize = sha256.Size
	version    = 3
)

// packet is C1, S1, C2 or S2.
type packet = [size]byte

var (
	clientKey = []byte("Genuine Adobe Flash Player 001")
	serverKey = []byte("Genuine Adobe Flash Media Server 001")
	// crud follows the text in the keys for C2 and S2.
	crud = []byte{
		0xf0, 0xee, 0xc2, 0x4a, 0x80, 0x68, 0xbe, 0xe8, 0x2e, 0x00, 0xd0, 0xd1, 0x02, 0x9e, 0x7e, 0x57,
		0x6e, 0xec, 0x5d, 0x2d, 0x29, 0x80, 0x6f, 0xab, 0x93, 0xb8, 0xe6, 0x36, 0xcf, 0xeb, 0x31, 0xae,
	}
	// Versions that announce digests: of Flash Player 9.0.124 and FMS 3.0.1.
	clientVersion = []byte{9, 0, 124, 2}
	serverVersion = []byte{3, 0, 1, 1}
)

// Server shakes hands with a client. What it answers does not wait for C2, and
// what C2 holds is not checked: clients put all sorts of things there.
func Server(rw io.ReadWriter) error {
	var c packet
	if err := readVersion(rw); err != nil {
		return err
	}
	if _, err := io.ReadFull(rw, c[:]); err != nil {
		return fmt.Errorf("rtmp: handshake: reading C1: %w", unexpected(err))
	}
	out := make([]byte, 1+2*size)
	out[0] = version
	s1, s2 := (*packet)(out[1:]), (*packet)(out[1+size:])
	_, _ = rand.Read(s1[8:]) // crypto/rand.Read never fails
	if digest, scheme := findDigest(&c, clientKey); digest != nil {
		copy(s1[4:8], serverVersion)
		sign(s1, scheme, serverKey)
		answer(s2, digest, serverKey)
	} else {
		*s2 = c
		binary.BigEndian.PutUint32(s2[4:], 0)
	}
	if _, err := rw.Write(out); err != nil {
		return fmt.Errorf("rtmp: handshake: %w", err)
	}
	if _, err := io.ReadFull(rw, c[:]); err != nil {
		return fmt.Errorf("rtmp: handshake: reading C2: %w", unexpected(err))
	}
	return nil
}

// Client shakes hands with a server, with digests if wanted; a server that
// knows none answers in the simple form.
func Client(rw io.ReadWriter, digests bool) error {
	out := make([]byte, 1+size)
	out[0] = version
	c1 := (*packet)(out[1:])
	_, _ = rand.Read(c1[8:])
	if digests {
		copy(c1[4:8], clientVersion)
		sign(c1, 0, clientKey)
	}
	if _, err := rw.Write(out); err != nil {
		return fmt.Errorf("rtmp: handshake: %w", err)
	}
	if err := readVersion(rw); err != nil {
		return err
	}
	var s1, s2, c2 packet
	if _, err := io.ReadFull(rw, s1[:]); err != nil {
		return fmt.Errorf("rtmp: handshake: reading S1: %w", unexpected(err))
	}
	c2 = s1
	if digests {
		if digest, _ := findDigest(&s1, serverKey); digest != nil {
			answer(&c2, digest, clientKey)
		}
	}
	// S2 answers C1: a server has no reason to wait for C2 with it.
	if _, err := io.ReadFull(rw, s2[:]); err != nil {
		return fmt.Errorf("rtmp: handshake: reading S2: %w", unexpected(err))
	}
	if _, err := rw.Write(c2[:]); err != nil {
		return fmt.Errorf("rtmp: handshake: %w", err)
	}
	return nil
}

// readVersion reads C0 or S0. Versions of 32 and above are forbidden, so that
// text is told from RTMP; 6 and 8 are encrypted, to which the answer is a plain
// 3 only in theory: the client has encrypted C1 for it.
func readVersion(r io.Reader) error {
	var b [1]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return fmt.Errorf("rtmp: handshake: %w", unexpected(err))
	}
	if b[0] != version {
		return fmt.Errorf("%w: version %d instead of %d", ErrProtocol, b[0], version)
	}
	return nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// digestAt returns the position of the digest: a sum of four bytes chooses it
// within the first (scheme 1) or second (scheme 0) half of the packet.
func digestAt(p *packet, scheme int) int {
	at := 772
	if scheme == 1 {
		at = 8
	}
	sum := int(p[at]) + int(p[at+1]) + int(p[at+2]) + int(p[at+3])
	return at + 4 + sum%728
}

// digest is the HMAC of the packet without the bytes of the digest itself.
func digest(p *packet, at int, key []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(p[:at])
	h.Write(p[at+digestSize:])
	return h.Sum(nil)
}

func sign(p *packet, scheme int, key []byte) {
	at := digestAt(p, scheme)
	copy(p[at:], digest(p, at, key))
}

// findDigest returns the packet's digest and scheme, nil if it has none.
func findDigest(p *packet, key []byte) ([]byte, int) {
	for scheme := range 2 {
		at := digestAt(p, scheme)
		if d := digest(p, at, key); hmac.Equal(d, p[at:at+digestSize]) {
			return d, scheme
		}
	}
	return nil, 0
}

// answer makes S2 or C2: noise, signed with a key made from the peer's digest.
func answer(p *packet, peer, key []byte) {
	_, _ = rand.Read(p[:])
	h := hmac.New(sha256.New, append(append([]byte(nil), key...), crud...))
	h.Write(peer)
	key = h.Sum(nil)
	copy(p[size-digestSize:], digest(p, size-digestSize, key))
}
