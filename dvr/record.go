package dvr

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// ErrFormat is wrapped by errors about bytes that are not what the archive
// writes: a damaged file, or not one of an archive's.
var ErrFormat = errors.New("not of this archive's format")

// userType begins every record's body: with it a record is a "uuid" box that
// other readers skip, and is found again behind damage.
var userType = [16]byte{'s', 'l', 'u', 'i', 'c', 'e', 0x8d, 0x34, 0xa3, 0x00, 'd', 'v', 'r', 0, 0, 1}

// The kinds of record; see docs/archive.md.
const (
	kindBlob    = "blob" // begins a blob and its index
	kindTrack   = "trck" // describes a track
	kindOpen    = "open" // stands before a segment's media
	kindSamples = "smpl" // stands behind it
	kindSegment = "segm" // completes it
	kindTail    = "tail" // of an index: the blob is looked at until here
)

const (
	recordHead = 8 + 16 + 4 + 4
	// maxRecord bounds a record: samples of an hour's segment at 1,000 a second,
	// or a sample entry of a mebibyte in JSON.
	maxRecord = 32 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crcAdd(0, b) }

// crcAdd goes on with a checksum.
func crcAdd(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli, b) }

// blobID tells one blob from every other. It goes into all checksums of a
// blob's records, so that those of another blob are none, and media cannot
// pretend to be any.
type blobID [16]byte

func (id *blobID) sum(kind, body []byte) uint32 {
	c := crc32.Update(0, castagnoli, id[:])
	return crc32.Update(crc32.Update(c, castagnoli, kind), castagnoli, body)
}

// appendRecord appends a record with a body.
func (id *blobID) appendRecord(b []byte, kind string, body []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(recordHead+len(body)))
	b = append(b, "uuid"...)
	b = append(b, userType[:]...)
	b = append(b, kind...)
	b = binary.BigEndian.AppendUint32(b, id.sum([]byte(kind), body))
	return append(b, body...)
}

// recordSize returns the size of the record that head begins, or 0 if it does
// not begin one.
func recordSize(head []byte) int64 {
	if len(head) < recordHead || string(head[4:8]) != "uuid" || !bytes.Equal(head[8:24], userType[:]) {
		return 0
	}
	n := int64(binary.BigEndian.Uint32(head))
	if n < recordHead || n > maxRecord {
		return 0
	}
	return n
}

// record is one whole record whose checksum is right.
type record struct {
	kind string
	body []byte
	size int
}

// cutRecord reads the record that b begins with.
func (id *blobID) cutRecord(b []byte) (record, error) {
	n := recordSize(b)
	if n == 0 || n > int64(len(b)) {
		return record{}, fmt.Errorf("record of %d bytes in %d: %w", n, len(b), ErrFormat)
	}
	r := record{kind: string(b[24:28]), body: b[recordHead:n], size: int(n)}
	if binary.BigEndian.Uint32(b[28:]) != id.sum(b[24:28], r.body) {
		return record{}, fmt.Errorf("record %q: wrong checksum: %w", r.kind, ErrFormat)
	}
	return r, nil
}

// blobHead is what the first record says of a blob.
type blobHead struct {
	id    blobID
	track uint32
	hour  int64  // Unix seconds at which it begins
	first uint64 // number of its first segment
	boot  string // the run of the system that wrote it; empty: not known
}

const (
	blobVersion  = 1
	blobHeadSize = 16 + 4 + 4 + 8 + 8
)

func (h *blobHead) append(b []byte) []byte {
	body := make([]byte, 0, blobHeadSize+len(h.boot))
	body = append(body, h.id[:]...)
	body = binary.BigEndian.AppendUint32(body, blobVersion)
	body = binary.BigEndian.AppendUint32(body, h.track)
	body = binary.BigEndian.AppendUint64(body, uint64(h.hour))
	body = binary.BigEndian.AppendUint64(body, h.first)
	body = append(body, h.boot...)
	return h.id.appendRecord(b, kindBlob, body)
}

