package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// bareWrites names the loop beside which the delay of a fan-out is measured.
const bareWrites = "bare writes"

// floor measures what a fan-out of the clip cannot be faster than: as many
// threads as there are processors, which know the sockets and the bytes and do
// nothing but write them, one player after the other. It returns the
// milliseconds from a packet's turn to the end of each player's write.
func floor(ctx context.Context, c *clip, players int) (delays []float64, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	joined := make(chan error, 1)
	var crowd *crowd
	go func() {
		var err error
		crowd, err = startCrowd(ctx, l.Addr().String(), "", "", players)
		joined <- err
	}()
	threads := make([]*floorThread, runtime.NumCPU())
	for i := range threads {
		threads[i] = &floorThread{}
	}
	for i := range players {
		fd, err := acceptRaw(l)
		if err != nil {
			return nil, errors.Join(err, <-joined)
		}
		defer func() { _ = syscall.Close(fd) }()
		t := threads[i%len(threads)]
		t.fds = append(t.fds, fd)
	}
	if err := <-joined; err != nil {
		return nil, err
	}
	defer crowd.stop()
	start := time.Now()
	for _, m := range c.media {
		if err := sleepUntil(ctx, start.Add(time.Duration(m.ms)*time.Millisecond)); err != nil {
			return nil, err
		}
		from := now()
		var wg sync.WaitGroup
		for _, t := range threads {
			wg.Go(func() { t.write(m.wire, from) })
		}
		wg.Wait()
	}
	for _, t := range threads {
		delays, err = append(delays, t.delays...), errors.Join(err, t.err)
	}
	return delays, err
}

// floorThread writes to its share of the players.
type floorThread struct {
	fds    []int
	first  int
	delays []float64
	err    error
}

func (t *floorThread) write(b []byte, from int64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	t.first++
	for i := range t.fds {
		n, err := syscall.Write(t.fds[(i+t.first)%len(t.fds)], b)
		if n != len(b) {
			t.err = fmt.Errorf("a player took %d of %d bytes: %w", n, len(b), err)
		}
		t.delays = append(t.delays, float64(now()-from)/1e6)
	}
}

// acceptRaw accepts a connection out of reach of Go's poller.
func acceptRaw(l net.Listener) (fd int, err error) {
	c, err := l.Accept()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return duplicate(c.(*net.TCPConn))
}
