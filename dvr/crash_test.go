package dvr

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/cmaf"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

const helperVar = "SLUICE_DVR_TEST_RECORD"

// helper is a process that records until it is killed: the packets of an era,
// as fast as a real stream's would come if time went by some hundred times as
// fast. It says when a segment's packets were all taken.
func helper() bool {
	dir := os.Getenv(helperVar)
	if dir == "" {
		return false
	}
	era, err := strconv.Atoi(os.Getenv(helperVar + "_ERA"))
	if err != nil {
		panic(err)
	}
	a := &Archive{Dir: dir}
	if err := a.Open(); err != nil {
		panic(err)
	}
	src := &talker{Slice: sluicetest.Slice{Packets: crashPackets(era), Block: true}}
	err = a.Stream("demo").Consume(context.Background(), src)
	panic(fmt.Sprint("recording ended: ", err))
}

// talker says which segments it has begun.
type talker struct {
	sluicetest.Slice
	last uint64
}

func (s *talker) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	p, err := s.Slice.ReadPacket(ctx)
	if p.Segment > s.last {
		s.last = p.Segment
		fmt.Println(p.Segment)
	}
	time.Sleep(20 * time.Microsecond)
	return p, err
}

const crashSegments = 200

// crashPackets are an era of their own, behind all before it.
func crashPackets(era int) []sluice.Packet {
	return moved(sluicetest.Packets(crashSegments), int64(era)*crashSegments, inEra(uint32(era), 0))
}

// A recorder that is killed anywhere leaves everything up to the last complete
// segment, nothing that is broken, and a stream that can be recorded on.
func TestKilledWhileRecording(t *testing.T) {
	kills := 4
	if thorough() {
		kills = 200
	}
	self, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	a := &Archive{Dir: dir, Create: true}
	require.NoError(t, a.Open())
	require.NoError(t, a.Close())
	want := map[string]string{}
	total := 0
	for era := range kills {
		for name, b := range packaged(t, crashPackets(era)).files {
			want[name] = b
		}
		cmd := exec.Command(self, "-test.run=^$")
		cmd.Env = append(os.Environ(), helperVar+"="+dir, helperVar+"_ERA="+strconv.Itoa(era))
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		stopAt := 2 + rand.IntN(20)
		for n := 0; n < stopAt && lines.Scan(); n++ {
			_, err := strconv.Atoi(lines.Text())
			require.NoError(t, err, "helper says %q", lines.Text())
		}
		time.AfterFunc(time.Duration(rand.IntN(2000))*time.Microsecond, func() { cmd.Process.Kill() })
		for lines.Scan() {
			continue
		}
		require.Error(t, cmd.Wait())

		require.NoError(t, a.Open())
		s := a.Stream("demo")
		got := archived(t, s)
		cut := map[uint32]int{}
		for name, b := range got {
			full, ok := want[name]
			require.True(t, ok, name)
			if b == full {
				continue
			}
			n, err := cmaf.ParseName(name)
			require.NoError(t, err)
			require.Equal(t, full[:len(b)], b, "%s is no beginning of what it was", name)
			parts, err := partsOf([]byte(b))
			require.NoError(t, err)
			require.NotEmpty(t, parts)
			if cut[n.Track*1000+n.Era]++; cut[n.Track*1000+n.Era] > 1 {
				t.Fatalf("era %d of track %d: several segments are cut", n.Era, n.Track)
			}
		}
		require.Zero(t, a.Stats().Damaged)
		require.Greater(t, len(got), total, "era %d left nothing", era)
		total = len(got)
		holes(t, listed(t, s, never, always))
		require.NoError(t, a.Close())
	}
	t.Logf("%d segments after %d kills", total, kills)
}

// holes looks for segments missing inside an era.
func holes(t testing.TB, all []sluice.Segment) {
	t.Helper()
	for i, s := range all[1:] {
		if p := all[i]; p.Track.ID == s.Track.ID && p.Track.Era == s.Track.Era {
			require.Equal(t, p.Number+1, s.Number)
		}
	}
}

// A recorder that was cut off and goes on within the broadcast, from the start
// of the segment, leaves no seam.
func TestRecordingGoesOnAfterAFailure(t *testing.T) {
	packets := sluicetest.Packets(8)
	want := packaged(t, packets)
	boom := errors.New("boom")
	a := newArchive(t)
	s := a.Stream("demo")
	half := len(packets) * 5 / 16
	require.ErrorIs(t, s.Consume(t.Context(), &sluicetest.Slice{Packets: packets[:half], Err: boom}), boom)
	cut := listed(t, s, never, always)
	require.NotEmpty(t, cut)

	// As a Stream resumes: from the newest start, announced.
	from := uint64(sluicetest.FirstSegment + 1)
	var rest []sluice.Packet
	begun := map[uint32]bool{}
	for _, p := range packets {
		if p.Segment < from || p.Data == nil {
			continue
		}
		if !begun[p.Track.ID] {
			begun[p.Track.ID] = true
			rest = append(rest, sluice.Packet{Track: p.Track, DTS: p.DTS, PTS: p.PTS, Segment: p.Segment})
		}
		rest = append(rest, p)
	}
	consume(t, s, rest)
	for _, a := range []*Archive{a, reopened(t, a)} {
		s := a.Stream("demo")
		require.Equal(t, want.segs, listed(t, s, never, always))
		require.Equal(t, want.files, archived(t, s))
		for _, seg := range want.segs {
			require.Len(t, body(t, s, seg), int(seg.Size))
		}
	}
}

// Nobody else records the stream meanwhile, in this process or another.
func TestTwoRecordersOfOneStream(t *testing.T) {
	a := newArchive(t)
	src := &sluicetest.Slice{Packets: sluicetest.Packets(2), Block: true}
	done := make(chan error, 1)
	go func() { done <- a.Stream("demo").Consume(context.Background(), src) }()
	<-src.Blocked()
	require.ErrorIs(t, a.Stream("demo").Consume(t.Context(), &sluicetest.Slice{}), ErrBusy)
	other := reopened(t, a)
	err := other.Stream("demo").Consume(t.Context(), &sluicetest.Slice{})
	require.ErrorIs(t, err, ErrBusy)
	require.ErrorContains(t, err, strconv.Itoa(os.Getpid()))
	require.NoError(t, other.Stream("else").Consume(t.Context(), &sluicetest.Slice{}))
	// What the other sees of the blob that grows is what is complete.
	for _, seg := range listed(t, other.Stream("demo"), never, always) {
		require.False(t, seg.Gap)
	}
	src.End()
	require.NoError(t, <-done)
	require.NoError(t, other.Stream("demo").Consume(t.Context(), &sluicetest.Slice{}))
}

// Closing the archive ends its recordings, and keeps what they have.
func TestCloseEndsRecordings(t *testing.T) {
	a := newArchive(t)
	src := &sluicetest.Slice{Packets: sluicetest.Packets(2), Block: true}
	done := make(chan error, 1)
	go func() { done <- a.Stream("demo").Consume(context.Background(), src) }()
	<-src.Blocked()
	require.NoError(t, a.Close())
	require.ErrorIs(t, <-done, ErrClosed)
	require.ErrorIs(t, a.Stream("demo").Consume(t.Context(), src), ErrClosed)
	_, err := a.Stream("demo").Replay(t.Context(), never, always)
	require.ErrorIs(t, err, ErrClosed)
	require.NoError(t, a.Open())
	require.NotEmpty(t, listed(t, a.Stream("demo"), never, always))
}
