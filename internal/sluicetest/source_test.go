package sluicetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-live/sluice"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// failing returns the names of the checks that an implementation fails.
func failing[T any](t *testing.T, checks []check[T], open func(testing.TB) T) (names []string) {
	t.Helper()
	for _, c := range checks {
		if err := audit(t, c, open); err != nil {
			t.Logf("%s: %v", c.name, err)
			names = append(names, c.name)
		}
	}
	return names
}

// impatient shortens the wait for what hangs.
func impatient(t *testing.T) {
	old := patience
	patience = 300 * time.Millisecond
	t.Cleanup(func() { patience = old })
}

func sliceFeed(packets []sluice.Packet) Feed {
	s := &Slice{Packets: packets, Block: true}
	return Feed{Source: s, End: s.End, Want: packets}
}

func TestSliceConforms(t *testing.T) {
	Source(t, func(testing.TB) Feed { return sliceFeed(Packets(3)) })
}

func TestSliceThatDoesNotBlockConforms(t *testing.T) {
	Source(t, func(testing.TB) Feed {
		s := &Slice{Packets: Packets(2)}
		return Feed{Source: s, Want: s.Packets}
	})
}

// bent is a Slice of which a test bends a method.
type bent struct {
	*Slice
	tracks func() []*sluice.Track
	read   func(ctx context.Context) (sluice.Packet, error)
	close  func() error
}

func (b *bent) Tracks() []*sluice.Track {
	if b.tracks != nil {
		return b.tracks()
	}
	return b.Slice.Tracks()
}

func (b *bent) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	if b.read != nil {
		return b.read(ctx)
	}
	return b.Slice.ReadPacket(ctx)
}

func (b *bent) Close() error {
	if b.close != nil {
		return b.close()
	}
	return b.Slice.Close()
}

func swap(packets []sluice.Packet, i, j int) []sluice.Packet {
	packets[i], packets[j] = packets[j], packets[i]
	return packets
}

const (
	cOrder    = "yields its packets in order"
	cEOF      = "ends with a bare EOF that repeats"
	cStamps   = "stamps segments"
	cData     = "never modifies Data"
	cTracks   = "changes Tracks only inside ReadPacket"
	cCtx      = "ends a read with its ctx and goes on"
	cUnblocks = "returns from ReadPacket when closed"
	cClosed   = "closes twice and reads no more"
)

