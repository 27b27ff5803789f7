package chunk

import "encoding/binary"

// Message types (RTMP 1.0, sections 5.4, 6.2 and 7.1).
const (
	TypeSetChunkSize  = 1
	TypeAbort         = 2
	TypeAck           = 3
	TypeUserControl   = 4
	TypeWindowAckSize = 5
	TypePeerBandwidth = 6
	TypeAudio         = 8
	TypeVideo         = 9
	TypeDataAMF3      = 15
	TypeCommandAMF3   = 17
	TypeDataAMF0      = 18
	TypeCommandAMF0   = 20
	TypeAggregate     = 22
)

// The range of chunk stream IDs, and the size of chunks before either side has
// set another.
const (
	MinID       = 2
	MaxID       = 65599
	DefaultSize = 128
	MaxSize     = 0xffffff
)

// Message is one RTMP message.
type Message struct {
	ID     uint32 // chunk stream, MinID to MaxID
	Type   uint8
	Stream uint32 // message stream
	Time   uint32 // milliseconds, wrapping at 2^32
	Data   []byte
}

const extended = 0xffffff

// Append appends the message's chunks of at most size bytes to b.
func Append(b []byte, m Message, size int) []byte {
	b = appendHeader(b, m, len(m.Data))
	data := m.Data
	for len(data) > size {
		b = append(b, data[:size]...)
		data = data[size:]
		b = appendContinuation(b, m)
	}
	return append(b, data...)
}

// Cut returns the chunks of the message whose payload is prefix followed by
// m.Data, as slices to be written one after another. They refer to m.Data and
// hold a copy of everything else. size is the size of chunks, not less than
// len(prefix).
func Cut(m Message, prefix []byte, size int) [][]byte {
	chunks := max(1, (len(prefix)+len(m.Data)+size-1)/size)
	out := make([][]byte, 0, 2*chunks)
	// One allocation for all headers: the longest is 3+11+4 bytes, then 3+4.
	h := make([]byte, 0, 18+len(prefix)+7*(chunks-1))
	h = appendHeader(h, m, len(prefix)+len(m.Data))
	h = append(h, prefix...)
	out = append(out, h)
	data, room := m.Data, size-len(prefix)
	for len(data) > room {
		out = append(out, data[:room:room])
		data, room = data[room:], size
		h = appendContinuation(h[len(h):], m)
		out = append(out, h)
	}
	if len(data) > 0 {
		out = append(out, data[:len(data):len(data)])
	}
	return out
}

func appendHeader(b []byte, m Message, length int) []byte {
	b = appendBasic(b, 0, m.ID)
	t := min(m.Time, extended)
	b = append(b, byte(t>>16), byte(t>>8), byte(t), byte(length>>16), byte(length>>8), byte(length), m.Type)
	b = binary.LittleEndian.AppendUint32(b, m.Stream)
	if t == extended {
		b = binary.BigEndian.AppendUint32(b, m.Time)
	}
	return b
}

func appendContinuation(b []byte, m Message) []byte {
	b = appendBasic(b, 3, m.ID)
	if m.Time >= extended {
		b = binary.BigEndian.AppendUint32(b, m.Time)
	}
	return b
}

func appendBasic(b []byte, format byte, id uint32) []byte {
	switch {
	case id < 64:
		return append(b, format<<6|byte(id))
	case id < 320:
		return append(b, format<<6, byte(id-64))
	default:
		return append(b, format<<6|1, byte(id-64), byte((id-64)>>8))
	}
}
