package dvr

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/sluice-live/sluice/internal/cmaf"
)

// scanner reads a blob without its index. It goes from box to box; where there
// is none it looks for the next record, behind the last that was well.
type scanner struct {
	f    io.ReaderAt
	size int64
	pos  int64
	blob *blob
	lost []string // what was found damaged

	good   int64 // behind the last record that was well
	inside bool  // a segment was opened
	open   opening
	media  int64 // where its media begins
	whole  int64 // until where its parts are whole
}

// headOf reads the head that a blob begins with, or its copy.
func headOf(f io.ReaderAt) (blobHead, error) {
	b := make([]byte, 2*(recordHead+blobHeadSize+64))
	n, err := f.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return blobHead{}, err
	}
	b = b[:n]
	head, _, err := cutHead(b)
	if err == nil {
		return head, nil
	}
	if i := bytes.Index(b[min(8+len(userType), len(b)):], userType[:]); i >= 0 {
		if head, _, err := cutHead(b[i+len(userType):]); err == nil { // 8 bytes before its type
			return head, nil
		}
	}
	return blobHead{}, err
}

// run reads from pos to the end. What stands there without an end is kept, as
// far as it is whole, if nobody is writing it.
func (s *scanner) run(idle bool) error {
	if s.blob.head == (blobHead{}) {
		if idle && s.size > 0 {
			s.lose("the head and its copy, and with them the blob")
		}
		return nil
	}
	s.good = s.pos
	var head [recordHead]byte
	for s.pos < s.size {
		n, err := s.f.ReadAt(head[:min(recordHead, s.size-s.pos)], s.pos)
		if err != nil && err != io.EOF {
			return err
		}
		ok, err := s.step(head[:n])
		if err != nil {
			return err
		}
		if ok {
			continue
		}
		next, err := s.search(s.good)
		if err != nil {
			return err
		}
		if next < 0 {
			break
		}
		s.whole = min(s.whole, s.good)
		s.pos = next
	}
	if s.inside && idle {
		return s.cut()
	}
	return nil
}

func (s *scanner) lose(what string) {
	if len(s.lost) < 64 {
		s.lost = append(s.lost, what)
	}
}

// step takes the record or box at pos and goes behind it; false if there is none.
func (s *scanner) step(head []byte) (bool, error) {
	if n := recordSize(head); n > 0 {
		r, err := s.record(s.pos)
		if errors.Is(err, ErrFormat) || err == nil && !s.take(r) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		s.pos += int64(r.size)
		s.good = s.pos
		return true, nil
	}
	n, name := cmaf.BoxSize(head)
	if n == 0 || s.pos+n > s.size {
		return false, nil
	}
	switch name {
	case "ftyp", "moov", "moof":
	case "mdat":
		s.whole = s.pos + n
	default:
		return false, nil
	}
	s.pos += n
	return true, nil
}

// record reads the record at a position.
func (s *scanner) record(at int64) (record, error) {
	var head [recordHead]byte
	if _, err := s.f.ReadAt(head[:], at); err != nil && err != io.EOF {
		return record{}, err
	}
	n := recordSize(head[:])
	if n == 0 || n > s.size-at {
		return record{}, ErrFormat
	}
	b := make([]byte, n)
	if _, err := s.f.ReadAt(b, at); err != nil {
		return record{}, err
	}
	return s.blob.head.id.cutRecord(b)
}

// take notes what a record says; false if it cannot stand at pos.
func (s *scanner) take(r record) bool {
	switch r.kind {
	case kindBlob, kindSamples:
		return true
	case kindTrack:
		n, t, err := parseTrack(r.body)
		if err != nil || n > maxTracks {
			return false
		}
		s.blob.setTrack(n, t)
		return true
	case kindOpen:
		o, err := parseOpening(r.body)
		if err != nil {
			return false
		}
		if s.inside {
			s.lose(fmt.Sprintf("segment %d, which has no end", s.open.number))
		}
		s.inside, s.open = true, o
		s.media = s.pos + int64(r.size)
		s.whole = s.media
		return true
	case kindSegment:
		e, err := parseEntry(r.body)
		if err != nil || e.off+e.size+int64(e.samples) != s.pos {
			return false
		}
		if s.inside && s.open.number != e.number {
			s.lose(fmt.Sprintf("segment %d, which has no end", s.open.number))
		}
		s.inside = false
		if !s.blob.usable(&e) {
			s.lose(fmt.Sprintf("segment %d, whose track is not known", e.number))
			return true
		}
		s.blob.entries = append(s.blob.entries, e)
		return true
	}
	return false
}

