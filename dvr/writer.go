package dvr

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/cmaf"
)

// writer appends one track's segments to its blobs. It is the disk's goroutine's.
type writer struct {
	disk *disk
	dir  string // of the track

	blob  *blob // nil: the next segment makes one
	f     file
	index *os.File // nil where it could not be written: it will be made again
	off   int64    // behind the last segment that is complete
	desc  *sluice.Track
	body  []byte // the track's record, without its number
	count uint32 // track records in the blob
	known bool   // what comes was not recorded before

	// Of the open segment:
	skip    bool // it was recorded before
	active  bool
	started bool // head is written
	head    []byte
	fresh   *trackRecord // of the head's track record, if there is one
	entry   entry
	at      int64 // where the next part goes
	table   []byte
	gaps    []sluice.Segment // given up since the disk last took something
}

// trackRecord is what a head says of a track that the blob does not know.
type trackRecord struct {
	track *sluice.Track
	body  []byte
}

// maxPending bounds the gaps that wait for a disk that works.
const maxPending = 1024

// open begins a segment. It writes nothing yet.
func (w *writer) open(s sluice.Segment) {
	w.active = false
	if w.skip = !w.known && w.recorded(s); w.skip {
		return
	}
	hour := s.Track.Time(s.Start).Truncate(time.Hour)
	if w.blob != nil && !w.blob.name.hour.Equal(hour) {
		w.leave()
	}
	if w.blob == nil {
		if err := w.create(s, hour); err != nil {
			w.disk.failed("make a blob", err)
			return
		}
	}
	if w.flushGaps(hour); len(w.gaps) > 0 { // the disk does not work yet
		return
	}
	if err := w.begin(s); err != nil {
		w.disk.failed("describe a track", err)
		return
	}
	w.active = true
}

// recorded reports whether a segment is in the archive already, because this
// recorder follows another of the same broadcast.
func (w *writer) recorded(s sluice.Segment) bool {
	f, err := w.disk.rec.stream.find(context.Background(), s)
	if err == nil && !f.cut() {
		return true
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.disk.failed("look for earlier segments", err)
	}
	w.known = true
	newest, err := level{path: w.dir}.newest()
	if err != nil || len(newest) == 0 {
		return false
	}
	last := newest[len(newest)-1]
	b, err := w.disk.rec.stream.load(w.disk.rec.st, last)
	if err != nil {
		return false
	}
	number := last.first
	if entries, _ := b.snapshot(); len(entries) > 0 {
		number = entries[len(entries)-1].number
	}
	if number > s.Number {
		w.disk.rec.stream.archive.log().Warn("dvr: segment numbers went back (were the positions of the ingest lost?)",
			"stream", w.disk.rec.stream.Name, "track", s.Track.ID, "from", number, "to", s.Number)
		if err := os.WriteFile(filepath.Join(w.dir, disordered), nil, 0o640); err != nil {
			w.disk.failed("mark a track", err)
		}
	}
	return false
}

// create makes the blob that a segment begins.
func (w *writer) create(s sluice.Segment, hour time.Time) error {
	r := w.disk.rec
	if err := r.stream.archive.mounted(r.st); err != nil {
		return err
	}
	n := blobName{day: folderOf(w.dir, hour), hour: hour, first: s.Number}
	for _, g := range w.gaps { // those that belong here come first
		if g.Track.Time(g.Start).Truncate(time.Hour).Equal(hour) {
			n.first = min(n.first, g.Number)
		}
	}
	if err := os.MkdirAll(n.day, 0o750); err != nil {
		return err
	}
	b := &blob{}
	for ; ; n.again++ {
		b.name = n
		r.st.indexes.grow(b) // before somebody finds the file
		f, err := createFile(n.path())
		if err == nil {
			w.f = f
			break
		}
		r.st.indexes.forget(n.path())
		if !errors.Is(err, fs.ErrExist) || n.again > 1<<16 {
			return err
		}
	}
	b.head = blobHead{id: blobID(newID()), track: s.Track.ID, hour: hour.Unix(), first: n.first, boot: bootID()}
	head := b.head.append(nil)
	twice := append(bytes.Clone(head), head...)
	if _, err := w.f.WriteAt(twice, 0); err != nil {
		r.st.indexes.forget(n.path())
		return errors.Join(err, w.f.Close(), os.Remove(n.path()))
	}
	w.blob, w.off, w.desc, w.body, w.count = b, int64(len(twice)), nil, nil, 0
	w.openIndex(head)
	w.disk.sync.markDirs(r.stream.dir, n.day)
	return nil
}

