package testmedia

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// Clip returns the path of an FLV file as spec describes it. It encodes the
// clip if the cache does not hold it, and skips the test as [Need] does if
// there is no ffmpeg.
func Clip(t testing.TB, spec Spec) string {
	t.Helper()
	Need(t, "ffmpeg")
	path, err := Make(t.Context(), spec)
	require.NoError(t, err)
	return path
}

// Make is [Clip] for programs.
func Make(ctx context.Context, spec Spec) (string, error) {
	spec = spec.withDefaults()
	if err := spec.check(); err != nil {
		return "", fmt.Errorf("testmedia: clip: %w", err)
	}
	dir, err := cacheDir()
	if err != nil {
		return "", fmt.Errorf("testmedia: cache folder: %w", err)
	}
	key := sha256.Sum256([]byte(strings.Join(spec.args(), "\x00")))
	path := filepath.Join(dir, hex.EncodeToString(key[:8])+".flv")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	unlock, err := lock(path + ".lock")
	if err != nil {
		return "", fmt.Errorf("testmedia: lock %s: %w", path, err)
	}
	defer unlock()
	if _, err := os.Stat(path); err == nil { // another process made it meanwhile
		return path, nil
	}
	return path, encode(ctx, spec, path)
}

func encode(ctx context.Context, spec Spec, path string) error {
	unfinished := path + ".tmp"
	defer os.Remove(unfinished)
	cmd := exec.CommandContext(ctx, "ffmpeg", append(spec.args(), unfinished)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("testmedia: %s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return os.Rename(unfinished, path)
}

func cacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil { // no home folder, as in some containers
		base = os.TempDir()
	}
	dir := filepath.Join(base, "sluice", "testmedia")
	return dir, os.MkdirAll(dir, 0o755)
}

// lock makes the processes that want the same clip wait for one of them.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}
