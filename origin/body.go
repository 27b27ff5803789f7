package origin

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
)

const (
	idlePerBody = 4   // open file handles kept for the next reader of a segment
	idleInAll   = 256 // and of all segments together, to stay far from the usual limit of 1,024
)

// body is the growing media of one segment: on disk up to spooled, beyond that
// in the heap. Readers of any part of it may come at any time.
type body struct {
	spool *spool
	path  string

	mu      sync.Mutex
	heap    [][]byte // what follows spooled, one slice a part
	size    int64
	spooled int64
	out     *os.File // the writer's; nil before the first write and after the last
	idle    []*os.File
	failed  bool // the disk refused: what is not spooled stays in the heap
	gone    bool
}

// append adds a part, and has it written to disk soon.
func (b *body) append(part []byte) {
	b.mu.Lock()
	b.heap = append(b.heap, part)
	b.size += int64(len(part))
	failed := b.failed
	b.mu.Unlock()
	b.spool.heap.Add(int64(len(part)))
	b.spool.stats.heap.Add(int64(len(part)))
	if !failed && !b.spool.enqueue(b.write) {
		b.fail(errQueue)
	}
}

var errQueue = errors.New("the disk does not keep up")

// write moves what is in the heap to the file. It runs on the spool's goroutine.
func (b *body) write() {
	b.mu.Lock()
	if b.failed || b.gone || len(b.heap) == 0 {
		b.mu.Unlock()
		return
	}
	out, parts := b.out, b.heap
	b.mu.Unlock()
	var err error
	if out == nil {
		out, err = os.OpenFile(b.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	}
	n := int64(0)
	for i := 0; err == nil && i < len(parts); i++ {
		_, err = out.Write(parts[i])
		n += int64(len(parts[i]))
	}
	if err != nil {
		if out != nil {
			err = errors.Join(err, out.Close())
		}
		b.mu.Lock()
		b.out = nil
		b.mu.Unlock()
		b.fail(err)
		return
	}
	b.wrote(out, len(parts), n)
}

func (b *body) wrote(out *os.File, parts int, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.out = out
	if b.gone { // removed meanwhile: remove counted the heap already, but may not have found the file
		b.out = nil
		_, _ = out.Close(), os.Remove(b.path)
		return
	}
	b.heap = append([][]byte(nil), b.heap[parts:]...)
	b.spooled += n
	b.count(-n)
	b.spool.stats.bytes.Add(n)
}

func (b *body) count(heap int64) {
	b.spool.heap.Add(heap)
	b.spool.stats.heap.Add(heap)
}

func (b *body) fail(err error) {
	b.mu.Lock()
	b.failed = true
	b.mu.Unlock()
	b.spool.failed(fmt.Errorf("origin: spool a segment: %w", err))
}

// seal says that no more will be appended.
func (b *body) seal() {
	// Where the queue is full, remove closes the file.
	b.spool.enqueue(b.closeOut)
}

// remove forgets the body. Who reads it may finish.
func (b *body) remove() {
	b.mu.Lock()
	if b.gone {
		b.mu.Unlock()
		return
	}
	b.gone = true
	for _, part := range b.heap {
		b.count(-int64(len(part)))
	}
	b.heap = nil
	b.spool.stats.bytes.Add(-b.spooled)
	idle := b.idle
	b.idle = nil
	b.mu.Unlock()
	for _, f := range idle {
		b.spool.stats.idle.Add(-1)
		f.Close()
	}
	b.later(func() {
		b.closeOut()
		if err := os.Remove(b.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			b.spool.failed(err)
		}
	})
}

// later runs f behind the writes that are under way.
func (b *body) later(f func()) {
	if b.spool.queue == nil || !b.spool.enqueue(f) {
		f()
	}
}

func (b *body) closeOut() {
	b.mu.Lock()
	out := b.out
	b.out = nil
	b.mu.Unlock()
	if out != nil {
		if err := out.Close(); err != nil {
			b.spool.failed(err)
		}
	}
}

// open returns a reader of n bytes from off, which must have been appended.
func (b *body) open(off, n int64) (*reader, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone || off < 0 || n < 0 || off+n > b.size {
		return nil, fs.ErrNotExist
	}
	r := &reader{body: b, off: off, size: n}
	if off+n > b.spooled {
		// Parts are never modified: the slice of them is all there is to copy.
		r.heap, r.heapOff = b.heap[:len(b.heap):len(b.heap)], b.spooled
		if off >= b.spooled {
			return r, nil
		}
	}
	if last := len(b.idle) - 1; last >= 0 {
		r.file, b.idle = b.idle[last], b.idle[:last]
		b.spool.stats.idle.Add(-1)
		return r, nil
	}
	f, err := os.Open(b.path)
	if err != nil {
		return nil, fmt.Errorf("origin: open spooled segment: %w", err)
	}
	r.file = f
	return r, nil
}

// release takes a file handle back.
func (b *body) release(f *os.File) error {
	b.mu.Lock()
	if !b.gone && len(b.idle) < idlePerBody && b.spool.stats.idle.Load() < idleInAll {
		b.idle = append(b.idle, f)
		b.spool.stats.idle.Add(1)
		b.mu.Unlock()
		return nil
	}
	b.mu.Unlock()
	return f.Close()
}

// reader reads a range of a body. It is for one goroutine.
type reader struct {
	body      *body
	off, size int64 // the range in the body
	pos       int64 // in the range
	file      *os.File
	heap      [][]byte // what is not in the file
	heapOff   int64    // where heap begins in the body
}

// Size returns the number of bytes there are to read in all.
func (r *reader) Size() int64 { return r.size }

// Section returns the file that the bytes lie in and where; nil if they do not
// all lie in one. The file's own offset is the caller's until Close.
func (r *reader) Section() (f *os.File, off, n int64) {
	if r.file == nil || r.heap != nil {
		return nil, 0, 0
	}
	return r.file, r.off, r.size
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.pos >= r.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.size-r.pos)]
	at := r.off + r.pos
	if r.heap == nil || at < r.heapOff {
		if r.heap != nil {
			p = p[:min(int64(len(p)), r.heapOff-at)]
		}
		n, err := r.file.ReadAt(p, at)
		r.pos += int64(n)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return n, err
	}
	at -= r.heapOff
	for _, part := range r.heap {
		if at < int64(len(part)) {
			n := copy(p, part[at:])
			r.pos += int64(n)
			return n, nil
		}
		at -= int64(len(part))
	}
	return 0, io.ErrUnexpectedEOF
}

