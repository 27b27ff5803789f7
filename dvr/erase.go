package dvr

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Erase removes the media of all segments that overlap [from, to), protected or
// not: their bytes are overwritten or their room on disk is given back, and
// they are listed as Gaps. Of an hour that is being written only complete
// segments are removed.
func (s *Stream) Erase(ctx context.Context, from, to time.Time) error {
	st, err := s.opened()
	if err != nil {
		return err
	}
	if !s.idle(st) {
		return fmt.Errorf("dvr: erase of %q: %w", s.Name, ErrBusy)
	}
	ids, err := s.trackIDs()
	for _, id := range ids {
		var failed error
		werr := s.walk(ctx, st, id, from, to, func(f found) bool {
			failed = s.erase(f)
			return failed == nil
		})
		if err = errors.Join(err, werr, failed); err != nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("dvr: erase of %q: %w", s.Name, err)
	}
	return nil
}

// erase takes a segment's bytes out of its blob, and says so in it.
func (s *Stream) erase(f found) error {
	e := f.entry()
	if !e.hasMedia() {
		return nil
	}
	blob, err := os.OpenFile(f.blob.name.path(), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer blob.Close()
	gone := e
	gone.flags |= flagErased
	if !e.has(flagCut) { // that has no record of its own
		at := e.off + e.size + int64(e.samples)
		if _, err := blob.WriteAt(f.blob.head.id.appendRecord(nil, kindSegment, gone.body()), at); err != nil {
			return err
		}
	}
	if err := wipe(blob, e.off, e.size); err != nil {
		return err
	}
	if err := blob.Sync(); err != nil {
		return err
	}
	f.blob.replace(f.i, gone)
	if err := markIndex(f.blob, e, gone); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.archive.metrics.expired.Add(uint64(e.size))
	return nil
}

// wipe punches a hole, or writes zeros where that cannot be done.
func wipe(f *os.File, off, n int64) error {
	if punch(f, off, n) == nil {
		return nil
	}
	zeros := make([]byte, min(n, 256<<10))
	for n > 0 {
		z := zeros[:min(n, int64(len(zeros)))]
		if _, err := f.WriteAt(z, off); err != nil {
			return err
		}
		off, n = off+int64(len(z)), n-int64(len(z))
	}
	return nil
}

// replace changes an entry. Who has a snapshot keeps the old one.
func (b *blob) replace(i int, e entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = append([]entry(nil), b.entries...)
	b.entries[i] = e
}

// markIndex replaces a segment's record in an index.
func markIndex(b *blob, old, gone entry) error {
	raw, err := readSome(b.indexPath(), maxIndex)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(b.indexPath(), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for at := int64(0); int(at) < len(raw); {
		n := recordSize(raw[at:])
		if n == 0 {
			break
		}
		if r, err := b.head.id.cutRecord(raw[at:]); err == nil && r.kind == kindSegment {
			if e, err := parseEntry(r.body); err == nil && e.number == old.number && e.off == old.off {
				_, err := f.WriteAt(b.head.id.appendRecord(nil, kindSegment, gone.body()), at)
				return err
			}
		}
		at += n
	}
	return nil
}
