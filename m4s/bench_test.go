package m4s

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

// frame is a packet of n bytes.
func frame(t *sluice.Track, i, n int) sluice.Packet {
	dts := sluicetest.FirstSegment*int64(t.Timescale) + int64(i)*t.FrameDur
	return sluice.Packet{Track: t, DTS: dts, PTS: dts, Dur: t.FrameDur, Segment: uint64(dts / int64(t.Timescale)), Key: true, Data: make([]byte, n)}
}

func BenchmarkEncode(b *testing.B) {
	p := frame(sluicetest.Video(1), 0, 10_000)
	e := NewEncoder(io.Discard, EncoderConfig{})
	e.vector = true // net.Buffers to a writer that takes them one by one
	b.SetBytes(int64(len(p.Data)))
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Encode(p); err != nil {
			b.Fatal(err)
		}
	}
}

// repeat yields a stream's beginning once and the rest for ever.
type repeat struct {
	head, rest []byte
	at         int
}

func (r *repeat) Read(p []byte) (int, error) {
	if len(r.head) > 0 {
		n := copy(p, r.head)
		r.head = r.head[n:]
		return n, nil
	}
	n := copy(p, r.rest[r.at:])
	r.at = (r.at + n) % len(r.rest)
	return n, nil
}

func BenchmarkDecode(b *testing.B) {
	p := frame(sluicetest.Video(1), 0, 10_000)
	one, two := encode(b, p), encode(b, p, p)
	chunk := len(two) - len(one)
	at := bytes.Index(one, []byte("moof")) - 4
	d := NewDecoder(&repeat{head: one[:at], rest: one[at : at+chunk]}, Limits{})
	b.SetBytes(int64(chunk))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(); err != nil {
			b.Fatal(err)
		}
	}
}