// search returns the position of the first whole record from a position on; -1
// if there is none.
func (s *scanner) search(from int64) (int64, error) {
	const step = 256 << 10
	buf := make([]byte, step+len(userType))
	for at := from; at < s.size; at += step {
		n, err := s.f.ReadAt(buf[:min(int64(len(buf)), s.size-at)], at)
		if err != nil && err != io.EOF {
			return -1, err
		}
		for b, off := buf[:n], at; ; {
			i := bytes.Index(b, userType[:])
			if i < 0 || off+int64(i) >= at+step {
				break
			}
			start := off + int64(i) - 8
			if ok, err := s.sound(start); ok && start >= from || err != nil {
				return start, err
			}
			b, off = b[i+1:], off+int64(i)+1
		}
	}
	return -1, nil
}

// sound reports whether there is a record at a position that take would take.
func (s *scanner) sound(at int64) (bool, error) {
	if at < s.good {
		return false, nil
	}
	r, err := s.record(at)
	if errors.Is(err, ErrFormat) {
		return false, nil
	}
	return err == nil && s.fits(r, at), err
}

// fits reports whether take would take a record at a position, so that none is
// found over and over.
func (s *scanner) fits(r record, at int64) bool {
	switch r.kind {
	case kindBlob, kindSamples:
		return true
	case kindTrack:
		n, _, err := parseTrack(r.body)
		return err == nil && n <= maxTracks
	case kindOpen:
		_, err := parseOpening(r.body)
		return err == nil
	case kindSegment:
		e, err := parseEntry(r.body)
		return err == nil && e.off+e.size+int64(e.samples) == at
	}
	return false
}

// cut keeps the whole parts of a segment that has no end.
func (s *scanner) cut() error {
	e := entry{number: s.open.number, start: s.open.start, track: s.open.track, off: s.media, flags: flagCut}
	if boot := bootID(); s.blob.head.boot != boot && s.blob.head.boot != "" && boot != "" {
		s.lose(fmt.Sprintf("segment %d, which was not on disk when the system stopped", e.number))
		return nil
	}
	if !s.blob.usable(&e) {
		return nil
	}
	var sum uint32
	for pos := s.media; pos < s.whole; {
		f, b, err := s.fragment(pos)
		if errors.Is(err, cmaf.ErrFormat) {
			break
		}
		if err != nil {
			return err
		}
		if e.size == 0 && f.Samples[0].Key {
			e.flags |= flagIndependent
		}
		for _, p := range f.Samples {
			e.dur = max(e.dur, p.PTS+p.Dur-e.start)
		}
		sum = crcAdd(sum, b)
		e.size += int64(len(b))
		pos += int64(len(b))
	}
	if e.size == 0 || e.dur <= 0 {
		return nil
	}
	e.crc = sum
	s.blob.entries = append(s.blob.entries, e)
	return nil
}

// fragment reads the part at a position.
func (s *scanner) fragment(pos int64) (cmaf.Fragment, []byte, error) {
	end := pos
	for range 2 { // moof, mdat
		var head [8]byte
		if _, err := s.f.ReadAt(head[:], end); err != nil && err != io.EOF {
			return cmaf.Fragment{}, nil, err
		}
		n, _ := cmaf.BoxSize(head[:])
		if n == 0 || n > s.whole-end || n > maxPart {
			return cmaf.Fragment{}, nil, cmaf.ErrFormat
		}
		end += n
	}
	b := make([]byte, end-pos)
	if _, err := s.f.ReadAt(b, pos); err != nil {
		return cmaf.Fragment{}, nil, err
	}
	f, err := cmaf.ParseFragment(b)
	return f, b, err
}

// maxPart bounds one box of a part: the packager's bound on its data, and room
// for a moof.
const maxPart = 80 << 20

func appendTail(b []byte, at int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(at)) }

func parseTail(b []byte) (int64, bool) {
	if len(b) != 8 {
		return 0, false
	}
	at := int64(binary.BigEndian.Uint64(b))
	return at, at >= 0 && at <= maxTime
}