// WriteTo implements io.WriterTo: what lies in the heap is not copied, what
// lies in the file goes out by the writer's own means.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	start := r.pos
	for r.pos < r.size {
		n, err := r.writeSome(w)
		r.pos += n
		if err != nil {
			return r.pos - start, err
		}
	}
	return r.pos - start, nil
}

func (r *reader) writeSome(w io.Writer) (int64, error) {
	at, left := r.off+r.pos, r.size-r.pos
	if r.heap == nil || at < r.heapOff {
		if r.heap != nil {
			left = min(left, r.heapOff-at)
		}
		if _, err := r.file.Seek(at, io.SeekStart); err != nil {
			return 0, err
		}
		n, err := io.Copy(w, &io.LimitedReader{R: r.file, N: left})
		if err == nil && n < left {
			err = io.ErrUnexpectedEOF
		}
		return n, err
	}
	at -= r.heapOff
	for _, part := range r.heap {
		if at < int64(len(part)) {
			n, err := w.Write(part[at:min(int64(len(part)), at+left)])
			return int64(n), err
		}
		at -= int64(len(part))
	}
	return 0, io.ErrUnexpectedEOF
}

// Seek implements io.Seeker.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, errors.New("origin: seek before the start of a segment")
	}
	r.pos = offset
	return offset, nil
}

// Close gives the file handle back. It is idempotent.
func (r *reader) Close() error {
	if r.file == nil {
		return nil
	}
	f := r.file
	r.file = nil
	return r.body.release(f)
}

// inHeap reports whether some of the body is not on disk.
func (b *body) inHeap() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.gone && len(b.heap) > 0
}
