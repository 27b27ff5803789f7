package origin

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// avcC of a 1280x720 stream at 30 frames a second.
const avcC = "014d401fffe10019674d401fd9005005bb0110000003001000000303c0f183248001000568ebc3cb20"

// epoch is where test streams begin, in the middle of a cell.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 500_000_000, time.UTC)

func videoTrack(t testing.TB, era uint32) *sluice.Track {
	b, err := hex.DecodeString(avcC)
	require.NoError(t, err)
	track, err := codec.AVC(b)
	require.NoError(t, err)
	return stamped(track, 1, era)
}

func audioTrack(t testing.TB, era uint32) *sluice.Track {
	track, err := codec.AAC([]byte{0x11, 0x90}) // LC, 48 kHz, stereo
	require.NoError(t, err)
	return stamped(track, 2, era)
}

func stamped(track *sluice.Track, id, era uint32) *sluice.Track {
	c := *track
	c.ID, c.Era, c.SegmentDur = id, era, 4*time.Second
	if c.Kind == sluice.Video {
		c.FrameDur = int64(c.Timescale) / 30
	} else {
		c.FrameDur = 1024
	}
	c.PartTarget = int64(c.Timescale) * 26 / 100
	return &c
}

// feed makes the packets of one track as a timeline stamps them.
type feed struct {
	track   *sluice.Track
	gop     int // packets between key frames
	n       int
	at      int64
	cell    int64
	segment uint64
	size    int // bytes of a packet
}

func newFeed(track *sluice.Track, start time.Time, gop int) *feed {
	at := track.Ticks(start)
	cell := at / cellTicks(track)
	return &feed{track: track, gop: gop, at: at, cell: cell, segment: uint64(cell), size: 200}
}

func cellTicks(t *sluice.Track) int64 {
	return int64(t.SegmentDur/time.Second) * int64(t.Timescale)
}

// announce is the packet that opens the first segment.
func (f *feed) announce() sluice.Packet {
	return sluice.Packet{Track: f.track, DTS: f.at, PTS: f.at, Segment: f.segment}
}

// next returns the next packet.
func (f *feed) next() sluice.Packet {
	p := sluice.Packet{Track: f.track, DTS: f.at, PTS: f.at, Dur: f.track.FrameDur, Key: f.n%f.gop == 0}
	// A key frame opens the segment of its cell, any frame
	// the next one's that would pass its end.
	switch next := (f.cell + 1) * cellTicks(f.track); {
	case p.Key && f.at >= next:
		f.cell = f.at / cellTicks(f.track)
		f.segment++
	case f.at+p.Dur > next+cellTicks(f.track):
		f.cell++
		f.segment++
	}
	p.Segment = f.segment
	p.Data = make([]byte, f.size)
	for i := range p.Data {
		p.Data[i] = byte(f.n + i)
	}
	binary.BigEndian.PutUint32(p.Data, uint32(f.size-4))
	p.Data[4] = 0x41
	if p.Key {
		p.Data[4] = 0x65
	}
	f.n++
	f.at += f.track.FrameDur
	return p
}

// interleave returns the packets of all feeds for a duration, in DTS order.
func interleave(d time.Duration, feeds ...*feed) (all []sluice.Packet) {
	for _, f := range feeds {
		if f.n == 0 {
			all = append(all, f.announce())
		}
	}
	var ends []int64
	for _, f := range feeds {
		ends = append(ends, f.at+f.track.Ticks(time.Unix(0, 0).Add(d)))
	}
	for {
		best := -1
		for i, f := range feeds {
			if f.at < ends[i] && (best < 0 || f.track.Time(f.at).Before(feeds[best].track.Time(feeds[best].at))) {
				best = i
			}
		}
		if best < 0 {
			return all
		}
		all = append(all, feeds[best].next())
	}
}

// script is a Source that yields what the test sends.
type script struct {
	packets chan sluice.Packet
	mu      sync.Mutex
	tracks  []*sluice.Track
	err     error
}

func newScript(tracks ...*sluice.Track) *script {
	return &script{packets: make(chan sluice.Packet), tracks: tracks}
}

func (s *script) Tracks() []*sluice.Track {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tracks
}

func (s *script) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	select {
	case p, ok := <-s.packets:
		if !ok {
			if s.err != nil {
				return p, s.err
			}
			return p, io.EOF
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, t := range s.tracks {
			if t.ID == p.Track.ID && t != p.Track {
				s.tracks = append([]*sluice.Track(nil), s.tracks...)
				s.tracks[i] = p.Track
			}
		}
		return p, nil
	case <-ctx.Done():
		return sluice.Packet{}, ctx.Err()
	}
}

func (s *script) Close() error { return nil }

// broadcasting runs a sink until the test or the script ends.
type broadcasting struct {
	*script
	t    testing.TB
	done chan error
	sink sluice.Sink
}

func start(t testing.TB, srv *Server, name string, tracks ...*sluice.Track) *broadcasting {
	return startSink(t, srv.Stream(name), tracks...)
}

func startSink(t testing.TB, sink sluice.Sink, tracks ...*sluice.Track) *broadcasting {
	b := &broadcasting{script: newScript(tracks...), t: t, done: make(chan error, 1), sink: sink}
	go func() { b.done <- sink.Consume(context.Background(), b.script) }()
	return b
}

// send hands packets over, and returns when all but the last are packaged.
func (b *broadcasting) send(packets ...sluice.Packet) {
	for _, p := range packets {
		b.packets <- p
	}
}

// settle returns when everything sent is packaged: the reader only takes the
// packet, of a kind that is not served, once it is done with the last.
func (b *broadcasting) settle() {
	b.packets <- sluice.Packet{Track: &sluice.Track{ID: 99, Kind: sluice.Data, Timescale: 1000}}
}

func (b *broadcasting) end(err error) error {
	b.err = err
	close(b.packets)
	return <-b.done
}