func (w *writer) openIndex(head []byte) {
	f, err := os.OpenFile(w.blob.indexPath(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err == nil {
		if _, err = f.Write(head); err == nil {
			w.index = f
			return
		}
		f.Close()
	}
	w.index = nil
	w.disk.failed("make an index, which will be made again", err)
}

// begin prepares what stands before a segment's media.
func (w *writer) begin(s sluice.Segment) error {
	w.head, w.fresh, w.started, w.table = w.head[:0], nil, false, w.table[:0]
	id := &w.blob.head.id
	number := w.count - 1
	if w.desc != s.Track {
		body, err := trackBody(w.count, s.Track)
		if err != nil {
			return err
		}
		if w.desc == nil || !bytes.Equal(body[4:], w.body) {
			if w.count > maxTracks {
				return errors.New("the track changes too often")
			}
			init, err := cmaf.Init(s.Track)
			if err != nil {
				return err
			}
			w.saveInit(s.Track.ID, init)
			rec := id.appendRecord(nil, kindTrack, body)
			w.head = append(append(append(w.head, rec...), init...), rec...)
			number = w.count
		}
		w.fresh = &trackRecord{s.Track, body}
	}
	o := opening{number: s.Number, start: s.Start, track: number}
	w.head = id.appendRecord(w.head, kindOpen, o.append(nil))
	w.at = w.off + int64(len(w.head))
	w.entry = entry{number: s.Number, start: s.Start, track: number, off: w.at}
	return nil
}

// saveInit keeps an init segment where its name leads to.
func (w *writer) saveInit(track uint32, init []byte) {
	path := w.disk.rec.stream.initPath(track, cmaf.InitName(init))
	if info, err := os.Stat(path); err == nil && info.Size() == int64(len(init)) {
		return
	}
	if err := replaceFile(path, init); err != nil {
		w.disk.failed("keep an init segment", err)
	}
}

func (w *writer) part(e *event) {
	if !w.active {
		return
	}
	began := time.Now()
	if err := w.write(e.data); err != nil {
		w.fail(err)
		return
	}
	m := &w.disk.rec.stream.archive.metrics
	m.writes.Observe(time.Since(began).Seconds())
	m.bytes.Add(uint64(len(e.data)))
	w.entry.crc = crcAdd(w.entry.crc, e.data)
	w.entry.size += int64(len(e.data))
	w.table = appendPart(w.table, w.entry.start, &e.part)
}

// write appends to the open segment.
func (w *writer) write(b []byte) error {
	if !w.started {
		if _, err := w.f.WriteAt(w.head, w.off); err != nil {
			return err
		}
		w.started = true
	}
	_, err := w.f.WriteAt(b, w.at)
	w.at += int64(len(b))
	return err
}

// close completes the open segment.
func (w *writer) close(s sluice.Segment, flags uint32) {
	if w.skip {
		return
	}
	if !w.active {
		w.disk.rec.stream.archive.metrics.gap(gapDisk)
		w.pend(s)
		return
	}
	w.active = false
	e := &w.entry
	e.dur, e.flags = s.Dur, flags
	if s.Independent {
		e.flags |= flagIndependent
	}
	id := &w.blob.head.id
	var b []byte
	if e.size == 0 {
		e.flags |= flagGap
	} else {
		b = id.appendRecord(b, kindSamples, w.table)
		e.samples = uint32(len(b))
	}
	last := id.appendRecord(nil, kindSegment, e.body())
	if err := w.write(append(b, last...)); err != nil {
		w.fail(err)
		w.close(s, flags) // as one that the disk refused
		return
	}
	w.commit(s, last)
}

// commit makes a segment that is written visible.
func (w *writer) commit(s sluice.Segment, segment []byte) {
	w.off = w.at
	var index []byte
	if w.fresh != nil {
		if w.entry.track == w.count {
			w.blob.setTrack(w.count, w.fresh.track)
			index = w.blob.head.id.appendRecord(index, kindTrack, w.fresh.body)
			w.count++
			w.body = w.fresh.body[4:]
		}
		w.desc = w.fresh.track
	}
	if w.index != nil {
		if _, err := w.index.Write(append(index, segment...)); err != nil {
			w.index.Close()
			w.index = nil
			w.disk.failed("write an index, which will be made again", err)
		}
	}
	w.blob.add(w.entry)
	w.disk.sync.mark(w.f, false)
	m := &w.disk.rec.stream.archive.metrics
	m.segments.Add(1)
	w.disk.rec.st.grew(w.disk.rec.stream.Name, int64(len(segment))+w.entry.size+int64(w.entry.samples))
	w.disk.wrote(s)
}

// fail gives the open segment up because the disk refused it.
func (w *writer) fail(err error) {
	w.disk.failed("write", err)
	w.active = false
	w.undo()
}

// undo takes off what was written of the open segment.
func (w *writer) undo() {
	if err := w.f.Truncate(w.off); err != nil {
		w.disk.failed("take off a segment that was given up", err)
		w.leave() // behind what is not complete nothing is written
		return
	}
	if entries, _ := w.blob.snapshot(); len(entries) == 0 {
		path, index := w.blob.name.path(), w.blob.indexPath()
		w.leave()
		w.disk.rec.st.indexes.forget(path)
		os.Remove(path)
		os.Remove(index)
	}
}

// giveUp leaves out a segment of which parts found no room in the queue.
func (w *writer) giveUp(s sluice.Segment) {
	if w.skip {
		return
	}
	w.drop()
	w.pend(s)
	if w.blob != nil {
		w.flushGaps(w.blob.name.hour)
	}
}

// drop forgets the open segment.
func (w *writer) drop() {
	if w.active && w.started {
		w.undo()
	}
	w.active = false
}

// pend keeps a gap until it can be written.
func (w *writer) pend(s sluice.Segment) {
	s.Gap, s.Size, s.Independent = true, 0, false
	if len(w.gaps) == maxPending {
		w.gaps = append(w.gaps[:0], w.gaps[1:]...)
	}
	w.gaps = append(w.gaps, s)
}

// flushGaps writes the gaps that belong into the blob.
func (w *writer) flushGaps(hour time.Time) {
	if len(w.gaps) == 0 {
		return
	}
	gaps := w.gaps
	w.gaps = nil
	for i, g := range gaps {
		if !g.Track.Time(g.Start).Truncate(time.Hour).Equal(hour) {
			continue
		}
		if w.begin(g) != nil {
			continue
		}
		w.entry.dur, w.entry.flags = g.Dur, flagGap
		segment := w.blob.head.id.appendRecord(nil, kindSegment, w.entry.body())
		if err := w.write(segment); err != nil {
			w.disk.failed("write a gap", err)
			w.gaps = append(w.gaps, gaps[i:]...)
			w.undo()
			return
		}
		w.commit(g, segment)
	}
}

// leave completes the blob.
func (w *writer) leave() {
	if w.blob == nil {
		return
	}
	w.disk.sync.mark(w.f, true)
	if w.index != nil {
		if err := w.index.Close(); err != nil {
			w.disk.failed("close an index", err)
		}
	}
	w.disk.rec.st.indexes.settle(w.blob)
	w.blob, w.f, w.index = nil, nil, nil
}
