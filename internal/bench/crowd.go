package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A crowd is many players that discard what they receive. It is a process of
// its own, of the lowest priority: this program, started again as
//
//	bench crowd ADDR APP NAME PLAYERS
//
// For each line on its standard input it answers with a line: the bytes
// received so far.
type crowd struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startCrowd(ctx context.Context, addr, app, name string, players int) (*crowd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "crowd", addr, app, name, strconv.Itoa(players))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &crowd{cmd, in, bufio.NewReader(out)}
	if _, err := c.bytes(); err != nil { // answered when all have joined
		c.stop()
		return nil, err
	}
	return c, nil
}

func (c *crowd) bytes() (int64, error) {
	if _, err := io.WriteString(c.in, "\n"); err != nil {
		return 0, fmt.Errorf("the players are gone: %w", err)
	}
	line, err := c.out.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("the players are gone: %w", err)
	}
	return strconv.ParseInt(strings.TrimSpace(line), 10, 64)
}

func (c *crowd) stop() {
	c.in.Close()
	_ = c.cmd.Wait() // what it had to say is on standard error
}

// crowdMain is the crowd's process.
func crowdMain(ctx context.Context, addr, app, name, players string) error {
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19); err != nil {
		return err
	}
	n, err := strconv.Atoi(players)
	if err != nil {
		return err
	}
	fds, err := joinAll(ctx, addr, app, name, n)
	if err != nil {
		return err
	}
	lines := make(chan struct{})
	go func() { // ends with standard input, and with it the process
		defer close(lines)
		for r := bufio.NewScanner(os.Stdin); r.Scan(); {
			lines <- struct{}{}
		}
	}()
	return discard(fds, lines)
}

func joinAll(ctx context.Context, addr, app, name string, n int) (fds []int, err error) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		limit = make(chan struct{}, 8)
		errs  []error
	)
	for range n {
		limit <- struct{}{}
		wg.Go(func() {
			defer func() { <-limit }()
			fd, err := joinRaw(ctx, addr, app, name)
			mu.Lock()
			defer mu.Unlock()
			fds, errs = append(fds, fd), append(errs, err)
		})
	}
	wg.Wait()
	return fds, errors.Join(errs...)
}

// joinRaw leaves the connection to the caller as a file descriptor: Go's poller
// would wake up for every packet. Without an app it is no RTMP connection.
func joinRaw(ctx context.Context, addr, app, name string) (int, error) {
	if app == "" {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		return duplicate(c.(*net.TCPConn))
	}
	c, err := dial(ctx, addr, app)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.play(name); err != nil {
		return 0, err
	}
	return duplicate(c.TCPConn)
}

// duplicate returns a file descriptor for a connection, beyond the reach of
// Go's poller.
func duplicate(c *net.TCPConn) (fd int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var dupErr error
	if err := raw.Control(func(p uintptr) { fd, dupErr = syscall.Dup(int(p)) }); err != nil {
		return 0, err
	}
	return fd, dupErr
}

// discard throws away what arrives, in the kernel, without copying it here.
func discard(fds []int, lines <-chan struct{}) error {
	var total int64
	buf := make([]byte, 1<<20)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, fd := range fds {
			n, _, err := syscall.Recvfrom(fd, buf, syscall.MSG_TRUNC|syscall.MSG_DONTWAIT)
			switch {
			case err == syscall.EAGAIN || err == syscall.EINTR:
			case err != nil:
				return fmt.Errorf("player: %w", err)
			case n == 0:
				return errors.New("the server closed a player's connection")
			}
			total += int64(max(n, 0))
		}
		select {
		case <-tick.C:
		case _, ok := <-lines:
			if !ok {
				return nil
			}
			fmt.Println(total)
		}
	}
}