// cpu returns the time that the process has used.
func cpu() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkPull is one reader that takes a stream as fast as it comes, decoded;
// both ends are in the process, and Gbit/s/core counts the CPU of both.
func BenchmarkPull(b *testing.B) {
	for _, protocol := range []string{"http/1.1", "h2"} {
		b.Run(protocol, func(b *testing.B) {
			s := newSite()
			s.Slow = sluice.Block
			url, c := serve(b, protocol, &s.Handler)
			stream := s.stream("demo")
			p := frame(sluicetest.Video(1), 0, 20_000)
			require.NoError(b, stream.Write(context.Background(), p))
			src := &Pull{URL: url + "demo", Client: c, StartKey: true}
			defer src.Close()
			_, err := src.ReadPacket(context.Background())
			require.NoError(b, err)
			b.SetBytes(int64(len(p.Data)))
			b.ReportAllocs()
			began, used := time.Now(), cpu()
			b.ResetTimer()
			go func() {
				for i := range b.N + 10 {
					q := p
					q.DTS += int64(i)
					q.PTS = q.DTS
					if stream.Write(context.Background(), q) != nil {
						return
					}
				}
			}()
			for range b.N {
				if _, err := src.ReadPacket(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			bits := float64(b.N) * float64(len(p.Data)) * 8
			b.ReportMetric(bits/float64(time.Since(began).Nanoseconds()), "Gbit/s")
			b.ReportMetric(bits/float64((cpu()-used).Nanoseconds()), "Gbit/s/core")
			stream.End(nil)
		})
	}
}

// BenchmarkHop is the delay that a server and a Pull over loopback TCP add to
// the packets of a live stream of 30 frames and 47 audio frames a second.
func BenchmarkHop(b *testing.B) {
	for _, protocol := range []string{"http/1.1", "h2"} {
		b.Run(protocol, func(b *testing.B) {
			s := newSite()
			url, c := serve(b, protocol, &s.Handler)
			stream := s.stream("demo")
			v, a := sluicetest.Video(1), sluicetest.Audio(2)
			require.NoError(b, stream.Write(context.Background(), frame(v, 0, 100)))
			require.NoError(b, stream.Write(context.Background(), frame(a, 0, 100)))
			src := &Pull{URL: url + "demo", Client: c, StartKey: true}
			defer src.Close()
			_, err := src.ReadPacket(context.Background())
			require.NoError(b, err)
			go func() {
				for i := range b.N + 10 {
					time.Sleep(13 * time.Millisecond)
					p := frame(v, i+1, 10_000)
					if i%2 == 0 {
						p = frame(a, i+1, 300)
					}
					binary.BigEndian.PutUint64(p.Data, uint64(time.Now().UnixNano()))
					if stream.Write(context.Background(), p) != nil {
						return
					}
				}
			}()
			var delays []time.Duration
			b.ResetTimer()
			for range b.N {
				p, err := src.ReadPacket(context.Background())
				if err != nil {
					b.Fatal(err)
				}
				if sent := binary.BigEndian.Uint64(p.Data); sent != 0 {
					delays = append(delays, time.Since(time.Unix(0, int64(sent))))
				}
			}
			slices.Sort(delays)
			if n := len(delays); n > 0 {
				b.ReportMetric(delays[n/2].Seconds()*1000, "ms-median")
				b.ReportMetric(delays[n*99/100].Seconds()*1000, "ms-p99")
			}
			stream.End(nil)
		})
	}
}

// readersEnv makes the test binary a process of readers.
const readersEnv = "M4S_BENCH_READERS"

func init() {
	addr, count := os.Getenv(readersEnv), 0
	if addr == "" {
		return
	}
	fmt.Sscanf(addr, "%d@%s", &count, &addr)
	var wg sync.WaitGroup
	for range count {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		wg.Go(func() {
			fmt.Fprint(c, "GET /m4s/demo?start=key HTTP/1.1\r\nHost: bench\r\n\r\n")
			io.Copy(io.Discard, c)
		})
	}
	wg.Wait()
	os.Exit(0)
}

func readers(b *testing.B, n int, addr string) (stop func()) {
	exe, err := os.Executable()
	require.NoError(b, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d@%s", readersEnv, n, addr))
	cmd.Stderr = os.Stderr
	require.NoError(b, cmd.Start())
	return func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
}

// live calls write with packets of a live stream of 2.5 Mbit/s for a time.
func live(d time.Duration, write func(sluice.Packet)) {
	v, a := sluicetest.Video(1), sluicetest.Audio(2)
	began := time.Now()
	for i := 0; time.Since(began) < d; i++ {
		write(frame(v, i, 10_000))
		write(frame(a, 2*i, 300))
		time.Sleep(time.Until(began.Add(time.Duration(2*i+1) * 20 * time.Millisecond)))
		write(frame(a, 2*i+1, 300))
		time.Sleep(time.Until(began.Add(time.Duration(2*i+2) * 20 * time.Millisecond)))
	}
}

// BenchmarkReaders500 compares the CPU of a server whose stream 500 readers
// pull with that of one loop which writes the same bytes to 500 sockets. The
// readers are in a process of their own. M4S_BENCH_SECONDS is how long each
// takes; default 5.
func BenchmarkReaders500(b *testing.B) {
	const n = 500
	length := 5 * time.Second
	if s, err := strconv.Atoi(os.Getenv("M4S_BENCH_SECONDS")); err == nil {
		length = time.Duration(s) * time.Second
	}
	var pulled, raw float64
	for range b.N {
		pulled += pulledCost(b, n, length)
		raw += rawCost(b, n, length)
	}
	b.ReportMetric(pulled/float64(b.N)*100, "%cpu-pulled")
	b.ReportMetric(raw/float64(b.N)*100, "%cpu-raw")
	b.ReportMetric(pulled/raw, "x-raw")
}

func pulledCost(b *testing.B, n int, length time.Duration) float64 {
	s := newSite()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	server := &http.Server{Handler: &s.Handler}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	stream := s.stream("demo")
	require.NoError(b, stream.Write(context.Background(), frame(sluicetest.Video(1), 0, 100)))
	stop := readers(b, n, l.Addr().String())
	for s.stats.pulls.Load() < int64(n) {
		time.Sleep(10 * time.Millisecond)
	}
	began, used := time.Now(), cpu()
	live(length, func(p sluice.Packet) { require.NoError(b, stream.Write(context.Background(), p)) })
	cost := (cpu() - used).Seconds() / time.Since(began).Seconds()
	require.Zero(b, stream.Stats().Dropped)
	stream.End(nil)
	require.NoError(b, s.Shutdown(context.Background()))
	stop()
	server.Close()
	<-done
	return cost
}

func rawCost(b *testing.B, n int, length time.Duration) float64 {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer l.Close()
	stop := readers(b, n, l.Addr().String())
	defer stop()
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i], err = l.Accept()
		require.NoError(b, err)
		defer conns[i].Close()
	}
	time.Sleep(100 * time.Millisecond)
	var wire bytes.Buffer
	e := NewEncoder(&wire, EncoderConfig{})
	began, used := time.Now(), cpu()
	live(length, func(p sluice.Packet) {
		wire.Reset()
		require.NoError(b, e.Encode(p))
		for _, c := range conns {
			_, err := c.Write(wire.Bytes())
			require.NoError(b, err)
		}
	})
	return (cpu() - used).Seconds() / time.Since(began).Seconds()
}
