package codec

// Picture says what a sample is to a decoder that wants to start.
type Picture uint8

// The kinds of sample. Sound is always a Start.
const (
	Dependent Picture = iota // needs samples before it
	Start                    // a decoder may start here
	// OpenStart is a CRA or BLA picture of H.265: a decoder may start here
	// unless the next sample is a Leading one, which then could not be decoded.
	OpenStart
	Leading // decoded after an OpenStart and shown before it
)

// AVCPicture looks at a sample of H.264: an IDR picture is a Start.
func AVCPicture(sample []byte) Picture {
	if AVCHasIDR(sample) {
		return Start
	}
	return Dependent
}

// hevcBLAAlone is BLA_N_LP, a BLA picture that nothing leads.
const hevcBLAAlone = 18

// HEVCPicture looks at a sample of H.265. What leads an IDR picture can be
// decoded.
func HEVCPicture(sample []byte) Picture {
	for u := range NALUs(sample) {
		switch t := hevcType(u); {
		case t >= hevcVPS: // no picture
			continue
		case t >= hevcBLAAlone && t <= hevcIDR:
			return Start
		case t >= hevcBLA && t < hevcBLAAlone, t == hevcCRA:
			return OpenStart
		case t >= hevcRADLN && t <= hevcRASLR:
			return Leading
		}
		return Dependent
	}
	return Dependent
}

// AV1Picture looks at a sample of AV1: a Start has a sequence header and a
// shown key frame behind it (AV1 in ISOBMFF, 2.4).
func AV1Picture(sample []byte) Picture {
	sequence := false
	for len(sample) > 0 {
		typ, body, rest, err := nextOBU(sample)
		if err != nil {
			break
		}
		switch typ {
		case obuSequence:
			sequence = true
		case obuFrameHeader, obuFrame:
			// show_existing_frame 0, frame_type 0 (key), show_frame 1
			if sequence && len(body) > 0 && body[0]>>4 == 1 {
				return Start
			}
			return Dependent
		}
		sample = rest
	}
	return Dependent
}

// VP8Picture looks at a frame of VP8 (RFC 6386, 9.1).
func VP8Picture(frame []byte) Picture {
	if len(frame) > 0 && frame[0]&1 == 0 {
		return Start
	}
	return Dependent
}

// VP9Picture looks at a frame, or a superframe, of VP9 (VP9 Bitstream
// Specification, 6.2).
func VP9Picture(frame []byte) Picture {
	if h, err := parseVP9(frame); err == nil && h.FrameSize != nil {
		return Start
	}
	return Dependent
}

// Sound is the Picture of every frame of sound.
func Sound([]byte) Picture { return Start }
