package ingest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func position(n uint64) Position {
	return Position{Era: uint32(n), Numbers: map[uint32]uint64{1: n, 2: n + 7}, End: time.Unix(int64(n), 123456789).UTC()}
}

func TestPositionsKeepWhatIsSaved(t *testing.T) {
	for name, p := range map[string]Positions{"directory": Dir(filepath.Join(t.TempDir(), "a", "b")), "memory": &memory{}} {
		t.Run(name, func(t *testing.T) {
			got, err := p.Load(context.Background(), "one")
			require.NoError(t, err)
			assert.Equal(t, Position{}, got)
			for n := range uint64(3) {
				require.NoError(t, p.Save(context.Background(), "one", position(n)))
				require.NoError(t, p.Save(context.Background(), "two", position(n+100)))
			}
			for stream, want := range map[string]Position{"one": position(2), "two": position(102)} {
				got, err = p.Load(context.Background(), stream)
				require.NoError(t, err)
				assert.Equal(t, want, got)
			}
		})
	}
}

// A process killed while it saves leaves a half-written file beside the old one.
func TestDirCrashLeavesOldPosition(t *testing.T) {
	d := Dir(t.TempDir())
	require.NoError(t, d.Save(context.Background(), "live", position(1)))
	require.NoError(t, os.WriteFile(d.file("live")+".new", []byte(`{"era":9,"num`), 0o600))
	got, err := d.Load(context.Background(), "live")
	require.NoError(t, err)
	assert.Equal(t, position(1), got)
	require.NoError(t, d.Save(context.Background(), "live", position(2)))
	got, err = d.Load(context.Background(), "live")
	require.NoError(t, err)
	assert.Equal(t, position(2), got)
}

// At every moment a reader finds a whole position, as would a start after a crash.
func TestDirIsNeverHalfWritten(t *testing.T) {
	d := Dir(t.TempDir())
	require.NoError(t, d.Save(context.Background(), "live", position(0)))
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range uint64(100) {
			assert.NoError(t, d.Save(context.Background(), "live", position(n)))
		}
	})
	for last := uint32(0); last < 99; {
		got, err := d.Load(context.Background(), "live")
		require.NoError(t, err)
		require.Equal(t, position(uint64(got.Era)), got)
		require.GreaterOrEqual(t, got.Era, last)
		last = got.Era
	}
	wg.Wait()
}

func TestDirSaysWhatIsWrong(t *testing.T) {
	d := Dir(t.TempDir())
	for _, damaged := range []string{"", "{", `{"era":"x"}`, "\x00\x00\x00", `{"era":1,"end":"9999-01-01T00:00:00Z"}`} {
		require.NoError(t, os.WriteFile(d.file("live"), []byte(damaged), 0o600))
		_, err := d.Load(context.Background(), "live")
		assert.ErrorContains(t, err, `ingest: read position of "live" `, "%q", damaged)
		assert.ErrorContains(t, err, "if "+d.file("live")+" is damaged, remove it")
	}
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	assert.ErrorContains(t, Dir(file).Save(context.Background(), "live", position(1)), `ingest: save position of "live"`)
}

func TestDirStaysInside(t *testing.T) {
	dir := t.TempDir()
	d := Dir(filepath.Join(dir, "positions"))
	for i, stream := range []string{"../x", "..", ".", "/etc/x", "a/b", "A b", ""} {
		require.NoError(t, d.Save(context.Background(), stream, position(uint64(i))))
		got, err := d.Load(context.Background(), stream)
		require.NoError(t, err)
		assert.Equal(t, position(uint64(i)), got, "%q", stream)
	}
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, files, 1)
}
