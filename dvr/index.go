package dvr

import (
	"container/list"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/sluice-live/sluice"
)

// maxIndexes is how many hours' indexes are kept in memory, beside those that
// grow: about 16 MiB at 4 s a segment.
const maxIndexes = 256

// verdict says what is known of a segment's bytes.
type verdict uint8

const (
	unchecked verdict = iota
	sound
	damaged
)

// blob is the index of one blob. What it returns is never modified.
type blob struct {
	name blobName
	head blobHead

	mu       sync.RWMutex
	tracks   []*sluice.Track // nil where a record is lost
	entries  []entry
	verdicts []verdict
}

func (b *blob) snapshot() (entries []entry, tracks []*sluice.Track) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.entries, b.tracks
}

func (b *blob) verdict(i int) verdict {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if i >= len(b.verdicts) {
		return unchecked
	}
	return b.verdicts[i]
}

func (b *blob) judge(i int, v verdict) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.verdicts) <= i {
		b.verdicts = append(b.verdicts, unchecked)
	}
	b.verdicts[i] = v
}

// segment returns the ith segment.
func (b *blob) segment(i int) sluice.Segment {
	b.mu.RLock()
	e, t := b.entries[i], b.tracks[b.entries[i].track]
	bad := i < len(b.verdicts) && b.verdicts[i] == damaged
	b.mu.RUnlock()
	s := sluice.Segment{Track: t, Number: e.number, Start: e.start, Dur: e.dur, Size: e.size, Independent: e.has(flagIndependent)}
	if bad || !e.hasMedia() {
		s.Size, s.Independent, s.Gap = 0, false, true
	}
	return s
}

// add takes an entry of which it is known that it is well.
func (b *blob) add(e entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.verdicts) < len(b.entries) {
		b.verdicts = append(b.verdicts, unchecked)
	}
	b.entries = append(b.entries, e)
	b.verdicts = append(b.verdicts, sound)
}

// setTrack notes the nth track record.
func (b *blob) setTrack(n uint32, t *sluice.Track) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for uint32(len(b.tracks)) < n {
		b.tracks = append(b.tracks, nil)
	}
	if uint32(len(b.tracks)) == n {
		b.tracks = append(b.tracks, t)
	} else if b.tracks[n] == nil {
		b.tracks = append([]*sluice.Track(nil), b.tracks...)
		b.tracks[n] = t
	}
}

// maxTracks bounds the track records of a blob: a new one with every segment of
// a second, and as many again.
const maxTracks = 8192

// usable reports whether an entry's track is known.
func (b *blob) usable(e *entry) bool {
	return e.track < uint32(len(b.tracks)) && b.tracks[e.track] != nil
}

func (b *blob) indexPath() string { return strings.TrimSuffix(b.name.path(), blobExt) + indexExt }

// indexes holds what was read of blobs lately, and the blobs that are being
// written.
type indexes struct {
	mu      sync.Mutex
	growing map[string]*blob
	recent  map[string]*list.Element // of *blob
	order   list.List                // newest first
	loading [64]sync.Mutex           // one for each few paths
}

// grow enters a blob that is being written; settle follows.
func (x *indexes) grow(b *blob) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.growing == nil {
		x.growing = map[string]*blob{}
	}
	x.growing[b.name.path()] = b
}

// settle notes that a blob is complete.
func (x *indexes) settle(b *blob) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.growing, b.name.path())
	x.keep(b)
}

func (x *indexes) isGrowing(path string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.growing[path] != nil
}

// keep enters a blob among the recent ones; the lock is held.
func (x *indexes) keep(b *blob) {
	if x.recent == nil {
		x.recent = map[string]*list.Element{}
	}
	x.drop(b.name.path())
	x.recent[b.name.path()] = x.order.PushFront(b)
	for x.order.Len() > maxIndexes {
		x.drop(x.order.Back().Value.(*blob).name.path())
	}
}

func (x *indexes) drop(path string) {
	if e := x.recent[path]; e != nil {
		x.order.Remove(e)
		delete(x.recent, path)
	}
}

// forget drops what is known of a blob that was removed.
func (x *indexes) forget(path string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.growing, path)
	x.drop(path)
}

func (x *indexes) find(path string) *blob {
	x.mu.Lock()
	defer x.mu.Unlock()
	if b := x.growing[path]; b != nil {
		return b
	}
	if e := x.recent[path]; e != nil {
		x.order.MoveToFront(e)
		return e.Value.(*blob)
	}
	return nil
}

// of returns the blobs in memory of a track, by its folder.
func (x *indexes) of(track string) (out []*blob) {
	x.mu.Lock()
	defer x.mu.Unlock()
	prefix := track + string(os.PathSeparator)
	for path, b := range x.growing {
		if strings.HasPrefix(path, prefix) {
			out = append(out, b)
		}
	}
	for e := x.order.Front(); e != nil; e = e.Next() {
		if b := e.Value.(*blob); strings.HasPrefix(b.name.day, prefix) {
			out = append(out, b)
		}
	}
	return out
}

