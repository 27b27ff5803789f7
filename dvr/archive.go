package dvr

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
)

var (
	// ErrClosed is returned by what uses an Archive that is not open.
	ErrClosed = errors.New("dvr: archive is not open")
	// ErrBusy is returned by Consume where the stream is being recorded.
	ErrBusy = errors.New("stream is being recorded by another")
	// ErrNoArchive is wrapped by the error of Open where there is no archive,
	// which may mean that its disk is not mounted.
	ErrNoArchive = errors.New("there is no archive here")
)

// Archive keeps streams in a directory. Set the exported fields, then call
// Open. It is safe for concurrent use.
type Archive struct {
	// Dir is the archive's root, on the disk that is to hold it.
	Dir string
	// Create makes the archive if Dir has none. Danger: with it an unmounted disk
	// looks like a new archive, so leave it out once the archive is there.
	Create bool
	// Queue is how many bytes of each stream may wait for the disk before a
	// segment is given up; default 2 MiB, about 3 s at 5 Mbit/s.
	Queue int
	// NoSync leaves it to the system when media goes to disk. Danger: a power
	// failure then loses up to half a minute of it instead of a few seconds.
	NoSync bool
	// NoVerify serves segments without a look at their checksums, which otherwise
	// happens once for each, before it is served first.
	NoVerify bool
	// Policy is for all streams that Policies, if it is set, does not know better
	// about.
	Policy   Policy
	Policies func(stream string) Policy
	// DiskShare is how full the file system may become, as a share of 1, before
	// Expire removes the oldest hours of all streams; 0 is no limit.
	DiskShare float64
	// Log receives what an operator should know; nil discards it.
	Log *slog.Logger

	mu      sync.Mutex
	state   *state // nil unless open
	metrics metrics
}

// state is what an open Archive has beside its configuration.
type state struct {
	id       string
	identity fs.FileInfo // of the file that says so
	ctx      context.Context
	cancel   context.CancelCauseFunc
	running  sync.WaitGroup // of Consume

	indexes indexes

	mu        sync.Mutex
	recording map[string]*recorder
	paused    map[string]bool
	sizes     map[string]int64 // of streams, once Expire has measured them
}

const (
	defaultQueue = 2 << 20
	identityFile = "sluice-archive.json"
	streamsDir   = "streams"
	lockFile     = "lock"
)

// identity is the content of the file that makes a directory an archive.
type identity struct {
	Format  int       `json:"format"`
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
}

// Open makes the archive ready for use. It reads one small file, however large
// the archive is.
func (a *Archive) Open() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state != nil {
		return nil
	}
	if a.Dir == "" {
		return errors.New("dvr: open archive: Archive.Dir is empty")
	}
	name := filepath.Join(a.Dir, identityFile)
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && a.Create {
		b, err = a.create(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("dvr: open archive %s: %w (is its disk mounted? Archive.Create makes a new one): %w", a.Dir, ErrNoArchive, err)
	}
	var id identity
	if err == nil {
		err = json.Unmarshal(b, &id)
	}
	if err == nil && (id.Format != 1 || id.ID == "") {
		err = fmt.Errorf("format %d is not known: %w", id.Format, ErrFormat)
	}
	if err != nil {
		return fmt.Errorf("dvr: open archive %s: %w", a.Dir, err)
	}
	info, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("dvr: open archive %s: %w", a.Dir, err)
	}
	a.metrics.init()
	st := &state{
		id: id.ID, identity: info, recording: map[string]*recorder{}, paused: map[string]bool{}, sizes: map[string]int64{},
	}
	st.ctx, st.cancel = context.WithCancelCause(context.Background())
	a.state = st
	return nil
}

