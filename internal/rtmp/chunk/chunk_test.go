package chunk_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/rtmp/chunk"
)

var limits = chunk.Limits{Message: chunk.MaxSize, Partial: 2 * chunk.MaxSize, Streams: 64}

func Example() {
	m := chunk.Message{ID: 6, Type: chunk.TypeVideo, Stream: 1, Time: 40, Data: []byte("frame")}
	r := chunk.NewReader(bytes.NewReader(chunk.Append(nil, m, 2)), limits)
	// Set Chunk Size is missing, so that the reader takes 128 bytes for a chunk.
	_, err := r.ReadMessage()
	fmt.Println(err)

	size := chunk.Message{ID: 2, Type: chunk.TypeSetChunkSize, Data: []byte{0, 0, 0, 2}}
	r = chunk.NewReader(bytes.NewReader(chunk.Append(chunk.Append(nil, size, 128), m, 2)), limits)
	m, err = r.ReadMessage()
	fmt.Println(m.Time, string(m.Data), err)
	// Output:
	// <nil>
	// 40 frame <nil>
}

func setSize(n int) []byte {
	return chunk.Append(nil, chunk.Message{ID: 2, Type: chunk.TypeSetChunkSize, Data: binary.BigEndian.AppendUint32(nil, uint32(n))}, 128)
}

func payload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	for _, size := range []int{1, 2, 127, 128, 4096, 65536, chunk.MaxSize, 1 << 30} {
		for _, id := range []uint32{2, 3, 63, 64, 319, 320, 65599} {
			for _, at := range []uint32{0, 0xfffffe, 0xffffff, 0x1000000, 0xffffffff} {
				for _, n := range []int{0, 1, 128, 129, 1000} {
					want := chunk.Message{ID: id, Type: chunk.TypeVideo, Stream: 0x01020304, Time: at, Data: payload(n)}
					b := append(setSize(size), chunk.Append(nil, want, size)...)
					bufs := chunk.Cut(want, nil, size)
					if n > 0 && size > 3 {
						bufs = chunk.Cut(chunk.Message{ID: id, Type: want.Type, Stream: want.Stream, Time: at, Data: want.Data[1:]}, want.Data[:1], size)
					}
					b = append(b, slices.Concat(bufs...)...)
					r := chunk.NewReader(bytes.NewReader(b), limits)
					for range 2 {
						got, err := r.ReadMessage()
						require.NoError(t, err)
						require.Equal(t, want.Time, got.Time)
						require.Equal(t, want.ID, got.ID)
						require.Equal(t, want.Stream, got.Stream)
						require.True(t, bytes.Equal(want.Data, got.Data))
					}
					_, err := r.ReadMessage()
					require.Equal(t, io.EOF, err)
				}
			}
		}
	}
}

func TestCutRefersToData(t *testing.T) {
	data := payload(150_000)
	bufs := chunk.Cut(chunk.Message{ID: 6, Type: 9, Data: data}, []byte{1, 2, 3, 4, 5}, 65536)
	require.Len(t, bufs, 6)
	assert.Same(t, &data[0], &bufs[1][0])
	assert.Same(t, &data[65531], &bufs[3][0])
	assert.InDelta(t, 4, testing.AllocsPerRun(10, func() { // payload slices are none
		chunk.Cut(chunk.Message{ID: 6, Type: 9, Data: data}, []byte{1, 2, 3, 4, 5}, 65536)
	}), 2)
}

// raw builds chunks by hand.
type raw struct{ bytes.Buffer }

// chunk appends a header of format f with the time field as it is to be.
func (r *raw) chunk(f byte, id byte, field uint32, length int, typ byte, ext bool, data string) {
	r.WriteByte(f<<6 | id)
	put24 := func(v uint32) { r.Write([]byte{byte(v >> 16), byte(v >> 8), byte(v)}) }
	if f < 3 {
		put24(min(field, 0xffffff))
	}
	if f < 2 {
		put24(uint32(length))
		r.WriteByte(typ)
	}
	if f == 0 {
		r.Write([]byte{1, 0, 0, 0})
	}
	if field >= 0xffffff && (f < 3 || ext) {
		_ = binary.Write(&r.Buffer, binary.BigEndian, field)
	}
	r.WriteString(data)
}

