package codec

import "fmt"

// LATM reads AAC in AudioMuxElements with their configuration in band
// (ISO/IEC 14496-3, 1.7.3), of one program with one layer.
type LATM struct {
	asc       []byte // nil until a configuration has come
	subFrames int
	fixed     int // bits of each payload; 0 where it says its length
}

// LOASSize returns the size of the AudioSyncStream frame at the start of b,
// its three bytes of header included.
func LOASSize(b []byte) (int, error) {
	if len(b) < 3 || b[0] != 0x56 || b[1]&0xe0 != 0xe0 {
		return 0, fmt.Errorf("codec: LOAS frame: no header: %w", ErrInvalid)
	}
	return 3 + int(b[1]&0x1f)<<8 + int(b[2]), nil
}

// Frames returns the AudioSpecificConfig and the access units of an element,
// which it copies. Before the first configuration there are none.
func (l *LATM) Frames(element []byte) (asc []byte, frames [][]byte, err error) {
	r := &bitReader{b: element}
	if !r.flag() { // useSameStreamMux
		l.asc = nil
		l.config(r)
	}
	if r.err != nil {
		l.asc = nil
		return nil, nil, fmt.Errorf("codec: LATM: %w", r.err)
	}
	if l.asc == nil {
		return nil, nil, nil
	}
	for range l.subFrames {
		size := l.fixed
		if size == 0 {
			size = 8 * r.latmLength()
		}
		if size > r.left() {
			r.fail(errShort)
		}
		if r.err != nil {
			return nil, nil, fmt.Errorf("codec: LATM payload: %w", r.err)
		}
		frames = append(frames, r.copy(size))
	}
	return l.asc, frames, nil
}

func (r *bitReader) latmLength() int {
	n := 0
	for r.err == nil {
		v := r.bits(8)
		n += int(v)
		if v != 255 {
			break
		}
	}
	return n
}

// copy reads n bits into bytes of their own, with zeros behind.
func (r *bitReader) copy(n int) []byte {
	out := make([]byte, (n+7)/8)
	for i := range out {
		take := min(8, n-8*i)
		out[i] = byte(r.bits(take) << (8 - take))
	}
	return out
}

// config reads a StreamMuxConfig.
func (l *LATM) config(r *bitReader) {
	version := r.bits(1)
	if version == 1 && r.flag() {
		r.fail(fmt.Errorf("multiplex of version 1A: %w", ErrUnsupported))
	}
	if version == 1 {
		r.latmValue() // taraBufferFullness
	}
	same := r.flag()
	l.subFrames = int(r.bits(6)) + 1
	if programs, layers := r.bits(4), r.bits(3); !same || programs != 0 || layers != 0 {
		r.fail(fmt.Errorf("multiplex of several programs or layers: %w", ErrUnsupported))
	}
	asc := l.specific(r, version)
	l.fixed = 0
	switch r.bits(3) { // frameLengthType
	case 0:
		r.skip(8) // latmBufferFullness
	case 1:
		l.fixed = 8 * (int(r.bits(9)) + 20)
	default:
		r.fail(fmt.Errorf("payload without byte length: %w", ErrUnsupported))
	}
	if r.flag() { // otherData
		r.otherData(version)
	}
	if r.flag() {
		r.skip(8) // CRC
	}
	if r.err == nil {
		l.asc = asc
	}
}

// specific reads the AudioSpecificConfig, whose length version 0 does not say.
func (l *LATM) specific(r *bitReader, version uint32) []byte {
	var size int
	if version == 1 {
		size = int(r.latmValue())
	} else {
		x := *r
		x.specificConfig()
		size = x.pos - r.pos
		r.fail(x.err)
	}
	if size > r.left() || size > 8*maxASC {
		r.fail(errShort)
	}
	if r.err != nil {
		return nil
	}
	return r.copy(size)
}

// specificConfig passes over an AudioSpecificConfig of AAC.
func (r *bitReader) specificConfig() {
	object := r.objectType()
	r.sampleRate()
	layout := r.bits(4)
	var c ASC
	if object == aotSBR || object == aotPS {
		r.sampleRate()
		object = r.objectType()
	}
	if object < aotMain || object > aotLTP || layout == 0 {
		r.fail(fmt.Errorf("audio object type %d, channel configuration %d: %w", object, layout, ErrUnsupported))
	}
	c.ObjectType = object
	c.body(r, layout)
}

func (r *bitReader) latmValue() uint32 {
	return r.bits(8 * int(r.bits(2)+1))
}

func (r *bitReader) otherData(version uint32) {
	if version == 1 {
		r.latmValue()
		return
	}
	for more := true; more && r.err == nil; {
		more = r.flag()
		r.skip(8)
	}
}
