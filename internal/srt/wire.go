package srt

import "encoding/binary"

const (
	headerSize = 16
	mtu        = 1500
	overhead   = 28 + headerSize // IPv4, UDP, SRT
	maxPayload = mtu - overhead
	livePacket = 1316 // seven TS packets: what every peer takes
	minPayload = 188
)

// Types of control packets.
const (
	ctrlHandshake = 0x0000
	ctrlKeepalive = 0x0001
	ctrlACK       = 0x0002
	ctrlNAK       = 0x0003
	ctrlShutdown  = 0x0005
	ctrlACKACK    = 0x0006
	ctrlUser      = 0x7fff

	subKeyRequest  = 3
	subKeyResponse = 4
)

// Bits of a data packet's second word.
const (
	flagSolo       = 3 << 30 // first and last of its message
	flagRetransmit = 1 << 26
	keyShift       = 27
	messageMask    = 1<<26 - 1
)

const seqMask = 1<<31 - 1

// distance returns how far sequence number a is ahead of b.
func distance(a, b uint32) int { return int(int32((a-b)<<1) >> 1) }

func advance(seq uint32, n int) uint32 { return (seq + uint32(n)) & seqMask }

func word(b []byte, i int) uint32 { return binary.BigEndian.Uint32(b[4*i:]) }

func isControl(b []byte) bool { return b[0]&0x80 != 0 }

// appendControl appends the head of a control packet.
func appendControl(b []byte, kind, sub uint16, info, time, to uint32) []byte {
	b = binary.BigEndian.AppendUint32(b, 1<<31|uint32(kind)<<16|uint32(sub))
	b = binary.BigEndian.AppendUint32(b, info)
	b = binary.BigEndian.AppendUint32(b, time)
	return binary.BigEndian.AppendUint32(b, to)
}

// putData writes the head of a data packet.
func putData(b []byte, seq, flags, time, to uint32) {
	binary.BigEndian.PutUint32(b, seq)
	binary.BigEndian.PutUint32(b[4:], flags)
	binary.BigEndian.PutUint32(b[8:], time)
	binary.BigEndian.PutUint32(b[12:], to)
}

// span is a run of sequence numbers, both ends included.
type span struct{ from, to uint32 }

const maxLossWords = maxPayload / 4

// appendLoss appends a loss report's list (draft appendix A), as much of it as
// one packet holds.
func appendLoss(b []byte, spans []span) []byte {
	words := 0
	for _, s := range spans {
		if words+2 > maxLossWords {
			break
		}
		if s.from == s.to {
			b = binary.BigEndian.AppendUint32(b, s.from)
			words++
			continue
		}
		b = binary.BigEndian.AppendUint32(b, 1<<31|s.from)
		b = binary.BigEndian.AppendUint32(b, s.to)
		words += 2
	}
	return b
}

// parseLoss calls f with each run in a loss report until it returns false.
// What makes no sense is left out.
func parseLoss(b []byte, f func(span) bool) {
	for len(b) >= 4 {
		from := word(b, 0)
		b = b[4:]
		to := from
		if from>>31 == 1 {
			if len(b) < 4 {
				return
			}
			from &= seqMask
			to = word(b, 0) & seqMask
			b = b[4:]
		}
		if distance(to, from) >= 0 && !f(span{from, to}) {
			return
		}
	}
}
