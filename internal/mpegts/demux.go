package mpegts

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

const clockRate = 90000

// demux is the program that a Reader reads.
type demux struct {
	r        *Reader
	counters counters

	pat, pmt   sections
	program    program
	mapSection []byte // the program map in force
	mapped     bool
	announced  atomic.Uint32

	streams    []*stream
	ids        []numbered
	known      []*sluice.Track // behind what is queued; never modified
	held       int             // bytes of incomplete PES packets
	scrambled  int             // packets in a row
	lastPID    uint16
	skipped    int
	complaints int
}

// numbered is a track ID that has been given.
type numbered struct {
	id   uint32
	kind sluice.Kind
}

// packet takes one transport packet.
func (d *demux) packet(b []byte) {
	d.counters.packets.Add(1)
	p, ok := parsePacket(b)
	if !ok || p.damaged {
		d.counters.flagged.Add(1)
		return // as if it were lost: the continuity counter tells its stream
	}
	d.lastPID = p.pid
	switch {
	case p.pid == nullPID:
	case p.pid == 0:
		d.pat.feed(p, d.badCRC, d.programs)
	case d.program.pid != 0 && p.pid == d.program.pid:
		d.pmt.feed(p, d.badCRC, d.programMap)
	default:
		if s := d.stream(p.pid); s != nil {
			d.media(s, p)
		}
	}
	if !d.mapped && d.counters.bytes.Load() > maxUnmapped {
		d.r.fail(fmt.Errorf("mpegts: %w: no program map (PAT, PMT) in its first %d bytes", ErrFormat, maxUnmapped))
	}
}

func (d *demux) badCRC() { d.counters.crcErrors.Add(1) }

func (d *demux) stream(pid uint16) *stream {
	for _, s := range d.streams {
		if s.es.pid == pid {
			return s
		}
	}
	return nil
}

// suspect drops what the last packet belonged to: it turned out to be cut.
func (d *demux) suspect() {
	if s := d.stream(d.lastPID); s != nil {
		d.drop(s)
	}
}

// programs takes a PAT: the program that is read goes on, else the first.
func (d *demux) programs(section []byte) {
	if section[0] != tablePAT {
		return
	}
	all := parsePAT(section)
	for _, p := range all {
		if p.number == d.program.number {
			d.choose(p)
			return
		}
	}
	whole := section[6] == 0 && section[7] == 0
	if len(all) > 0 && (d.program.number == 0 || whole) {
		if len(all) > 1 {
			d.r.complain("the transport stream has several programs: the first is read", "program", all[0].number)
		}
		d.choose(all[0])
	}
}

func (d *demux) choose(p program) {
	if p != d.program {
		d.program, d.pmt = p, sections{}
	}
}

// programMap takes a PMT.
func (d *demux) programMap(section []byte) {
	if section[0] != tablePMT || be.Uint16(section[3:]) != d.program.number || bytes.Equal(section, d.mapSection) {
		return
	}
	list, ok := parsePMT(section)
	if !ok {
		d.counters.crcErrors.Add(1)
		return
	}
	d.mapSection, d.mapped = bytes.Clone(section), true
	d.replace(d.usable(list))
	if len(list) > 0 && len(d.streams) == 0 && len(d.ids) == 0 {
		var what []string
		for _, e := range list[:min(len(list), 8)] {
			what = append(what, e.String())
		}
		d.r.fail(fmt.Errorf("mpegts: %s: %w: set the encoder to %s", strings.Join(what, ", "), codec.ErrUnsupported, carried()))
	}
}

func carried() string {
	var all []string
	for _, c := range codecs {
		all = append(all, c.name)
	}
	return strings.Join(all, ", ")
}

// usable returns the streams of a program map that can be read, without IDs.
func (d *demux) usable(list []elementary) []*stream {
	var out []*stream
	for _, e := range list {
		c := codecOf(e)
		switch {
		case c == nil:
			d.r.complain("stream left out: its codec is not carried", "pid", e.pid, "type", e.String())
		case len(out) == maxStreams:
			d.r.complain("stream left out: too many", "pid", e.pid, "most", maxStreams)
		case e.pid < 0x10 || e.pid == nullPID || e.pid == d.program.pid || slices.ContainsFunc(out, func(s *stream) bool { return s.es.pid == e.pid }):
			d.r.complain("stream left out: its PID is another's", "pid", e.pid)
		default:
			out = append(out, newStream(e, c))
		}
	}
	return out
}

// replace makes next the program's streams. Those that were there already go
// on; the others take the IDs that are free.
func (d *demux) replace(next []*stream) {
	old := d.streams
	for i, s := range next {
		at := slices.IndexFunc(old, func(o *stream) bool { return o.es.pid == s.es.pid && o.codec.kind == s.codec.kind })
		if at < 0 {
			continue
		}
		if o := old[at]; o.es.kind == s.es.kind && bytes.Equal(o.es.descriptors, s.es.descriptors) {
			next[i] = o
		} else {
			s.id, s.track = o.id, o.track
		}
	}
	for _, o := range old {
		if !slices.Contains(next, o) {
			d.end(o)
		}
	}
	var announced uint32 = 4
	for _, s := range next {
		if s.id == 0 {
			s.id = d.free(s.codec.kind, next)
		}
		announced |= 1 << (s.codec.kind - sluice.Video)
	}
	d.streams = next
	d.announced.Store(announced)
	d.known = slices.DeleteFunc(slices.Clone(d.known), func(t *sluice.Track) bool {
		return !slices.ContainsFunc(next, func(s *stream) bool { return s.id == t.ID })
	})
}

// free returns an ID for a stream: one that streams of its kind have had, or
// the next.
func (d *demux) free(kind sluice.Kind, streams []*stream) uint32 {
	want := uint32(kind) // video 1, audio 2
	for _, n := range d.ids {
		if n.id == want {
			want = 0
		}
		if n.kind == kind && !slices.ContainsFunc(streams, func(s *stream) bool { return s.id == n.id }) {
			return n.id
		}
	}
	if want == 0 {
		want = 3
		for _, n := range d.ids {
			want = max(want, n.id+1)
		}
	}
	d.ids = append(d.ids, numbered{want, kind})
	return want
}

// flush gives out what is complete now that nothing follows.
func (d *demux) flush() {
	for _, s := range d.streams {
		d.end(s)
	}
}
