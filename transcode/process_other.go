//go:build !linux

package transcode

import "syscall"

const terminate = syscall.SIGTERM

func workerAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func lowerPriority(nice int) error { return syscall.Setpriority(syscall.PRIO_PROCESS, 0, nice) }

// memory is not known here.
func memory() (space, resident int64) { return 0, 0 }

func limitMemory(int64) error { return nil }
