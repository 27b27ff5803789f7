package dvr

import (
	"os"
	"strings"
	"sync"
	"syscall"
)

// bootID names this run of the system: what a process that was killed had
// written is there, whereas after a failure of power some may not be.
var bootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
})

func syncData(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}

// punch gives the disk space of a range back; it reads as zeros.
func punch(f *os.File, off, n int64) error {
	const keepSize, punchHole = 1, 2
	return syscall.Fallocate(int(f.Fd()), keepSize|punchHole, off, n)
}