var pathSeed = maphash.MakeSeed()

// load returns the index of a blob, from memory if it is there.
func (s *Stream) load(st *state, n blobName) (*blob, error) {
	x, path := &st.indexes, n.path()
	if b := x.find(path); b != nil {
		return b, nil
	}
	lock := &x.loading[maphash.String(pathSeed, path)%uint64(len(x.loading))]
	lock.Lock()
	defer lock.Unlock()
	if b := x.find(path); b != nil {
		return b, nil
	}
	b, whole, err := s.readBlob(st, n)
	if err != nil {
		return nil, fmt.Errorf("dvr: read %s: %w", path, err)
	}
	if !whole {
		return b, nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if grown := x.growing[path]; grown != nil {
		return grown, nil // it was made meanwhile
	}
	x.keep(b)
	return b, nil
}

// maxIndex bounds an index file: an hour of segments of 10 ms.
const maxIndex = 64 << 20

// readBlob reads a blob's index, and what the index does not know from the
// blob. It is not whole if another process may be writing it.
func (s *Stream) readBlob(st *state, n blobName) (b *blob, whole bool, err error) {
	f, err := os.Open(n.path())
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	b = &blob{name: n}
	raw, err := readSome(b.indexPath(), maxIndex)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false, err
	}
	covered := int64(0)
	if head, err := headOf(f); err == nil {
		b.head = head
		covered = b.parseIndex(raw, info.Size())
	} else if head, _, ierr := cutHead(raw); ierr == nil && head.hour == n.hour.Unix() && head.first == n.first {
		b.head = head // the blob's own is damaged
		covered = b.parseIndex(raw, info.Size())
	}
	if covered >= info.Size() {
		return b, true, nil
	}
	idle := s.idle(st)
	scan := scanner{f: f, size: info.Size(), pos: covered, blob: b}
	if err := scan.run(idle); err != nil {
		return nil, false, err
	}
	for _, what := range scan.lost {
		s.archive.metrics.damaged.Add(1)
		s.archive.log().Error("dvr: archive is damaged, the rest of it plays on", "file", n.path(), "lost", what)
	}
	if idle {
		s.mend(b, info.Size())
	}
	return b, idle, nil
}

// mend writes the index of a blob that nobody writes, anew.
func (s *Stream) mend(b *blob, size int64) {
	out := b.head.append(nil)
	for i, t := range b.tracks {
		if t == nil {
			continue
		}
		body, err := trackBody(uint32(i), t)
		if err != nil {
			return
		}
		out = b.head.id.appendRecord(out, kindTrack, body)
	}
	for i := range b.entries {
		out = b.head.id.appendRecord(out, kindSegment, b.entries[i].body())
	}
	out = b.head.id.appendRecord(out, kindTail, appendTail(nil, size))
	if err := writeFile(b.indexPath(), out, false); err != nil {
		s.archive.log().Warn("dvr: cannot write an index, it will be made again", "file", b.indexPath(), "err", err)
	}
}

// readSome reads a file that is not larger than most.
func readSome(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b := make([]byte, min(info.Size(), most))
	n, err := io.ReadFull(f, b)
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		err = nil
	}
	return b[:n], err
}

// parseIndex reads an index as far as it is well, and returns until where it
// covers the blob; size is the blob's.
func (b *blob) parseIndex(raw []byte, size int64) (covered int64) {
	head, n, err := cutHead(raw)
	if err != nil || head != b.head {
		return 0
	}
	raw = raw[n:]
	b.entries = make([]entry, 0, len(raw)/(recordHead+entrySize))
	for len(raw) > 0 {
		r, err := head.id.cutRecord(raw)
		if err != nil {
			break
		}
		raw = raw[r.size:]
		at, ok := b.takeIndexed(r, size)
		if !ok {
			break
		}
		covered = max(covered, at)
	}
	return covered
}

// takeIndexed notes what a record of an index says, and returns until where it
// covers the blob.
func (b *blob) takeIndexed(r record, size int64) (covered int64, ok bool) {
	switch r.kind {
	case kindTrack:
		n, t, err := parseTrack(r.body)
		if err != nil || n > maxTracks {
			return 0, false
		}
		b.setTrack(n, t)
	case kindSegment:
		e, err := parseEntry(r.body)
		if err != nil || !b.usable(&e) {
			return 0, false
		}
		if e.off+e.size <= size { // else the blob was cut off
			b.entries = append(b.entries, e)
		}
		return e.end(), true
	case kindTail:
		return parseTail(r.body)
	}
	return 0, true
}
