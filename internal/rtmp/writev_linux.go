package rtmp

import (
	"runtime"
	"syscall"
	"unsafe"
)

// vectored says that vectorWriter works.
const vectored = true

// vectorWriter writes slices to a socket with one system call. It is for one
// goroutine.
type vectorWriter struct {
	iov   []syscall.Iovec
	wait  bool
	n     int
	errno syscall.Errno
	call  func(fd uintptr) bool // writev, made once so as not to be allocated for each
}

// write writes what the socket takes now. full says that it took less than
// all.
func (w *vectorWriter) write(raw syscall.RawConn, bufs [][]byte) (n int, full bool, err error) {
	w.wait = false
	want := 0
	for _, b := range bufs {
		want += len(b)
	}
	n, err = w.do(raw, bufs)
	if err == syscall.EAGAIN {
		err = nil
	}
	return n, n < want, err
}

// writeWait waits until the socket takes something, or its write deadline.
func (w *vectorWriter) writeWait(raw syscall.RawConn, bufs [][]byte) (int, error) {
	w.wait = true
	return w.do(raw, bufs)
}

func (w *vectorWriter) do(raw syscall.RawConn, bufs [][]byte) (int, error) {
	w.iov = w.iov[:0]
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		v := syscall.Iovec{Base: unsafe.SliceData(b)}
		v.SetLen(len(b))
		w.iov = append(w.iov, v)
	}
	if w.call == nil {
		w.call = w.writev
	}
	w.n, w.errno = 0, 0
	err := raw.Write(w.call)
	clear(w.iov) // holds blocks otherwise
	runtime.KeepAlive(bufs)
	if err != nil {
		return w.n, err
	}
	if w.errno != 0 {
		return 0, w.errno
	}
	return w.n, nil
}

// writev is given to RawConn.Write: false has it called again when the socket
// can be written to.
func (w *vectorWriter) writev(fd uintptr) bool {
	for {
		n, _, errno := syscall.Syscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&w.iov[0])), uintptr(min(len(w.iov), maxIov)))
		switch {
		case errno == syscall.EINTR:
			continue
		case errno == syscall.EAGAIN && w.wait:
			return false
		case errno == 0:
			w.n = int(n)
		}
		w.errno = errno
		return true
	}
}

// maxIov is IOV_MAX.
const maxIov = 1024
