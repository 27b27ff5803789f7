package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Position is where a stream's timeline stands: what its next broadcast goes on
// from, so that names never come twice and numbers and times never go back.
type Position struct {
	Era     uint32            `json:"era"`
	Numbers map[uint32]uint64 `json:"numbers"` // the last segment of each track
	End     time.Time         `json:"end"`     // nothing is stamped behind it
}

// Positions keeps the Position of every stream, durably if names are to stay
// unique across restarts. It is safe for concurrent use. The ctx of a call is
// done after 5 s; the stream waits meanwhile, other streams do not.
type Positions interface {
	// Load returns a stream's position; of one not known, the zero Position.
	Load(ctx context.Context, stream string) (Position, error)
	// Save replaces it. It is called whenever a segment opens.
	Save(ctx context.Context, stream string, p Position) error
}

// Dir keeps positions as a small file a stream in the directory of that name,
// which it makes.
type Dir string

// lastYear is the last in which nanoseconds since 1970 fit 63 bits, and some.
const lastYear = 2200

// Load implements Positions.
func (d Dir) Load(_ context.Context, stream string) (Position, error) {
	var p Position
	b, err := os.ReadFile(d.file(stream))
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err == nil && p.End.Year() > lastYear {
		err = fmt.Errorf("the end lies in %d", p.End.Year())
	}
	if err != nil {
		return Position{}, fmt.Errorf("ingest: read position of %q (if %s is damaged, remove it): %w", stream, d.file(stream), err)
	}
	return p, nil
}

// Save implements Positions: the file is replaced as a whole, so that a crash
// leaves the old one or the new. Only a new era waits for the disk: after a
// power failure numbers may be given again, but in another era, under other
// names.
func (d Dir) Save(ctx context.Context, stream string, p Position) error {
	b, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("ingest: save position of %q: %w", stream, err)
	}
	old, err := d.Load(ctx, stream)
	sync := err != nil || old.Era != p.Era
	err = d.replace(d.file(stream), b, sync)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(string(d), 0o700); err == nil {
			err = d.replace(d.file(stream), b, sync)
		}
	}
	if err != nil {
		return fmt.Errorf("ingest: save position of %q: %w", stream, err)
	}
	return nil
}

// replace writes a file beside the one of that name and moves it there.
func (d Dir) replace(name string, b []byte, sync bool) error {
	f, err := os.Create(name + ".new")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(name+".new", name)
	}
	return err
}

// file escapes what would lead out of the directory.
func (d Dir) file(stream string) string {
	return filepath.Join(string(d), url.PathEscape(stream)+".json")
}

// unsaved are the positions that could not be saved: while the disk is full, a
// stream's next broadcast goes on from here.
type unsaved struct {
	mu sync.Mutex
	m  map[string]Position
}

func (u *unsaved) note(stream string, p Position, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err == nil {
		delete(u.m, stream)
		return
	}
	if u.m == nil {
		u.m = make(map[string]Position)
	}
	u.m[stream] = p
}

func (u *unsaved) get(stream string) (Position, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	p, ok := u.m[stream]
	return p, ok
}

// memory keeps positions as long as the process runs.
type memory struct {
	mu sync.Mutex
	m  map[string]Position
}

func (m *memory) Load(_ context.Context, stream string) (Position, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.m[stream], nil
}

func (m *memory) Save(_ context.Context, stream string, p Position) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.m == nil {
		m.m = make(map[string]Position)
	}
	m.m[stream] = p
	return nil
}
