package dvr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/cmaf"
)

// found is a segment and where it is.
type found struct {
	sluice.Segment
	blob *blob
	i    int
}

func (f *found) entry() entry {
	entries, _ := f.blob.snapshot()
	return entries[f.i]
}

// cut reports a segment that the recorder was stopped in.
func (f *found) cut() bool { e := f.entry(); return e.has(flagCut) }

// walk calls f with what overlaps [from, to) of a track, by number: of several
// of one number the first that is complete, else the last.
func (s *Stream) walk(ctx context.Context, st *state, track uint32, from, to time.Time, f func(found) bool) error {
	var held found
	more := true
	give := func(next found) bool {
		old := held
		held = next
		if old.blob == nil {
			return true
		}
		if next.blob != nil && next.Number == old.Number {
			if !old.cut() {
				held = old
			}
			return true
		}
		more = f(old)
		return more
	}
	var failed error
	dir := s.trackDir(track)
	err := walkDays(dir, from.Add(-maxLength), to, func(d dayFolder) bool {
		failed = s.walkDay(ctx, st, d, from, to, give)
		return more && failed == nil
	})
	if err = errors.Join(err, failed); err == nil && more {
		give(found{})
	}
	return err
}

// maxLength is longer than any segment: 2T with the longest T there is.
const maxLength = 2 * time.Hour

func (s *Stream) walkDay(ctx context.Context, st *state, d dayFolder, from, to time.Time, f func(found) bool) error {
	names, err := d.blobs()
	if err != nil {
		return err
	}
	for i, n := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !n.hour.Before(to) || n.end().Add(maxLength).Before(from) {
			continue
		}
		if !n.end().After(from) && !s.reaches(st, names[i:], n, from) {
			continue
		}
		b, err := s.load(st, n)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return err
		}
		if !b.each(from, to, f) {
			return nil
		}
	}
	return nil
}

// each calls f with the segments of a blob that overlap [from, to).
func (b *blob) each(from, to time.Time, f func(found) bool) (more bool) {
	entries, tracks := b.snapshot()
	for i := range entries {
		e, t := &entries[i], tracks[entries[i].track]
		if t.Time(e.start).Before(to) && t.Time(e.start+e.dur).After(from) && !f(found{b.segment(i), b, i}) {
			return false
		}
	}
	return true
}

// reaches reports whether a segment that began in a blob's hour may last until
// from, which is behind it. What comes next says how long segments are.
func (s *Stream) reaches(st *state, next []blobName, n blobName, from time.Time) bool {
	for _, after := range next {
		if !after.end().After(from) {
			continue
		}
		b, err := s.load(st, after)
		if err != nil {
			break
		}
		longest := time.Duration(0)
		_, tracks := b.snapshot()
		for _, t := range tracks {
			if t != nil {
				longest = max(longest, t.SegmentDur)
			}
		}
		if longest > 0 {
			return from.Sub(n.end()) < 2*longest
		}
	}
	return true
}

// List yields the segments that overlap [from, to), track after track, by
// number. It reads one hour's index at a time, as they are asked for.
//
// A segment is there from the moment it is complete. Where there is nothing
// that was not recorded, or no more; where a segment was recorded and is
// damaged or erased, there is a Gap.
func (s *Stream) List(ctx context.Context, from, to time.Time) iter.Seq2[sluice.Segment, error] {
	return func(yield func(sluice.Segment, error) bool) {
		ids, err := s.trackIDs()
		if err != nil {
			yield(sluice.Segment{}, fmt.Errorf("dvr: list %q: %w", s.Name, err))
			return
		}
		for _, id := range ids {
			for seg, err := range s.ListTrack(ctx, id, from, to) {
				if !yield(seg, err) || err != nil {
					return
				}
			}
		}
	}
}

// ListTrack is List of one track.
func (s *Stream) ListTrack(ctx context.Context, track uint32, from, to time.Time) iter.Seq2[sluice.Segment, error] {
	return func(yield func(sluice.Segment, error) bool) {
		st, err := s.opened()
		more := true
		if err == nil {
			err = s.walk(ctx, st, track, from, to, func(f found) bool {
				more = f.Dur <= 0 || yield(f.Segment, nil)
				return more
			})
		}
		if err != nil && more {
			yield(sluice.Segment{}, fmt.Errorf("dvr: list %q: %w", s.Name, err))
		}
	}
}

// Open returns the bytes of a segment, as a *Reader.
func (s *Stream) Open(ctx context.Context, want sluice.Segment) (io.ReadSeekCloser, error) {
	f, err := s.find(ctx, want)
	if err == nil {
		var r *Reader
		if r, err = s.open(f); err == nil {
			return r, nil
		}
	}
	return nil, fmt.Errorf("dvr: open segment %d of %q: %w", want.Number, s.Name, err)
}

// Samples returns the parts and samples of a segment, which it knows as Open
// does.
func (s *Stream) Samples(ctx context.Context, want sluice.Segment) ([]Part, error) {
	f, err := s.find(ctx, want)
	if err == nil {
		var r *Reader
		if r, err = s.open(f); err == nil {
			defer func() { _ = r.Close() }()
			var parts []Part
			if parts, err = r.parts(); err == nil {
				return parts, nil
			}
		}
	}
	return nil, fmt.Errorf("dvr: samples of segment %d of %q: %w", want.Number, s.Name, err)
}