func (a *Archive) create(name string) ([]byte, error) {
	if err := os.MkdirAll(filepath.Join(a.Dir, streamsDir), 0o750); err != nil {
		return nil, err
	}
	b, err := json.Marshal(identity{Format: 1, ID: hex.EncodeToString(newID()), Created: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return nil, err
	}
	return b, replaceFile(name, append(b, '\n'))
}

func newID() []byte {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return id[:]
}

// Close ends all recordings and waits for them. The archive can be opened again.
func (a *Archive) Close() error {
	a.mu.Lock()
	st := a.state
	a.state = nil
	a.mu.Unlock()
	if st == nil {
		return nil
	}
	st.cancel(ErrClosed)
	st.running.Wait()
	return nil
}

// ID returns what tells this archive from every other; empty before Open.
func (a *Archive) ID() string {
	if st, err := a.opened(); err == nil {
		return st.id
	}
	return ""
}

func (a *Archive) opened() (*state, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state == nil {
		return nil, ErrClosed
	}
	return a.state, nil
}

// Stream returns the recorder and player of one stream. It costs nothing, and
// touches no disk.
func (a *Archive) Stream(name string) *Stream {
	s := &Stream{Name: name, archive: a}
	s.dir, s.bad = streamFolder(name)
	s.dir = filepath.Join(a.Dir, streamsDir, s.dir)
	return s
}

// Segments returns the archived segments of one stream. They are a *Stream.
func (a *Archive) Segments(name string) sluice.Segments { return a.Stream(name) }

// Streams returns the names of all streams that were ever recorded and of which
// something may be left, sorted. It reads one folder.
func (a *Archive) Streams() ([]string, error) {
	if _, err := a.opened(); err != nil {
		return nil, err
	}
	folders, err := readNames(filepath.Join(a.Dir, streamsDir))
	if err != nil {
		return nil, fmt.Errorf("dvr: list streams: %w", err)
	}
	var names []string
	for _, f := range folders {
		if name, ok := streamName(f); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

// mounted reports an archive whose file system is not the one that was opened.
func (a *Archive) mounted(st *state) error {
	now, err := os.Stat(filepath.Join(a.Dir, identityFile))
	if err == nil && !os.SameFile(now, st.identity) {
		err = errors.New("it is another one now")
	}
	if err != nil {
		return fmt.Errorf("dvr: archive %s is gone (was its disk unmounted?): %w", a.Dir, err)
	}
	return nil
}

// maxName bounds a file's name.
const maxName = 255

// streamFolder escapes a stream's name so that it is one plain folder's.
func streamFolder(name string) (string, error) {
	var b strings.Builder
	for _, c := range []byte(name) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	if n := b.Len(); n == 0 || n > maxName {
		return "", fmt.Errorf("dvr: %.64q cannot be a stream's name", name)
	}
	return b.String(), nil
}

func streamName(folder string) (string, bool) {
	var b []byte
	for i := 0; i < len(folder); i++ {
		if folder[i] != '%' {
			b = append(b, folder[i])
			continue
		}
		c, err := hex.DecodeString(folder[min(i+1, len(folder)):min(i+3, len(folder))])
		if err != nil || len(c) != 1 {
			return "", false
		}
		b = append(b, c[0])
		i += 2
	}
	back, err := streamFolder(string(b))
	return string(b), err == nil && back == folder
}

// replaceFile writes a file as a whole and durably: a crash leaves the old one
// or the new.
func replaceFile(name string, b []byte) error { return writeFile(name, b, true) }

// writeFile is replaceFile of what may be lost with the power, if sync is false.
func writeFile(name string, b []byte, sync bool) error {
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
	if err != nil {
		os.Remove(name + ".new")
	}
	return err
}

var discard = slog.New(slog.DiscardHandler)

func (a *Archive) log() *slog.Logger {
	if a.Log == nil {
		return discard
	}
	return a.Log
}

func (a *Archive) policy(stream string) Policy {
	if a.Policies != nil {
		return a.Policies(stream)
	}
	return a.Policy
}

// grew counts what was written to a stream that has been measured.
func (st *state) grew(stream string, n int64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if _, ok := st.sizes[stream]; ok {
		st.sizes[stream] += n
	}
}