func times(t *testing.T, b []byte) (ts []uint32, data []string) {
	r := chunk.NewReader(bytes.NewReader(b), limits)
	for {
		m, err := r.ReadMessage()
		if err == io.EOF {
			return ts, data
		}
		require.NoError(t, err)
		require.EqualValues(t, 9, m.Type)
		ts, data = append(ts, m.Time), append(data, string(m.Data))
	}
}

func TestHeaderTypes(t *testing.T) {
	var r raw
	r.chunk(0, 6, 1000, 2, 9, false, "aa")
	r.chunk(1, 6, 40, 3, 9, false, "bbb") // another length
	r.chunk(2, 6, 33, 0, 0, false, "ccc") // another delta
	r.chunk(3, 6, 0, 0, 0, false, "ddd")  // the same again
	r.chunk(0, 6, 5, 1, 9, false, "e")    // back in time
	r.chunk(3, 6, 0, 0, 0, false, "f")    // behind type 0: its time is the delta
	ts, data := times(t, r.Bytes())
	assert.Equal(t, []uint32{1000, 1040, 1073, 1106, 5, 10}, ts)
	assert.Equal(t, []string{"aa", "bbb", "ccc", "ddd", "e", "f"}, data)
}

// librtmp begins a chunk stream with type 1.
func TestFirstChunkOfType1(t *testing.T) {
	var r raw
	r.chunk(1, 6, 7, 1, 9, false, "a")
	ts, _ := times(t, r.Bytes())
	assert.Equal(t, []uint32{7}, ts)
}

func TestDeltaWraps32Bits(t *testing.T) {
	var r raw
	r.chunk(0, 6, 0xfffffff0, 1, 9, true, "a")
	r.chunk(2, 6, 0x20, 0, 0, false, "b")
	r.chunk(3, 6, 0, 0, 0, false, "c")
	ts, _ := times(t, r.Bytes())
	assert.Equal(t, []uint32{0xfffffff0, 0x10, 0x30}, ts)
}

// Encoders differ in whether chunks of type 3 repeat an extended time stamp;
// a stream that is taken for the other kind dies after 4.66 hours.
func TestExtendedTimestampOnType3(t *testing.T) {
	for _, ext := range []bool{true, false} {
		t.Run(fmt.Sprint(ext), func(t *testing.T) {
			var r raw
			big := strings.Repeat("x", 128)
			for i := range uint32(3) {
				at := 0xffffff + i*40
				r.chunk(0, 6, at, 128+128+1, 9, true, big)
				r.chunk(3, 6, at, 0, 0, ext, big)
				r.chunk(3, 6, at, 0, 0, ext, "z")
			}
			r.chunk(1, 6, 0x2000000, 129, 9, true, big) // an extended delta
			r.chunk(3, 6, 0x2000000, 0, 0, ext, "z")
			r.chunk(3, 6, 0x2000000, 0, 0, ext, big) // and a message that repeats it
			r.chunk(3, 6, 0x2000000, 0, 0, ext, "z")
			ts, data := times(t, r.Bytes())
			assert.Equal(t, []uint32{0xffffff, 0xffffff + 40, 0xffffff + 80, 0x300004f, 0x500004f}, ts)
			assert.Equal(t, big+"z", data[4])
		})
	}
}

