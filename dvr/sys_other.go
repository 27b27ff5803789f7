//go:build !linux

package dvr

import (
	"errors"
	"os"
)

func bootID() string { return "" }

func syncData(f *os.File) error { return f.Sync() }

func punch(*os.File, int64, int64) error { return errors.ErrUnsupported }
