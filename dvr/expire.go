package dvr

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Expire removes what the policies say is too old or too much, and, while the
// file system is fuller than DiskShare, the oldest hour there is in any stream.
// now is what ages count from. It returns how many bytes it removed.
//
// It removes whole hours, the oldest first, and never one that holds a part of
// a Recording or is being written; nor any file that is not the archive's. It
// takes the recordings it does not understand for ones that protect all of
// their stream. Call it every few minutes, or let Run.
func (a *Archive) Expire(ctx context.Context, now time.Time) (removed int64, err error) {
	st, err := a.opened()
	if err == nil {
		err = a.mounted(st)
	}
	if err != nil {
		return 0, err
	}
	names, err := a.Streams()
	if err != nil {
		return 0, err
	}
	var errs error
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return removed, err
		}
		n, err := a.Stream(name).expire(ctx, st, now)
		removed += n
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("dvr: expire %q: %w", name, err))
		}
	}
	n, err := a.relieve(ctx, st, names)
	a.metrics.expired.Add(uint64(removed + n))
	return removed + n, errors.Join(errs, err)
}

// Run calls Expire every interval, one minute if it is 0, until ctx ends.
func (a *Archive) Run(ctx context.Context, interval time.Duration) error {
	if interval <= 0 {
		interval = time.Minute
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if n, err := a.Expire(ctx, time.Now()); err != nil && ctx.Err() == nil {
			a.log().Error("dvr: cannot remove all that should go", "err", err)
		} else if n > 0 {
			a.log().Info("dvr: removed what was due", "bytes", n)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// hours goes through the hours of a stream, the oldest first, all tracks
// together.
type hours struct {
	s    *Stream
	st   *state
	keep []Recording
	all  bool // must be kept
	idle bool // nobody is writing
}

func (s *Stream) hours(ctx context.Context, st *state) hours {
	h := hours{s: s, st: st, idle: s.idle(st)}
	var err error
	if h.keep, err = s.Recordings(ctx); err != nil {
		h.all = true
		s.archive.log().Error("dvr: nothing of a stream expires until its recordings can be read", "stream", s.Name, "err", err)
	}
	return h
}

// protected reports whether a recording needs some of an hour. Segments that
// began in it may end behind it.
func (h *hours) protected(n blobName) bool {
	recording := h.st.isRecording(h.s.Name)
	for _, r := range h.keep {
		to := r.To
		if r.Live && recording {
			to = farFuture
		}
		if r.From.Before(n.end().Add(maxReach)) && to.After(n.hour) {
			return true
		}
	}
	return h.all
}

// maxReach is how far a segment of usual length reaches out of its hour.
const maxReach = time.Minute

// each calls f with the hours of all tracks in order of time, the blobs of each
// together, until it returns false.
func (h *hours) each(ctx context.Context, f func([]blobName) bool) error {
	ids, err := h.s.trackIDs()
	if err != nil {
		return err
	}
	days := map[time.Time][]dayFolder{}
	for _, id := range ids {
		err := walkDays(h.s.trackDir(id), time.Time{}, farFuture, func(d dayFolder) bool {
			days[d.date] = append(days[d.date], d)
			return true
		})
		if err != nil {
			return err
		}
	}
	dates := make([]time.Time, 0, len(days))
	for date := range days {
		dates = append(dates, date)
	}
	slices.SortFunc(dates, time.Time.Compare)
	for _, date := range dates {
		var blobs []blobName
		for _, d := range days[date] {
			some, err := d.blobs()
			if err = errors.Join(err, ctx.Err()); err != nil {
				return err
			}
			blobs = append(blobs, some...)
		}
		slices.SortStableFunc(blobs, func(a, b blobName) int { return a.hour.Compare(b.hour) })
		for len(blobs) > 0 {
			n := 1
			for n < len(blobs) && blobs[n].hour.Equal(blobs[0].hour) {
				n++
			}
			if !f(blobs[:n]) {
				return nil
			}
			blobs = blobs[n:]
		}
	}
	return nil
}

// remove removes the blobs of an hour but those that are being written, and
// returns how many bytes that freed.
func (h *hours) remove(blobs []blobName) (freed int64, err error) {
	for _, n := range blobs {
		if h.st.indexes.isGrowing(n.path()) || !h.idle && !h.old(n) {
			continue
		}
		size := diskSize(n.path())
		if rerr := os.Remove(n.path()); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
			continue
		}
		freed += size
		h.st.indexes.forget(n.path())
		index := strings.TrimSuffix(n.path(), blobExt) + indexExt
		freed += diskSize(index)
		os.Remove(index)
		for i, dir := 0, n.day; i < 3; i, dir = i+1, filepath.Dir(dir) {
			if os.Remove(dir) != nil { // it is not empty
				break
			}
		}
	}
	h.st.grew(h.s.Name, -freed)
	return freed, err
}

// old reports that another process that records the stream has left a blob.
func (h *hours) old(n blobName) bool {
	track := trackFolder(n.day, 3)
	newest, err := level{path: track}.newest()
	if err != nil || len(newest) == 0 {
		return false
	}
	return n.hour.Before(newest[len(newest)-1].hour)
}

// expire removes what a stream's policy does not want.
func (s *Stream) expire(ctx context.Context, st *state, now time.Time) (removed int64, err error) {
	p := s.archive.policy(s.Name)
	if p.Age <= 0 && p.Bytes <= 0 {
		return 0, nil
	}
	h := s.hours(ctx, st)
	size := int64(0)
	if p.Bytes > 0 {
		if size, err = h.measure(ctx); err != nil {
			return 0, err
		}
	}
	var failed error
	err = h.each(ctx, func(blobs []blobName) bool {
		aged := p.Age > 0 && !blobs[0].end().After(now.Add(-p.Age))
		large := p.Bytes > 0 && size > p.Bytes
		if !aged && !large {
			return false
		}
		if h.protected(blobs[0]) {
			return true
		}
		n, err := h.remove(blobs)
		removed, size = removed+n, size-n
		failed = errors.Join(failed, err)
		return true
	})
	return removed, errors.Join(err, failed)
}

// measure returns the size of a stream: counted once, and then kept up.
func (h *hours) measure(ctx context.Context) (int64, error) {
	h.st.mu.Lock()
	size, ok := h.st.sizes[h.s.Name]
	h.st.mu.Unlock()
	if ok && h.idle { // else another process makes it grow
		return size, nil
	}
	size = 0
	err := h.each(ctx, func(blobs []blobName) bool {
		for _, n := range blobs {
			size += diskSize(n.path()) + diskSize(strings.TrimSuffix(n.path(), blobExt)+indexExt)
		}
		return true
	})
	if err == nil {
		h.st.mu.Lock()
		h.st.sizes[h.s.Name] = size
		h.st.mu.Unlock()
	}
	return size, err
}

func diskSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// diskUsed is how full a file system is. Tests put another in its place.
var diskUsed = diskUse

// relieve removes the oldest hours of all streams until there is room.
func (a *Archive) relieve(ctx context.Context, st *state, names []string) (removed int64, err error) {
	if a.DiskShare <= 0 {
		return 0, nil
	}
	for {
		used, err := diskUsed(a.Dir)
		if err != nil || used <= a.DiskShare {
			return removed, err
		}
		n, err := a.relieveOnce(ctx, st, names)
		removed += n
		if err != nil {
			return removed, err
		}
		if n == 0 {
			a.log().Error("dvr: the disk is fuller than it may be, and all that is left of the archive is protected or being written",
				"used", used, "limit", a.DiskShare)
			return removed, nil
		}
	}
}

// batch is how many hours go before the disk is asked again.
const batch = 16

// relieveOnce removes the oldest hours of all streams.
func (a *Archive) relieveOnce(ctx context.Context, st *state, names []string) (removed int64, err error) {
	type candidate struct {
		h     hours
		blobs []blobName
	}
	var oldest []candidate
	for _, name := range names {
		h := a.Stream(name).hours(ctx, st)
		n := 0
		err := h.each(ctx, func(blobs []blobName) bool {
			if !h.protected(blobs[0]) {
				oldest = append(oldest, candidate{h, slices.Clone(blobs)})
				n++
			}
			return n < batch
		})
		if err != nil {
			return 0, err
		}
	}
	slices.SortStableFunc(oldest, func(a, b candidate) int { return a.blobs[0].hour.Compare(b.blobs[0].hour) })
	done := 0
	for _, c := range oldest {
		n, err := c.h.remove(c.blobs)
		removed += n
		if err != nil {
			return removed, err
		}
		if n > 0 {
			done++
		}
		if used, err := diskUsed(a.Dir); done == batch || err != nil || used <= a.DiskShare {
			return removed, err
		}
	}
	return removed, nil
}