func TestInterleaved(t *testing.T) {
	var r raw
	r.chunk(0, 6, 10, 200, 9, false, strings.Repeat("v", 128))
	r.chunk(0, 4, 11, 130, 9, false, strings.Repeat("a", 128))
	r.Write(chunk.Append(nil, chunk.Message{ID: 2, Type: chunk.TypeSetChunkSize, Data: []byte{0, 0, 0, 1}}, 128))
	r.chunk(3, 4, 0, 0, 0, false, "a")
	r.chunk(3, 6, 0, 0, 0, false, "v")
	r.chunk(3, 4, 0, 0, 0, false, "a")
	for range 71 {
		r.chunk(3, 6, 0, 0, 0, false, "v")
	}
	ts, data := times(t, r.Bytes())
	assert.Equal(t, []uint32{11, 10}, ts)
	assert.Equal(t, []string{strings.Repeat("a", 130), strings.Repeat("v", 200)}, data)
}

func TestAbort(t *testing.T) {
	var r raw
	r.chunk(0, 6, 10, 200, 9, false, strings.Repeat("v", 128))
	r.Write(chunk.Append(nil, chunk.Message{ID: 2, Type: chunk.TypeAbort, Data: []byte{0, 0, 0, 6}}, 128))
	r.chunk(0, 6, 20, 1, 9, false, "w")
	ts, data := times(t, r.Bytes())
	assert.Equal(t, []uint32{20}, ts)
	assert.Equal(t, []string{"w"}, data)
}

func TestRefuses(t *testing.T) {
	many := &raw{}
	for id := byte(2); id < 63; id++ {
		many.chunk(0, id, 0, 1000, 9, false, strings.Repeat("x", 128))
	}
	restart := &raw{}
	restart.chunk(0, 6, 0, 200, 9, false, strings.Repeat("x", 128))
	restart.chunk(0, 6, 0, 200, 9, false, strings.Repeat("x", 128))
	large := &raw{}
	large.chunk(0, 6, 0, 100_001, 9, false, "")
	for name, c := range map[string]struct {
		in   []byte
		want error
	}{
		"first chunk of type 3":   {[]byte{0xc6}, chunk.ErrProtocol},
		"first chunk of type 2":   {[]byte{0x86, 0, 0, 0}, chunk.ErrProtocol},
		"message cut off":         {restart.Bytes(), chunk.ErrProtocol},
		"chunk size 0":            {setSize(0), chunk.ErrProtocol},
		"chunk size 2^31":         {setSize(1 << 31), chunk.ErrProtocol},
		"message too large":       {large.Bytes(), chunk.ErrTooLarge},
		"too many chunk streams":  {many.Bytes(), chunk.ErrTooLarge},
		"end within a message":    {restart.Bytes()[:100], io.ErrUnexpectedEOF},
		"end within a header":     {[]byte{6, 0, 0}, io.ErrUnexpectedEOF},
		"end between chunks":      {restart.Bytes()[:12+128], io.ErrUnexpectedEOF},
		"end within a basic head": {[]byte{1, 0}, io.ErrUnexpectedEOF},
	} {
		r := chunk.NewReader(bytes.NewReader(c.in), chunk.Limits{Message: 100_000, Partial: 1 << 20, Streams: 32})
		_, err := r.ReadMessage()
		assert.ErrorIs(t, err, c.want, name)
	}
}

// A length of 16 MiB with a few bytes behind it costs what the bytes cost.
func TestMemoryFollowsBytes(t *testing.T) {
	var r raw
	for id := byte(2); id < 50; id++ {
		r.chunk(0, id, 0, 0xffffff, 9, false, strings.Repeat("x", 128))
	}
	in := r.Bytes()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := chunk.NewReader(bytes.NewReader(in), limits).ReadMessage()
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(48*80<<10))
}

func TestPartialMessagesAreBounded(t *testing.T) {
	var r raw
	r.Write(setSize(70_000))
	for id := byte(3); id < 30; id++ {
		r.chunk(0, id, 0, 100_000, 9, false, strings.Repeat("x", 70_000))
	}
	_, err := chunk.NewReader(&r.Buffer, chunk.Limits{Message: 100_000, Partial: 1 << 20, Streams: 64}).ReadMessage()
	require.ErrorIs(t, err, chunk.ErrTooLarge)
}

