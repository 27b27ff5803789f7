package srt

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/datarhei/gosrt/crypto"
	"github.com/datarhei/gosrt/packet"
)

// Bounds of passphrases, in bytes.
const (
	MinPassphrase = 10
	MaxPassphrase = 80
)

const (
	// After how many packets encrypted with a key the next one is used, and how
	// many before that the peer is told of it. Counters of AES-CTR repeat with
	// the sequence numbers.
	refreshAfter    = 1 << 24
	announceBefore  = 1 << 12
	announceEvery   = 200_000 // µs, until it is confirmed
	evenKey, oddKey = 1, 2
)

// keys are the keys of a connection. Both directions begin with the same, and
// change theirs on their own.
type keys struct {
	out, in    crypto.Crypto
	passphrase string
	own        byte // which one we send with
	used       int  // packets
	refreshAt  int  // of them
	announced  int64
	next       []byte // announcement of the next key; nil: none is due
	confirmed  bool
	last       []byte // of the peer's announcements
	lastAt     int64
}

var errSecret = errors.New("the passphrase is wrong")

// newKeys makes keys for a caller, and the message that tells the peer.
func newKeys(length int, passphrase string) (*keys, *packet.CIFKeyMaterialExtension, error) {
	cipher, err := crypto.New(length)
	if err != nil {
		return nil, nil, err
	}
	km := new(packet.CIFKeyMaterialExtension)
	if err := cipher.MarshalKM(km, passphrase, packet.EvenKeyEncrypted); err != nil {
		return nil, nil, err
	}
	k, err := openKeys(km, passphrase)
	return k, km, err
}

// openKeys takes the keys that a caller sent.
func openKeys(km *packet.CIFKeyMaterialExtension, passphrase string) (*keys, error) {
	k := &keys{passphrase: passphrase, own: evenKey, refreshAt: refreshAfter}
	if km.KeyBasedEncryption == packet.OddKeyEncrypted {
		k.own = oddKey
	}
	for _, cipher := range []*crypto.Crypto{&k.out, &k.in} {
		var err error
		if *cipher, err = crypto.New(int(km.KLen)); err != nil {
			return nil, err
		}
		if err := (*cipher).UnmarshalKM(km, passphrase); err != nil {
			return nil, errSecret
		}
	}
	return k, nil
}

func (k *keys) encrypt(b []byte, seq uint32) (key byte, err error) {
	k.used++
	return k.own, k.out.EncryptOrDecryptPayload(b, packet.PacketEncryption(k.own), seq)
}

func (k *keys) decrypt(key byte, b []byte, seq uint32) error {
	return k.in.EncryptOrDecryptPayload(b, packet.PacketEncryption(key), seq)
}

// refresh announces the next key in time, and changes to it once the peer has
// it.
func (k *keys) refresh(c *Conn, now int64) {
	if k.used < k.refreshAt-announceBefore {
		return
	}
	other := evenKey + oddKey - k.own
	if k.next == nil {
		if k.out.GenerateSEK(packet.PacketEncryption(other)) != nil {
			return
		}
		km := new(packet.CIFKeyMaterialExtension)
		var b bytes.Buffer
		if k.out.MarshalKM(km, k.passphrase, packet.PacketEncryption(other)) != nil || km.Marshal(&b) != nil {
			return
		}
		k.next, k.announced, k.confirmed = b.Bytes(), now-announceEvery, false
	}
	if !k.confirmed && now-k.announced >= announceEvery {
		k.announced = now
		c.sendControl(now, ctrlUser, subKeyRequest, 0, k.next)
	}
	if k.confirmed && k.used >= k.refreshAt {
		k.own, k.used, k.next = other, 0, nil
	}
}

// keyMessage takes the peer's next key, or its answer to ours.
func (c *Conn) keyMessage(sub uint16, body []byte, now int64) {
	if c.keys == nil {
		return
	}
	switch sub {
	case subKeyRequest:
		if c.keys.take(body, now) {
			c.sendControl(now, ctrlUser, subKeyResponse, 0, body)
		}
	case subKeyResponse:
		if bytes.Equal(body, c.keys.next) {
			c.keys.confirmed = true
		}
	}
}

// take takes the peer's announcement of its next key. Deriving a key is costly:
// one a second is enough.
func (k *keys) take(body []byte, now int64) bool {
	if bytes.Equal(body, k.last) {
		return true
	}
	if k.lastAt != 0 && now-k.lastAt < 1_000_000 {
		return false
	}
	k.lastAt = now
	km := new(packet.CIFKeyMaterialExtension)
	if err := km.Unmarshal(body); err != nil || km.Error != 0 || k.in.UnmarshalKM(km, k.passphrase) != nil {
		return false
	}
	k.last = bytes.Clone(body)
	return true
}

// CheckPassphrase says what is wrong with a passphrase.
func CheckPassphrase(p string) error {
	if len(p) < MinPassphrase || len(p) > MaxPassphrase {
		return fmt.Errorf("srt: a passphrase has %d to %d bytes", MinPassphrase, MaxPassphrase)
	}
	return nil
}
