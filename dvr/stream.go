package dvr

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-live/sluice"
)

// Stream records one stream of an archive and plays what was recorded: a
// sluice.Recorder and sluice.Segments. It holds nothing: any number of them may
// be made for the same stream. Only one may record at a time.
type Stream struct {
	// Name is the stream's. It is read only.
	Name string

	archive *Archive
	dir     string
	bad     error // the name cannot be one
}

var (
	_ sluice.Recorder = (*Stream)(nil)
	_ sluice.Segments = (*Stream)(nil)
)

func (s *Stream) opened() (*state, error) {
	if s.bad != nil {
		return nil, s.bad
	}
	return s.archive.opened()
}

func (s *Stream) trackDir(id uint32) string {
	return filepath.Join(s.dir, strconv.FormatUint(uint64(id), 10))
}

// trackIDs returns the tracks of which there is a folder.
func (s *Stream) trackIDs() ([]uint32, error) {
	names, err := readNames(s.dir)
	if err != nil {
		return nil, err
	}
	var ids []uint32
	for _, name := range names {
		if id, err := strconv.ParseUint(name, 10, 32); err == nil && id != 0 && strconv.FormatUint(id, 10) == name {
			ids = append(ids, uint32(id))
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Pause stops recording with the end of the segments that are open, until
// Resume. What is not recorded is simply not there: its numbers are left out.
// It may be called whether the stream is being recorded or not, and is
// forgotten with the process.
func (s *Stream) Pause() error { return s.setPaused(true) }

// Resume ends a Pause with the next segments.
func (s *Stream) Resume() error { return s.setPaused(false) }

func (s *Stream) setPaused(paused bool) error {
	st, err := s.opened()
	if err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if paused {
		st.paused[s.Name] = true
	} else {
		delete(st.paused, s.Name)
	}
	return nil
}

func (st *state) isPaused(name string) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.paused[name]
}

// Recording reports whether this process is recording the stream.
func (s *Stream) Recording() bool {
	st, err := s.opened()
	return err == nil && st.isRecording(s.Name)
}

func (st *state) isRecording(name string) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.recording[name] != nil
}

// idle reports that nobody else writes the stream: what has no end now will
// never have one. This process's own blobs in progress are kept apart.
func (s *Stream) idle(st *state) bool {
	if st.isRecording(s.Name) {
		return true // we have the lock
	}
	f, err := os.Open(filepath.Join(s.dir, lockFile))
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	defer f.Close()
	taken, err := lock(f)
	return taken && err == nil
}

// acquire takes the stream's lock in this process and among others. The file
// has to be closed.
func (s *Stream) acquire() (*os.File, error) {
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(s.dir, lockFile), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	for range 50 { // somebody who looks whether it is taken has it for a moment
		taken, err := lock(f)
		if err != nil {
			f.Close()
			return nil, err
		}
		if taken {
			host, _ := os.Hostname()
			_ = f.Truncate(0)
			_, _ = f.WriteAt(fmt.Appendf(nil, "process %d on %s\n", os.Getpid(), host), 0)
			return f, nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	who := make([]byte, 128)
	n, _ := f.ReadAt(who, 0)
	f.Close()
	return nil, fmt.Errorf("%w: %q has its lock", ErrBusy, string(who[:n]))
}

// Span returns from when until when there is something recorded, holes
// included; fs.ErrNotExist where there is nothing.
func (s *Stream) Span() (from, to time.Time, err error) {
	st, err := s.opened()
	if err != nil {
		return from, to, err
	}
	ids, err := s.trackIDs()
	if err != nil {
		return from, to, fmt.Errorf("dvr: span of %q: %w", s.Name, err)
	}
	for _, id := range ids {
		first, last, ok, err := s.trackSpan(st, level{path: s.trackDir(id)})
		if err != nil {
			return from, to, fmt.Errorf("dvr: span of %q: %w", s.Name, err)
		}
		if ok && (from.IsZero() || first.Before(from)) {
			from = first
		}
		if ok && last.After(to) {
			to = last
		}
	}
	if to.IsZero() {
		return from, to, fmt.Errorf("dvr: span of %q: nothing is recorded: %w", s.Name, fs.ErrNotExist)
	}
	return from, to, nil
}

func (s *Stream) trackSpan(st *state, track level) (first, last time.Time, ok bool, err error) {
	oldest, err := track.oldest()
	newest, nerr := track.newest()
	if err = errors.Join(err, nerr); err != nil {
		return first, last, false, err
	}
	slices.Reverse(newest)
	for _, side := range [][]blobName{oldest, newest} {
		for _, n := range side {
			b, err := s.load(st, n)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return first, last, false, err
			}
			start, end, some := b.span()
			if !some {
				continue
			}
			if !ok || start.Before(first) {
				first = start
			}
			if end.After(last) {
				last = end
			}
			ok = true
			break
		}
	}
	return first, last, ok, nil
}

// span returns when the first segment of a blob begins and the last one ends.
func (b *blob) span() (from, to time.Time, ok bool) {
	entries, tracks := b.snapshot()
	if len(entries) == 0 {
		return from, to, false
	}
	a, z := &entries[0], &entries[len(entries)-1]
	return tracks[a.track].Time(a.start), tracks[z.track].Time(z.start + z.dur), true
}
