package main

import (
	"io"
	"syscall"
	"time"
	"unsafe"
)

// arrivals reads a socket and takes from the kernel when the bytes came. A
// process that shares its processors with the server it measures may only run
// once the server sleeps, and would take that wait for the server's.
type arrivals struct {
	raw    syscall.RawConn
	newest int64 // nanoseconds, on the clock of now
	oob    [64]byte
}

func newArrivals(c syscall.Conn) (*arrivals, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var refused error
	err = raw.Control(func(fd uintptr) {
		refused = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_TIMESTAMPNS, 1)
	})
	if err == nil {
		err = refused
	}
	return &arrivals{raw: raw}, err
}

// Read implements io.Reader; newest is then the arrival of the last byte.
func (a *arrivals) Read(b []byte) (n int, err error) {
	var controls int
	wait := a.raw.Read(func(fd uintptr) bool {
		n, controls, _, _, err = syscall.Recvmsg(int(fd), b, a.oob[:], 0)
		return err != syscall.EAGAIN
	})
	switch {
	case wait != nil:
		return 0, wait
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	messages, err := syscall.ParseSocketControlMessage(a.oob[:controls])
	for _, m := range messages {
		if m.Header.Level == syscall.SOL_SOCKET && m.Header.Type == syscall.SCM_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(syscall.Timespec{})) {
			at := (*syscall.Timespec)(unsafe.Pointer(unsafe.SliceData(m.Data)))
			a.newest = int64(time.Unix(at.Unix()).Sub(began.Round(0)))
		}
	}
	return n, err
}
