package codec

import "fmt"

// Tags of MPEG-4 descriptors (ISO/IEC 14496-1).
const (
	tagES       = 3
	tagDecoder  = 4
	tagSpecific = 5
	tagSL       = 6
)

// esds appends the body of an esds box; stream is the stream type with its
// flags, 0x15 for audio and 0x11 for video.
func esds(b []byte, object, stream byte, specific []byte) []byte {
	b = append(b, 0, 0, 0, 0)
	return descriptor(b, tagES, func(b []byte) []byte {
		b = append(b, 0, 0, 0) // ES_ID, no flags
		b = descriptor(b, tagDecoder, func(b []byte) []byte {
			b = append(b, object, stream)
			b = append(b, make([]byte, 11)...) // buffer size and bit rates are not known
			return descriptor(b, tagSpecific, func(b []byte) []byte { return append(b, specific...) })
		})
		return descriptor(b, tagSL, func(b []byte) []byte { return append(b, 2) })
	})
}

// descriptor appends one whose length takes four bytes, as most writers do.
func descriptor(b []byte, tag byte, fn func([]byte) []byte) []byte {
	b = append(b, tag, 0x80, 0x80, 0x80, 0)
	at := len(b)
	b = fn(b)
	n := len(b) - at
	b[at-3] |= byte(n >> 14)
	b[at-2] |= byte(n >> 7 & 0x7f)
	b[at-1] = byte(n & 0x7f)
	return b
}

// readDescriptor returns the body of the descriptor at the start of b.
func readDescriptor(b []byte, tag byte) ([]byte, error) {
	if len(b) < 2 || b[0] != tag {
		return nil, fmt.Errorf("esds: no descriptor %d: %w", tag, ErrInvalid)
	}
	n := 0
	for i := 1; i < len(b) && i <= 4; i++ {
		n = n<<7 | int(b[i]&0x7f)
		if b[i]&0x80 != 0 {
			continue
		}
		if b = b[i+1:]; n > len(b) {
			break
		}
		return b[:n], nil
	}
	return nil, fmt.Errorf("esds: descriptor %d: %w", tag, errShort)
}

// readESDS returns the object type and the decoder specific info, if any, of
// an mp4a sample entry.
func readESDS(entry []byte) (object byte, specific []byte, err error) {
	return readESDSAt(entry, audioEntry)
}

// readESDSAt is readESDS for an entry whose fixed part is skip bytes long.
func readESDSAt(entry []byte, skip int) (object byte, specific []byte, err error) {
	b, err := child(entry, skip, "esds")
	if err != nil {
		return 0, nil, err
	}
	if len(b) < 4 {
		return 0, nil, fmt.Errorf("esds: %w", errShort)
	}
	if b, err = readDescriptor(b[4:], tagES); err != nil {
		return 0, nil, err
	}
	if b, err = skipESHeader(b); err != nil {
		return 0, nil, err
	}
	if b, err = readDescriptor(b, tagDecoder); err != nil {
		return 0, nil, err
	}
	if len(b) < 13 {
		return 0, nil, fmt.Errorf("esds: decoder configuration: %w", errShort)
	}
	object = b[0]
	if len(b) > 13 && b[13] == tagSpecific {
		specific, err = readDescriptor(b[13:], tagSpecific)
	}
	return object, specific, err
}

// skipESHeader skips what stands before the first descriptor in an
// ES_Descriptor: the flags say which fields are there.
func skipESHeader(b []byte) ([]byte, error) {
	if len(b) < 3 {
		return nil, fmt.Errorf("esds: %w", errShort)
	}
	flags, at := b[2], 3
	if flags&0x80 != 0 {
		at += 2
	}
	if flags&0x40 != 0 {
		if at >= len(b) {
			return nil, fmt.Errorf("esds: %w", errShort)
		}
		at += 1 + int(b[at])
	}
	if flags&0x20 != 0 {
		at += 2
	}
	if at > len(b) {
		return nil, fmt.Errorf("esds: %w", errShort)
	}
	return b[at:], nil
}
