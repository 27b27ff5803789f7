package sluicetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-live/sluice"
)

// tape is a Recorder in memory; a test bends what it plays.
type tape struct {
	mu      sync.Mutex
	packets []sluice.Packet
	play    func(all []sluice.Packet, from, to time.Time) sluice.Source
}

func (r *tape) Consume(ctx context.Context, src sluice.Source) error {
	for {
		p, err := src.ReadPacket(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.packets = append(r.packets, p)
		r.mu.Unlock()
	}
}

func (r *tape) Replay(_ context.Context, from, to time.Time) (sluice.Source, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.play(r.packets, from, to), nil
}

// part returns the packets of segments from the one that holds from, until to.
func part(all []sluice.Packet, from, to time.Time) []sluice.Packet {
	return slices.DeleteFunc(slices.Clone(all), func(p sluice.Packet) bool {
		return p.Segment < uint64(from.Unix()) || !p.Track.Time(p.DTS).Before(to)
	})
}

func TestRecorderSuitePassesWhatConforms(t *testing.T) {
	Recorder(t, func(testing.TB) sluice.Recorder {
		return &tape{play: func(all []sluice.Packet, from, to time.Time) sluice.Source {
			return &Slice{Packets: part(all, from, to)}
		}}
	})
}

const (
	cWhole = "replays whole tracks"
	cFrom  = "replays from the start of the segment that holds from"
	cTo    = "replays until to"
	cMany  = "replays to several readers at once"
)

func TestRecorderSuiteSeesFaults(t *testing.T) {
	var shared sluice.Source
	for name, c := range map[string]struct {
		play  func(all []sluice.Packet, from, to time.Time) sluice.Source
		fails []string
	}{
		"begins at from": {
			func(all []sluice.Packet, from, to time.Time) sluice.Source {
				return &Slice{Packets: slices.DeleteFunc(part(all, from, to), func(p sluice.Packet) bool {
					return p.Track.Time(p.DTS).Before(from)
				})}
			},
			[]string{cFrom},
		},
		"begins with the next segment": {
			func(all []sluice.Packet, from, to time.Time) sluice.Source {
				return &Slice{Packets: part(all, from.Add(time.Second-1), to)}
			},
			[]string{cFrom},
		},
		"plays past to": {
			func(all []sluice.Packet, from, _ time.Time) sluice.Source {
				return &Slice{Packets: part(all, from, farOff)}
			},
			[]string{cWhole, cFrom, cTo, cMany},
		},
		"one track alone": {
			func(all []sluice.Packet, from, to time.Time) sluice.Source {
				return &Slice{Packets: Of(1, part(all, from, to))}
			},
			[]string{cWhole, cFrom, cTo, cMany},
		},
		"other data": {
			func(all []sluice.Packet, from, to time.Time) sluice.Source {
				packets := part(all, from, to)
				packets[9].Data = append(bytes.Clone(packets[9].Data), 0)
				return &Slice{Packets: packets}
			},
			[]string{cWhole, cFrom, cTo, cMany},
		},
		"fails at the end": {
			func(all []sluice.Packet, from, to time.Time) sluice.Source {
				return &Slice{Packets: part(all, from, to), Err: io.ErrUnexpectedEOF}
			},
			[]string{cWhole, cFrom, cTo, cMany, "its replay " + cOrder, "its replay " + cEOF, "its replay " + cStamps,
				"its replay " + cData, "its replay " + cTracks, "its replay " + cCtx},
		},
		"one position for all": {
			func(all []sluice.Packet, from, to time.Time) sluice.Source {
				if shared == nil || len(all) == 0 {
					shared = &Slice{Packets: part(all, from, to)}
				}
				return shared
			},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := failing(t, recorderChecks(), func(testing.TB) sluice.Recorder {
				shared = nil
				return &tape{play: c.play}
			})
			if name == "one position for all" {
				assert.Contains(t, got, cMany)
				return
			}
			assert.Equal(t, c.fails, got)
		})
	}
}

// shelf is Segments in memory; a test bends what it does.
type shelf struct {
	segs []sluice.Segment
	data map[name][]byte
	list func(all []sluice.Segment, from, to time.Time, yield func(sluice.Segment, error) bool)
	open func(s sluice.Segment) (io.ReadSeekCloser, error)
}

type book struct {
	*bytes.Reader
	close func() error
}

func (b book) Close() error { return b.close() }

func keep() error { return nil }

func newShelf() *shelf {
	s := &shelf{data: make(map[name][]byte)}
	for _, t := range []*sluice.Track{Video(1), Audio(2)} {
		for i := range int64(4) {
			ts := int64(t.Timescale)
			seg := sluice.Segment{Track: t, Number: uint64(FirstSegment + i), Start: (FirstSegment + i) * ts, Dur: ts, Gap: i == 2}
			if !seg.Gap {
				seg.Size = 1000 + i
				b := make([]byte, seg.Size)
				rand.NewChaCha8([32]byte{byte(t.ID), byte(i)}).Read(b)
				s.data[nameOf(seg)] = b
			}
			s.segs = append(s.segs, seg)
		}
	}
	s.list, s.open = listed, s.opened
	return s
}

func overlaps(s sluice.Segment, from, to time.Time) bool {
	start, end := span(s)
	return start.Before(to) && end.After(from)
}

func listed(all []sluice.Segment, from, to time.Time, yield func(sluice.Segment, error) bool) {
	for _, s := range all {
		if overlaps(s, from, to) && !yield(s, nil) {
			return
		}
	}
}

func (s *shelf) opened(seg sluice.Segment) (io.ReadSeekCloser, error) {
	b, ok := s.data[nameOf(seg)]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return book{bytes.NewReader(b), keep}, nil
}

