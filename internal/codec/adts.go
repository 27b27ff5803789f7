package codec

import "fmt"

// ADTSHeader is the header of an AAC frame in an Audio Data Transport Stream
// (ISO/IEC 13818-7, 6.2).
type ADTSHeader struct {
	ASC    [2]byte // the AudioSpecificConfig that says the same
	Header int     // bytes
	Size   int     // of the frame, header included
}

// ParseADTS reads the header at the start of a frame.
func ParseADTS(b []byte) (ADTSHeader, error) {
	if len(b) < 7 || b[0] != 0xff || b[1]&0xf6 != 0xf0 {
		return ADTSHeader{}, fmt.Errorf("codec: ADTS frame: no header: %w", ErrInvalid)
	}
	object, rate, layout := b[2]>>6+1, b[2]>>2&15, b[2]&1<<2|b[3]>>6
	h := ADTSHeader{
		ASC:    [2]byte{object<<3 | rate>>1, rate<<7 | layout<<3},
		Header: 7,
		Size:   int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5]>>5),
	}
	if b[1]&1 == 0 {
		h.Header = 9
	}
	switch {
	case int(rate) >= len(ascRates) || h.Size <= h.Header:
		return h, fmt.Errorf("codec: ADTS frame: reserved rate or no content: %w", ErrInvalid)
	case b[6]&3 != 0:
		return h, fmt.Errorf("codec: ADTS frame of several blocks: %w", ErrUnsupported)
	case layout == 0:
		return h, fmt.Errorf("codec: ADTS frame with its channels described inside: %w", ErrUnsupported)
	}
	return h, nil
}

// AppendADTS appends an AAC frame with the header that its AudioSpecificConfig
// asks for. ADTS says nothing of SBR and PS: decoders find them.
func AppendADTS(b, asc, frame []byte) ([]byte, error) {
	r := &bitReader{b: asc}
	object, rate := uint32(r.objectType()), r.rateIndex()
	layout := r.bits(4)
	if object == aotSBR || object == aotPS {
		r.rateIndex()
		object = uint32(r.objectType())
	}
	size := len(frame) + 7
	switch {
	case r.err != nil:
		return b, fmt.Errorf("codec: ADTS: %w", r.err)
	case object < aotMain || object > aotLTP || rate == 15 || layout == 0 || layout > 7:
		return b, fmt.Errorf("codec: ADTS of AAC object type %d, rate index %d, channel configuration %d: %w", object, rate, layout, ErrUnsupported)
	case size >= 1<<13:
		return b, fmt.Errorf("codec: ADTS frame of %d bytes: %w", size, ErrInvalid)
	}
	b = append(b, 0xff, 0xf1, byte((object-1)<<6|rate<<2|layout>>2),
		byte(layout<<6)|byte(size>>11), byte(size>>3), byte(size<<5)|0x1f, 0xfc)
	return append(b, frame...), nil
}

// rateIndex reads a sampling frequency index and the frequency behind it, if any.
func (r *bitReader) rateIndex() uint32 {
	i := r.bits(4)
	if i == 15 {
		r.skip(24)
	}
	return i
}