// Find returns what List says of a segment, which it knows as Open does; its
// Track is whole.
func (s *Stream) Find(ctx context.Context, want sluice.Segment) (sluice.Segment, error) {
	f, err := s.find(ctx, want)
	if err != nil {
		return sluice.Segment{}, fmt.Errorf("dvr: find segment %d of %q: %w", want.Number, s.Name, err)
	}
	return f.Segment, nil
}

// find looks for a segment in memory, and then where its number must be.
func (s *Stream) find(ctx context.Context, want sluice.Segment) (found, error) {
	st, err := s.opened()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return found{}, err
	}
	if want.Track == nil {
		return found{}, fs.ErrNotExist
	}
	dir := s.trackDir(want.Track.ID)
	for _, b := range st.indexes.of(dir) {
		if f, ok := b.find(want); ok && !f.cut() {
			return f, nil
		}
	}
	track := level{path: dir}
	if _, err := os.Stat(filepath.Join(dir, disordered)); err == nil {
		return s.findAnywhere(ctx, st, track, want)
	}
	return s.findByNumber(st, track, want)
}

// findByNumber looks where a number must be.
func (s *Stream) findByNumber(st *state, track level, want sluice.Segment) (best found, err error) {
	for number := want.Number; ; number-- {
		d, ok, err := track.locate(number)
		if err != nil {
			return found{}, err
		}
		if !ok {
			break
		}
		f, first, err := s.findInDay(st, d, want)
		if err != nil {
			return found{}, err
		}
		if f.blob != nil && (best.blob == nil || best.cut()) {
			best = f
		}
		// What begins with the number may go on from another blob's last.
		if f.blob != nil && !f.cut() || first < number || number < want.Number || number == 0 {
			break
		}
	}
	if best.blob == nil {
		return found{}, fs.ErrNotExist
	}
	return best, nil
}

// findInDay looks into the blobs of a day whose first number is not above the
// wanted one, from the last on. first is the smallest number of the day.
func (s *Stream) findInDay(st *state, d dayFolder, want sluice.Segment) (best found, first uint64, err error) {
	names, err := d.blobs()
	if err != nil || len(names) == 0 {
		return found{}, 0, err
	}
	below := false
	for i := len(names) - 1; i >= 0 && !below; i-- {
		n := names[i]
		if n.first > want.Number {
			continue
		}
		below = n.first < want.Number
		b, err := s.load(st, n)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return found{}, 0, err
		}
		if f, ok := b.find(want); ok && (best.blob == nil || best.cut() && !f.cut()) {
			best = f
		}
	}
	return best, names[0].first, nil
}

// findAnywhere looks through all blobs of a track, the newest first.
func (s *Stream) findAnywhere(ctx context.Context, st *state, track level, want sluice.Segment) (best found, err error) {
	var failed error
	err = walkDays(track.path, time.Time{}, farFuture, func(d dayFolder) bool {
		names, err := d.blobs()
		for _, n := range names {
			if n.first > want.Number {
				continue
			}
			b, lerr := s.load(st, n)
			if errors.Is(lerr, fs.ErrNotExist) {
				continue
			}
			if err = errors.Join(err, lerr, ctx.Err()); err != nil {
				break
			}
			if f, ok := b.find(want); ok && (best.blob == nil || best.cut()) {
				best = f
			}
		}
		failed = err
		return failed == nil && (best.blob == nil || best.cut())
	})
	if err = errors.Join(err, failed); err == nil && best.blob == nil {
		err = fs.ErrNotExist
	}
	return best, err
}

// find returns the segment of a name, the last if there are several.
func (b *blob) find(want sluice.Segment) (found, bool) {
	entries, tracks := b.snapshot()
	for i := len(entries) - 1; i >= 0; i-- {
		e := &entries[i]
		if e.number != want.Number {
			continue
		}
		if t := tracks[e.track]; t.ID == want.Track.ID && t.Era == want.Track.Era && t.Maker == want.Track.Maker {
			return found{b.segment(i), b, i}, true
		}
	}
	return found{}, false
}

// Init returns the init segment of a track by its name, "init-{hash}.mp4"
// without the ending, as the name of [sluice.Segment]'s Track has it:
// 16 hex digits of its SHA-256.
func (s *Stream) Init(_ context.Context, track uint32, hash string) ([]byte, error) {
	if _, err := s.opened(); err != nil {
		return nil, err
	}
	n := cmaf.Name{Track: track, Init: hash}
	if _, err := cmaf.ParseName(n.String()); err != nil {
		return nil, fmt.Errorf("dvr: init segment %.32q: %w", hash, fs.ErrNotExist)
	}
	b, err := readSome(s.initPath(track, hash), maxRecord)
	if err == nil && cmaf.InitName(b) != hash {
		err = fmt.Errorf("it is damaged: %w", ErrFormat)
	}
	if err != nil {
		return nil, fmt.Errorf("dvr: init segment of %q: %w", s.Name, err)
	}
	return b, nil
}

func (s *Stream) initPath(track uint32, hash string) string {
	return filepath.Join(s.trackDir(track), "init-"+hash+".mp4")
}