func (s *shelf) List(_ context.Context, from, to time.Time) iter.Seq2[sluice.Segment, error] {
	return func(yield func(sluice.Segment, error) bool) { s.list(s.segs, from, to, yield) }
}

func (s *shelf) Open(_ context.Context, seg sluice.Segment) (io.ReadSeekCloser, error) {
	return s.open(seg)
}

func TestSegmentsSuitePassesWhatConforms(t *testing.T) {
	Segments(t, func(testing.TB) sluice.Segments { return newShelf() })
}

const (
	cList        = "lists by number"
	cRange       = "lists what overlaps"
	cBreak       = "stops listing when told"
	cOpen        = "opens by ID, Era, Maker and Number alone"
	cExist       = "says what does not exist"
	cSeek        = "seeks"
	cIndependent = "reads independently"
	cConcurrent  = "is safe for concurrent use"
)

func TestSegmentsSuiteSeesFaults(t *testing.T) {
	everyCheck := []string{cList, cRange, cBreak, cOpen, cExist, cSeek, cIndependent, cConcurrent}
	for name, c := range map[string]struct {
		bend  func(s *shelf)
		fails []string
	}{
		"newest first": {
			func(s *shelf) { slices.Reverse(s.segs) },
			[]string{cList},
		},
		"listed twice": {
			func(s *shelf) { s.segs = append(s.segs, s.segs[len(s.segs)-1]) },
			[]string{cList},
		},
		"overlapping": {
			func(s *shelf) { s.segs[0].Dur++ },
			[]string{cList},
		},
		"no segments": {
			func(s *shelf) { s.segs = nil },
			everyCheck,
		},
		"range ignored": {
			func(s *shelf) {
				s.list = func(all []sluice.Segment, _, _ time.Time, yield func(sluice.Segment, error) bool) {
					listed(all, longAgo, farOff, yield)
				}
			},
			[]string{cRange},
		},
		"closed range": {
			func(s *shelf) {
				s.list = func(all []sluice.Segment, from, to time.Time, yield func(sluice.Segment, error) bool) {
					listed(all, from, to.Add(1), yield)
				}
			},
			[]string{cRange},
		},
		"only whole segments": {
			func(s *shelf) {
				s.list = func(all []sluice.Segment, from, to time.Time, yield func(sluice.Segment, error) bool) {
					for _, s := range all {
						start, end := span(s)
						if !start.Before(from) && !end.After(to) && !yield(s, nil) {
							return
						}
					}
				}
			},
			[]string{cRange},
		},
		"yields after the break": {
			func(s *shelf) {
				s.list = func(all []sluice.Segment, from, to time.Time, yield func(sluice.Segment, error) bool) {
					for _, s := range all {
						if overlaps(s, from, to) {
							yield(s, nil)
						}
					}
				}
			},
			[]string{cBreak},
		},
		"List fails": {
			func(s *shelf) {
				s.list = func(_ []sluice.Segment, _, _ time.Time, yield func(sluice.Segment, error) bool) {
					yield(sluice.Segment{}, errBoom)
				}
			},
			everyCheck,
		},
		"needs the track it listed": {
			func(s *shelf) {
				s.open = func(seg sluice.Segment) (io.ReadSeekCloser, error) {
					if seg.Track.Timescale == 0 {
						return nil, errors.New("no timescale")
					}
					return s.opened(seg)
				}
			},
			[]string{cOpen, cExist, cSeek, cIndependent, cConcurrent},
		},
		"wrong size": {
			func(s *shelf) { s.segs[0].Size++ },
			[]string{cOpen},
		},
		"era not looked at": {
			func(s *shelf) {
				s.open = func(seg sluice.Segment) (io.ReadSeekCloser, error) {
					t := *seg.Track
					t.Era = 0
					return s.opened(sluice.Segment{Track: &t, Number: seg.Number})
				}
			},
			[]string{cExist},
		},
		"another error": {
			func(s *shelf) {
				s.open = func(seg sluice.Segment) (io.ReadSeekCloser, error) {
					r, err := s.opened(seg)
					if err != nil {
						err = io.ErrUnexpectedEOF
					}
					return r, err
				}
			},
			[]string{cExist},
		},
		"cannot seek": {
			func(s *shelf) {
				s.open = func(seg sluice.Segment) (io.ReadSeekCloser, error) {
					r, err := s.opened(seg)
					return struct {
						io.ReadCloser
						io.Seeker
					}{r, fixed{}}, err
				}
			},
			[]string{cSeek},
		},
		"one reader for all": {
			func(s *shelf) {
				readers := make(map[*byte]io.ReadSeekCloser)
				s.open = func(seg sluice.Segment) (io.ReadSeekCloser, error) {
					b := s.data[nameOf(seg)]
					if b == nil {
						return nil, fs.ErrNotExist
					}
					if readers[&b[0]] == nil {
						r := bytes.NewReader(b)
						readers[&b[0]] = book{r, func() error { r.Reset(b); return nil }}
					}
					return readers[&b[0]], nil
				}
			},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "one reader for all" { // a race, so the one check that is sure to see it
				s := newShelf()
				c.bend(s)
				err := independentCheck(t, func(testing.TB) sluice.Segments { return s })
				assert.ErrorContains(t, err, "not the first half")
				return
			}
			got := failing(t, segmentsChecks, func(testing.TB) sluice.Segments {
				s := newShelf()
				c.bend(s)
				return s
			})
			assert.Equal(t, c.fails, got)
		})
	}
}

// fixed is a Seeker that goes nowhere and does not say so.
type fixed struct{}

func (fixed) Seek(offset int64, _ int) (int64, error) { return offset, nil }
