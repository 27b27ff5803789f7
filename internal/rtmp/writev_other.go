//go:build !linux

package rtmp

import (
	"errors"
	"syscall"
)

// vectored says that vectorWriter works: here each player has a goroutine.
const vectored = false

type vectorWriter struct{}

func (w *vectorWriter) write(syscall.RawConn, [][]byte) (n int, full bool, err error) {
	return 0, false, errors.ErrUnsupported
}

func (w *vectorWriter) writeWait(syscall.RawConn, [][]byte) (int, error) {
	return 0, errors.ErrUnsupported
}