// cutHead reads the record that begins a blob or an index.
func cutHead(b []byte) (h blobHead, size int, err error) {
	if len(b) >= recordHead+blobHeadSize {
		copy(h.id[:], b[recordHead:])
	}
	r, err := h.id.cutRecord(b)
	if err != nil {
		return blobHead{}, 0, err
	}
	if r.kind != kindBlob || len(r.body) < blobHeadSize || len(r.body) > blobHeadSize+64 {
		return blobHead{}, 0, fmt.Errorf("record %q where a blob begins: %w", r.kind, ErrFormat)
	}
	if v := binary.BigEndian.Uint32(r.body[16:]); v != blobVersion {
		return blobHead{}, 0, fmt.Errorf("blob of version %d, this program knows %d (is it older than the archive?): %w", v, blobVersion, ErrFormat)
	}
	h.track = binary.BigEndian.Uint32(r.body[20:])
	h.hour = int64(binary.BigEndian.Uint64(r.body[24:]))
	h.first = binary.BigEndian.Uint64(r.body[32:])
	h.boot = string(r.body[40:])
	return h, r.size, nil
}

// Flags of a segment.
const (
	flagIndependent = 1 << iota
	flagGap
	flagCut    // the recorder was stopped in it: its first parts alone
	flagErased // it was taken out
)

// entry is what an index knows of a segment.
type entry struct {
	number     uint64
	start, dur int64
	off        int64  // of its media in the blob; of the record behind it, where there is none
	size       int64  // of its media
	samples    uint32 // size of the record of samples behind the media
	track      uint32 // which of the blob's track records
	crc        uint32 // of the media
	flags      uint32
}

const entrySize = 5*8 + 4*4

// end returns where the segment's last record ends in the blob.
func (e *entry) end() int64 {
	return e.off + e.size + int64(e.samples) + recordHead + entrySize
}

func (e *entry) has(flag uint32) bool { return e.flags&flag != 0 }

// hasMedia reports whether there are bytes to open.
func (e *entry) hasMedia() bool { return e.size > 0 && !e.has(flagGap|flagErased) }

func (e *entry) body() []byte {
	b := make([]byte, 0, entrySize)
	for _, v := range [...]uint64{e.number, uint64(e.start), uint64(e.dur), uint64(e.off), uint64(e.size)} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	for _, v := range [...]uint32{e.samples, e.track, e.crc, e.flags} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

// maxTime bounds times in ticks, so that sums fit.
const maxTime = 1 << 62

func parseEntry(b []byte) (e entry, err error) {
	if len(b) != entrySize {
		return e, fmt.Errorf("segment of %d bytes: %w", len(b), ErrFormat)
	}
	u64 := func(i int) uint64 { return binary.BigEndian.Uint64(b[8*i:]) }
	u32 := func(i int) uint32 { return binary.BigEndian.Uint32(b[40+4*i:]) }
	e = entry{
		number: u64(0), start: int64(u64(1)), dur: int64(u64(2)), off: int64(u64(3)), size: int64(u64(4)),
		samples: u32(0), track: u32(1), crc: u32(2), flags: u32(3),
	}
	if e.start < 0 || e.start > maxTime || e.dur < 0 || e.dur > maxTime ||
		e.off < 0 || e.off > maxTime || e.size < 0 || e.size > maxTime || e.samples > maxRecord {
		return entry{}, fmt.Errorf("segment %d from %d lasts %d, at %d, %d bytes: %w", e.number, e.start, e.dur, e.off, e.size, ErrFormat)
	}
	return e, nil
}

// opening is what stands before a segment's media.
type opening struct {
	number uint64
	start  int64
	track  uint32 // which of the blob's track records
}

const openingSize = 8 + 8 + 4

func (o *opening) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, o.number)
	b = binary.BigEndian.AppendUint64(b, uint64(o.start))
	return binary.BigEndian.AppendUint32(b, o.track)
}

func parseOpening(b []byte) (o opening, err error) {
	if len(b) != openingSize {
		return o, fmt.Errorf("opening of %d bytes: %w", len(b), ErrFormat)
	}
	o = opening{binary.BigEndian.Uint64(b), int64(binary.BigEndian.Uint64(b[8:])), binary.BigEndian.Uint32(b[16:])}
	if o.start < 0 || o.start > maxTime {
		return opening{}, fmt.Errorf("opening of segment %d at %d: %w", o.number, o.start, ErrFormat)
	}
	return o, nil
}
