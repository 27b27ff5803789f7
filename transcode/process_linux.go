package transcode

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

const terminate = syscall.SIGTERM

// workerAttributes lets a worker die with this process, and keeps the signals of
// a terminal from it.
func workerAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// lowerPriority makes this process nicer: each of its threads, of which later
// ones inherit it.
func lowerPriority(nice int) error {
	threads, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		return err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(filepath.Base(t))
		if err != nil {
			return err
		}
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, id, nice+currentNice(id)); err != nil {
			return fmt.Errorf("set priority: %w", err)
		}
	}
	return nil
}

// currentNice is a thread's nice value: the system call returns 20 minus it.
func currentNice(id int) int {
	raw, err := syscall.Getpriority(syscall.PRIO_PROCESS, id)
	if err != nil {
		return 0
	}
	return 20 - raw
}

// memory returns the address space and the resident memory of this process.
func memory() (space, resident int64) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, 0
	}
	_, _ = fmt.Sscan(string(b), &space, &resident) // of the kernel's
	page := int64(os.Getpagesize())
	return space * page, resident * page
}

// limitMemory bounds the address space.
func limitMemory(bytes int64) error {
	l := syscall.Rlimit{Cur: uint64(bytes), Max: uint64(bytes)}
	return syscall.Setrlimit(syscall.RLIMIT_AS, &l)
}
