package dvr

import (
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
)

// file is what a blob is written to.
type file interface {
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

type osFile struct{ *os.File }

func (f osFile) Sync() error { return syncData(f.File) }

// createFile makes a new file. Tests put another in its place.
var createFile = func(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// disk takes a recorder's events to the disk, on a goroutine of its own.
type disk struct {
	rec     *recorder
	writers map[uint32]*writer
	sync    *syncer
	failing bool
}

func newDisk(r *recorder) *disk {
	return &disk{rec: r, writers: map[uint32]*writer{}, sync: newSyncer(r.stream.archive)}
}

func (d *disk) run() {
	var syncing sync.WaitGroup
	syncing.Go(d.sync.run)
	var spare []event
	for {
		events := d.rec.queue.take(spare)
		if len(events) == 0 {
			break
		}
		for i := range events {
			d.handle(&events[i])
			d.rec.queue.done(&events[i])
		}
		spare = events
	}
	for _, w := range d.writers {
		if w.blob != nil {
			w.flushGaps(w.blob.name.hour)
		}
		w.leave()
	}
	d.sync.end()
	syncing.Wait()
}

func (d *disk) handle(e *event) {
	w := d.writers[e.seg.Track.ID]
	if w == nil {
		w = &writer{disk: d, dir: d.rec.stream.trackDir(e.seg.Track.ID)}
		d.writers[e.seg.Track.ID] = w
	}
	switch e.kind {
	case opened:
		w.open(e.seg)
	case partDone:
		w.part(e)
	case closed:
		w.close(e.seg, 0)
	case lost:
		w.giveUp(e.seg)
	case stopped:
		w.close(e.seg, flagCut)
	case dropped:
		w.drop()
	}
}

// failed notes that the disk refused something.
func (d *disk) failed(doing string, err error) {
	d.rec.stream.archive.metrics.errors.Add(1)
	if !d.failing {
		d.failing = true
		d.rec.stream.archive.log().Error("dvr: cannot record, segments are left out until it works (is the disk full?)",
			"stream", d.rec.stream.Name, "doing", doing, "err", err)
	}
}

// wrote notes that a segment is on disk.
func (d *disk) wrote(s sluice.Segment) {
	if d.failing {
		d.failing = false
		d.rec.stream.archive.log().Info("dvr: recording goes on", "stream", d.rec.stream.Name, "track", s.Track.ID, "segment", s.Number)
	}
	start, end := s.Track.Time(s.Start), s.Track.Time(s.Start+s.Dur)
	d.rec.keep(start)
	if end.After(d.rec.last) {
		d.rec.last = end
	}
}

// syncer sends files to disk, on a goroutine of its own, so that a slow disk
// holds up no write. A file that is due twice before its turn is sent once.
type syncer struct {
	archive *Archive

	mu    sync.Mutex
	files map[file]bool // whether it is to be closed
	dirs  map[string]bool
	ended bool
	wake  chan struct{}
}

func newSyncer(a *Archive) *syncer {
	return &syncer{archive: a, files: map[file]bool{}, dirs: map[string]bool{}, wake: make(chan struct{}, 1)}
}

// mark has a file sent to disk soon, and closed behind it if it is the last time.
func (s *syncer) mark(f file, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[f] = s.files[f] || last
	s.signal()
}

// markDirs has the folders between an archive's root and a new file sent to
// disk, so that it is found there.
func (s *syncer) markDirs(root, dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; len(dir) >= len(root); dir = filepath.Dir(dir) {
		s.dirs[dir] = true
	}
	s.signal()
}

func (s *syncer) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.signal()
}

func (s *syncer) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *syncer) run() {
	for {
		<-s.wake
		s.mu.Lock()
		files, dirs, ended := s.files, s.dirs, s.ended
		s.files, s.dirs = map[file]bool{}, map[string]bool{}
		s.mu.Unlock()
		for f, last := range files {
			s.send(f, last)
		}
		for dir := range dirs {
			s.sendDir(dir)
		}
		if ended && len(files) == 0 && len(dirs) == 0 {
			return
		}
		if ended {
			s.end() // look again
		}
	}
}

func (s *syncer) send(f file, last bool) {
	var err error
	if !s.archive.NoSync {
		began := time.Now()
		err = f.Sync()
		s.archive.metrics.syncs.Observe(time.Since(began).Seconds())
	}
	if last {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		s.archive.metrics.errors.Add(1)
		s.archive.log().Error("dvr: cannot send a blob to disk (is the disk dying?)", "err", err)
	}
}

func (s *syncer) sendDir(dir string) {
	if s.archive.NoSync {
		return
	}
	d, err := os.Open(dir)
	if err != nil {
		return // removed meanwhile
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		s.archive.log().Warn("dvr: cannot send a folder to disk", "dir", dir, "err", err)
	}
}