func TestSourceSuiteSeesFaults(t *testing.T) {
	video := func() []sluice.Packet { return Packets(3, Video(1)) }
	for name, c := range map[string]struct {
		packets []sluice.Packet
		unknown bool // what it yields is not compared
		bend    func(b *bent)
		fails   []string
	}{
		"two packets swapped": {
			packets: swap(video(), 5, 6), unknown: true,
			fails: []string{cOrder, cCtx},
		},
		"segment left out": {
			packets: slices.DeleteFunc(video(), func(p sluice.Packet) bool { return p.Segment == FirstSegment+1 }),
			unknown: true,
			fails:   []string{cStamps, cCtx},
		},
		"segment goes back": {
			packets: func() []sluice.Packet { p := video(); p[40].Segment--; return p }(), unknown: true,
			fails: []string{cStamps, cCtx},
		},
		"era inside a segment": {
			packets: func() []sluice.Packet {
				p := video()
				next := *p[0].Track
				next.Era++
				for i := 10; i < len(p); i++ {
					p[i].Track = &next
				}
				return p
			}(), unknown: true,
			fails: []string{cStamps, cCtx},
		},
		"packet lost": {
			packets: video(),
			bend: func(b *bent) {
				b.Slice.Packets = slices.Delete(slices.Clone(b.Slice.Packets), 10, 11)
			},
			fails: []string{cOrder, cCtx},
		},
		"packet lost by a cancelled read": {
			packets: video(),
			bend: func(b *bent) {
				b.read = func(ctx context.Context) (sluice.Packet, error) {
					p, err := b.Slice.ReadPacket(ctx)
					if _, late := ctx.Deadline(); late {
						b.Slice.next--
					}
					return p, err
				}
			},
			fails: []string{cCtx},
		},
		"wrapped EOF": {
			packets: video(),
			bend: func(b *bent) {
				b.read = func(ctx context.Context) (sluice.Packet, error) {
					p, err := b.Slice.ReadPacket(ctx)
					if err == io.EOF {
						err = fmt.Errorf("end: %w", err)
					}
					return p, err
				}
			},
			fails: []string{cOrder, cEOF, cStamps, cData, cTracks, cCtx},
		},
		"EOF once": {
			packets: video(),
			bend: func(b *bent) {
				ended := false
				b.read = func(ctx context.Context) (sluice.Packet, error) {
					if ended {
						return sluice.Packet{}, io.ErrUnexpectedEOF
					}
					p, err := b.Slice.ReadPacket(ctx)
					ended = err == io.EOF
					return p, err
				}
			},
			fails: []string{cEOF},
		},
		"buffer used again": {
			packets: video(), unknown: true,
			bend: func(b *bent) {
				var buf []byte
				b.read = func(ctx context.Context) (sluice.Packet, error) {
					p, err := b.Slice.ReadPacket(ctx)
					if p.Data != nil {
						buf = append(buf[:0], p.Data...)
						p.Data = buf
					}
					return p, err
				}
			},
			fails: []string{cData},
		},
		"tracks known before they are read": {
			packets: video(),
			bend: func(b *bent) {
				calls := 0
				b.tracks = func() []*sluice.Track {
					calls++
					return []*sluice.Track{b.Slice.Packets[0].Track, {ID: uint32(100 + calls)}}
				}
			},
			fails: []string{cTracks},
		},
		"tracks without the packet's": {
			packets: video(),
			bend:    func(b *bent) { b.tracks = func() []*sluice.Track { return nil } },
			fails:   []string{cTracks},
		},
		"slice of tracks modified": {
			packets: func() []sluice.Packet {
				p := video()
				next := *p[0].Track
				for i := 30; i < len(p); i++ {
					p[i].Track = &next
				}
				return p
			}(),
			bend: func(b *bent) {
				tracks := make([]*sluice.Track, 1)
				b.tracks = func() []*sluice.Track { return tracks }
				b.read = func(ctx context.Context) (sluice.Packet, error) {
					p, err := b.Slice.ReadPacket(ctx)
					if err == nil {
						tracks[0] = p.Track
					}
					return p, err
				}
			},
			fails: []string{cTracks},
		},
		"deaf to ctx": {
			packets: video(),
			bend: func(b *bent) {
				b.read = func(ctx context.Context) (sluice.Packet, error) {
					return b.Slice.ReadPacket(context.WithoutCancel(ctx))
				}
			},
			fails: []string{cCtx},
		},
		"ends for good with ctx": {
			packets: video(),
			bend: func(b *bent) {
				b.read = func(ctx context.Context) (sluice.Packet, error) {
					p, err := b.Slice.ReadPacket(ctx)
					if ctx.Err() != nil {
						b.Slice.Close()
					}
					return p, err
				}
			},
			fails: []string{cCtx},
		},
		"another error than ctx's": {
			packets: video(),
			bend: func(b *bent) {
				b.read = func(ctx context.Context) (sluice.Packet, error) {
					p, err := b.Slice.ReadPacket(ctx)
					if ctx.Err() != nil {
						err = io.ErrNoProgress
					}
					return p, err
				}
			},
			fails: []string{cCtx},
		},
		"Close does not unblock": {
			packets: video(),
			bend:    func(b *bent) { b.close = func() error { return nil } },
			fails:   []string{cUnblocks, cClosed},
		},
		"second Close fails": {
			packets: video(),
			bend: func(b *bent) {
				b.close = func() error {
					if b.Slice.Closed() {
						return io.ErrClosedPipe
					}
					return b.Slice.Close()
				}
			},
			fails: []string{cClosed},
		},
	} {
		t.Run(name, func(t *testing.T) {
			impatient(t)
			var made []*Slice
			got := failing(t, sourceChecks, func(testing.TB) Feed {
				s := &Slice{Packets: c.packets, Block: true}
				made = append(made, s)
				b := &bent{Slice: s}
				if c.bend != nil {
					c.bend(b)
				}
				f := Feed{Source: b, End: s.End}
				if !c.unknown {
					f.Want = c.packets
				}
				return f
			})
			for _, s := range made {
				s.End()
				s.Close()
			}
			assert.Equal(t, c.fails, got)
		})
	}
}

func TestSuitesSeeLeaks(t *testing.T) {
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	leak := func() { go func() { <-stop }() }
	assert.Equal(t, []string{cOrder}, failing(t, sourceChecks[:1], func(testing.TB) Feed {
		leak()
		return sliceFeed(Packets(1))
	}))
	assert.Equal(t, []string{cUntilEnd}, failing(t, sinkChecks(nil)[:1], func(testing.TB) sluice.Sink {
		return sluice.SinkFunc(func(ctx context.Context, src sluice.Source) error {
			leak()
			return drain(ctx, src)
		})
	}))
}

func TestPackets(t *testing.T) {
	all := Packets(3)
	require.NoError(t, inOrder(all))
	require.NoError(t, stamped(all))
	require.Len(t, Of(1, all), 1+3*25)
	require.Len(t, Of(2, all), 1+141)
	seen := make(map[string]bool)
	for _, p := range Unstamped(all) {
		require.Zero(t, p.Segment)
		require.False(t, seen[string(p.Data)], "two packets with the same Data")
		seen[string(p.Data)] = true
	}
	for _, p := range Of(1, all)[1:] {
		require.Equal(t, p.DTS%90000 == 0, p.Key)
		require.True(t, bytes.HasPrefix(p.Data, []byte{0, 0}))
	}
}

func TestWithinReportsPanics(t *testing.T) {
	require.ErrorContains(t, within("it", func() error { panic("boom") }), "it panics: boom")
}
