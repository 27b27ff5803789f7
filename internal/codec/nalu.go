package codec

import (
	"bytes"
	"fmt"
	"iter"
)

// NALUs walks the NAL units of a sample with four-byte lengths. It stops at
// the first length that does not fit; [AVCNormalize] says whether one is
// there. The units are slices of sample.
func NALUs(sample []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(sample) >= 4 {
			n := uint64(be.Uint32(sample))
			if n > uint64(len(sample)-4) {
				return
			}
			if n > 0 && !yield(sample[4:4+n:4+n]) {
				return
			}
			sample = sample[4+n:]
		}
	}
}

// AnnexBNALUs walks the NAL units of a byte stream with start codes (ITU-T
// H.264 annex B). What is before the first start code is skipped. The units
// are slices of b.
func AnnexBNALUs(b []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		_, b, ok := bytes.Cut(b, startCode3)
		for ok {
			var unit []byte
			unit, b, ok = bytes.Cut(b, startCode3)
			// Zeros before a start code belong to it: a unit never ends in one.
			unit = bytes.TrimRight(unit, "\x00")
			if len(unit) > 0 && !yield(unit[:len(unit):len(unit)]) {
				return
			}
		}
	}
}

var (
	startCode3 = []byte{0, 0, 1}
	startCode4 = []byte{0, 0, 0, 1}
)

// AnnexB returns a sample with four-byte lengths as a byte stream with
// four-byte start codes.
func AnnexB(sample []byte) []byte {
	out := make([]byte, 0, len(sample))
	for u := range NALUs(sample) {
		out = append(append(out, startCode4...), u...)
	}
	return out
}

// FromAnnexB returns a byte stream with start codes as a sample with four-byte
// lengths.
func FromAnnexB(b []byte) ([]byte, error) {
	out := make([]byte, 0, len(b)+16)
	for u := range AnnexBNALUs(b) {
		out = append(be.AppendUint32(out, uint32(len(u))), u...)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("codec: byte stream has no NAL unit: %w", ErrInvalid)
	}
	return out, nil
}

// unescape removes the emulation prevention bytes of a NAL unit.
func unescape(nalu []byte) []byte {
	out := make([]byte, 0, len(nalu))
	zeros := 0
	for _, c := range nalu {
		if zeros >= 2 && c == 3 {
			zeros = 0
			continue
		}
		if c == 0 {
			zeros++
		} else {
			zeros = 0
		}
		out = append(out, c)
	}
	return out
}
