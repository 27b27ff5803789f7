package mpegts

import (
	"errors"
	"fmt"
)

// pesHeader is what is read of a PES packet's header (13818-1, 2.4.3.6).
type pesHeader struct {
	timed     bool // it has a time stamp
	dts, pts  int64
	scrambled bool
}

var (
	errUntimed = errors.New("no time stamp")
	errLong    = errors.New("frame is too long")
)

func scrambled(pid uint16) error {
	return fmt.Errorf("mpegts: PID %d: %w: send it in the clear, or encrypt the connection (SRT passphrase)", pid, ErrScrambled)
}

// parsePES takes a PES packet apart whose size is want, or all of b if that is 0.
func parsePES(b []byte, want int) (h pesHeader, payload []byte, ok bool) {
	if want > 0 && want < len(b) {
		b = b[:want]
	}
	if len(b) < 9 || b[0] != 0 || b[1] != 0 || b[2] != 1 || b[3] == idPadding || b[3] == idNav || b[6]&0xc0 != 0x80 {
		return h, nil, false
	}
	h.scrambled = b[6]&0x30 != 0
	head := 9 + int(b[8])
	if head > len(b) {
		return h, nil, false
	}
	fields := b[9:head]
	switch flags := b[7] >> 6; {
	case flags >= 2 && len(fields) < 5, flags == 3 && len(fields) < 10:
		return h, nil, false
	case flags >= 2:
		h.timed, h.pts = true, stamp(fields)
		h.dts = h.pts
		if flags == 3 {
			h.dts = stamp(fields[5:])
		}
	}
	return h, b[head:], true
}
