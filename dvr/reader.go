package dvr

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ErrDamaged is wrapped by the error of Open for a segment whose bytes are not
// those that were recorded. It is then listed as a Gap.
var ErrDamaged = errors.New("segment is damaged")

// Reader reads an archived segment. It is for one goroutine.
type Reader struct {
	f     *os.File
	entry entry
	blob  *blob
	pos   int64
}

// open opens a segment, having looked at its checksum once.
func (s *Stream) open(f found) (*Reader, error) {
	e := f.entry()
	v := f.blob.verdict(f.i)
	switch {
	case v == damaged:
		return nil, fmt.Errorf("%w: %w", ErrDamaged, fs.ErrNotExist)
	case !e.hasMedia():
		return nil, fs.ErrNotExist
	}
	file, err := os.Open(f.blob.name.path())
	if err != nil {
		return nil, err
	}
	r := &Reader{f: file, entry: e, blob: f.blob}
	if v == unchecked && !s.archive.NoVerify {
		if err := r.verify(); err != nil {
			_ = file.Close()
			if errors.Is(err, ErrDamaged) {
				f.blob.judge(f.i, damaged)
				s.archive.metrics.damaged.Add(1)
				s.archive.log().Error("dvr: archive is damaged, the rest of it plays on", "file", f.blob.name.path(), "lost", fmt.Sprintf("segment %d", e.number))
			}
			return nil, err
		}
		f.blob.judge(f.i, sound)
	}
	return r, nil
}

// verify reads the segment through its checksum.
func (r *Reader) verify() error {
	buf := make([]byte, min(r.entry.size, 256<<10))
	sum := uint32(0)
	for at := int64(0); at < r.entry.size; {
		n, err := r.f.ReadAt(buf[:min(int64(len(buf)), r.entry.size-at)], r.entry.off+at)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		sum = crcAdd(sum, buf[:n])
		at += int64(n)
	}
	if sum != r.entry.crc {
		return fmt.Errorf("%w: %w", ErrDamaged, fs.ErrNotExist)
	}
	return nil
}

// parts returns the segment's parts: from the record behind it, or, where there
// is none, from the media.
func (r *Reader) parts() ([]Part, error) {
	e := &r.entry
	if e.samples > 0 {
		b := make([]byte, e.samples)
		if _, err := r.f.ReadAt(b, e.off+e.size); err == nil {
			if rec, err := r.blob.head.id.cutRecord(b); err == nil && rec.kind == kindSamples {
				if parts, err := parseSamples(rec.body, e.start, e.size); err == nil {
					return parts, nil
				}
			}
		}
	}
	if e.size > maxMedia {
		return nil, fmt.Errorf("segment of %d bytes without a table of its samples: %w", e.size, ErrDamaged)
	}
	media := make([]byte, e.size)
	if _, err := r.f.ReadAt(media, e.off); err != nil {
		return nil, err
	}
	return partsOf(media)
}

// maxMedia bounds a segment that is read as a whole.
const maxMedia = 1 << 30

// Size returns the number of bytes of the segment.
func (r *Reader) Size() int64 { return r.entry.size }

// Section returns the file that the bytes lie in, and where. The file is the
// Reader's alone: its own offset is the caller's to use until Close.
func (r *Reader) Section() (f *os.File, off, n int64) { return r.f, r.entry.off, r.entry.size }

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if r.pos >= r.entry.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.entry.size-r.pos)]
	n, err := r.f.ReadAt(p, r.entry.off+r.pos)
	r.pos += int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// WriteTo implements io.WriterTo: the bytes go out by the writer's own means,
// which is sendfile for a TCP connection.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	left := r.entry.size - r.pos
	if left <= 0 {
		return 0, nil
	}
	if _, err := r.f.Seek(r.entry.off+r.pos, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := io.Copy(w, &io.LimitedReader{R: r.f, N: left})
	r.pos += n
	if err == nil && n < left {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Seek implements io.Seeker.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.entry.size
	}
	if offset < 0 {
		return 0, errors.New("dvr: seek before the start of a segment")
	}
	r.pos = offset
	return offset, nil
}

// Close closes the file. It is idempotent.
func (r *Reader) Close() error {
	if r.f == nil {
		return nil
	}
	f := r.f
	r.f = nil
	return f.Close()
}
