//go:build linux || darwin || freebsd || netbsd || openbsd

package dvr

import (
	"errors"
	"os"
	"syscall"
)

// lock takes a stream's lock, which no other process then has, until the file
// is closed or the process ends. It does not wait.
func lock(f *os.File) (taken bool, err error) {
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// diskUse returns how full the file system is that holds a path, as a share of
// what is there for ordinary users.
func diskUse(path string) (float64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return 0, err
	}
	used := float64(st.Blocks) - float64(st.Bfree)
	total := used + float64(st.Bavail)
	if total <= 0 {
		return 0, nil
	}
	return used / total, nil
}