func TestOneAllocationForUsualMessages(t *testing.T) {
	m := chunk.Message{ID: 6, Type: 9, Data: payload(60_000)}
	in := bytes.NewReader(append(setSize(4096), bytes.Repeat(chunk.Append(nil, m, 4096), 1100)...))
	r := chunk.NewReader(in, limits)
	allocs := testing.AllocsPerRun(1000, func() {
		_, err := r.ReadMessage()
		require.NoError(t, err)
	})
	assert.InDelta(t, 1, allocs, 0.1)
}

// A deadline in the middle of anything loses nothing.
func TestGoesOnAfterAnError(t *testing.T) {
	var r raw
	big := strings.Repeat("x", 128)
	for i := range uint32(20) {
		r.chunk(0, 6, 0xffffff+i, 257, 9, true, big)
		r.chunk(3, 6, 0xffffff+i, 0, 0, true, big)
		r.chunk(3, 6, 0xffffff+i, 0, 0, true, "z")
	}
	rd := chunk.NewReader(&stutter{r: iotest.OneByteReader(&r.Buffer)}, limits)
	n, timeouts := 0, 0
	for {
		m, err := rd.ReadMessage()
		if err == os.ErrDeadlineExceeded {
			timeouts++
			continue
		}
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		require.EqualValues(t, 0xffffff+n, m.Time)
		require.Equal(t, big+big+"z", string(m.Data))
		n++
	}
	assert.Equal(t, 20, n)
	assert.Greater(t, timeouts, 1000)
}

// stutter fails every second time.
type stutter struct {
	r io.Reader
	n int
}

func (s *stutter) Read(b []byte) (int, error) {
	if s.n++; s.n%2 == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return s.r.Read(b)
}

func FuzzReader(f *testing.F) {
	var r raw
	r.chunk(0, 6, 0xffffff, 200, 9, true, strings.Repeat("v", 128))
	r.chunk(0, 4, 11, 130, 9, false, strings.Repeat("a", 128))
	r.chunk(3, 6, 0xffffff, 0, 0, false, strings.Repeat("v", 72))
	f.Add(r.Bytes())
	f.Add(append(setSize(1), 0x46, 0, 0, 1, 0, 0, 2, 9, 'a', 0xc6, 'b'))
	f.Add([]byte{1, 0xff, 0xff, 0, 0, 0, 0, 0, 1, 8, 1, 0, 0, 0, 'x'})
	f.Fuzz(func(t *testing.T, in []byte) {
		rd := chunk.NewReader(bytes.NewReader(in), chunk.Limits{Message: 1 << 20, Partial: 1 << 21, Streams: 16})
		var all []chunk.Message
		for {
			m, err := rd.ReadMessage()
			if err != nil {
				break
			}
			all = append(all, m)
		}
		// What was read can be written and read again, in chunks of any size.
		size := 1 + rand.N(300)
		b := setSize(size)
		for _, m := range all {
			b = chunk.Append(b, m, size)
		}
		rd = chunk.NewReader(bytes.NewReader(b), chunk.Limits{Message: 1 << 20, Partial: 1 << 21, Streams: 17})
		for _, want := range all {
			got, err := rd.ReadMessage()
			require.NoError(t, err)
			require.Equal(t, want.Time, got.Time)
			require.True(t, bytes.Equal(want.Data, got.Data))
		}
	})
}

func BenchmarkReader(b *testing.B) {
	m := chunk.Message{ID: 6, Type: 9, Data: payload(20_000)}
	in := append(setSize(4096), chunk.Append(nil, m, 4096)...)
	one := in[len(setSize(4096)):]
	src := &loop{head: in, body: one}
	r := chunk.NewReader(src, limits)
	b.SetBytes(20_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.ReadMessage(); err != nil {
			b.Fatal(err)
		}
	}
}

type loop struct{ head, body []byte }

func (l *loop) Read(b []byte) (int, error) {
	if len(l.head) == 0 {
		l.head = l.body
	}
	n := copy(b, l.head)
	l.head = l.head[n:]
	return n, nil
}
