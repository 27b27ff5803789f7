package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"
)

var began = time.Now()

// now is the one clock of all stamps, in nanoseconds.
func now() int64 { return int64(time.Since(began)) }

// publisher replays a clip at its own pace until it is stopped.
type publisher struct {
	cancel context.CancelFunc
	done   chan error
}

// startPublisher returns once the server has accepted the stream.
func startPublisher(ctx context.Context, addr, app, name string, c *clip) (*publisher, error) {
	conn, err := dial(ctx, addr, app)
	if err != nil {
		return nil, err
	}
	if err := conn.publish(name); err != nil {
		conn.Close()
		return nil, fmt.Errorf("publish %s: %w", name, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &publisher{cancel: cancel, done: make(chan error, 1)}
	read := make(chan struct{})
	go func() { // acknowledgements
		defer close(read)
		_, _ = io.Copy(io.Discard, conn)
	}()
	go func() {
		// A server that does not read must not hold the program for ever.
		unblock := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })
		defer unblock()
		err := replay(ctx, conn, c)
		if ctx.Err() == nil {
			err = fmt.Errorf("publisher: %w", err)
		} else {
			err = nil
		}
		conn.Close()
		<-read
		p.done <- err
	}()
	return p, nil
}

// stop ends the publisher and returns why it had ended if it already had.
func (p *publisher) stop() error {
	p.cancel()
	return <-p.done
}

func replay(ctx context.Context, w net.Conn, c *clip) error {
	for _, t := range c.setup {
		if _, err := w.Write(t.wire); err != nil {
			return err
		}
	}
	start := time.Now()
	var scratch []byte
	for round := uint32(0); ; round++ {
		for _, t := range c.media {
			ms := t.ms + round*c.length
			if err := sleepUntil(ctx, start.Add(time.Duration(ms)*time.Millisecond)); err != nil {
				return err
			}
			scratch = append(scratch[:0], t.wire...)
			setTime(scratch, ms)
			putStamp(scratch[t.stampAt:], now())
			if _, err := w.Write(scratch); err != nil {
				return err
			}
		}
	}
}

func sleepUntil(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
