package mpegts

import (
	"context"
	"io"
	"sync"
)

// Two buffers of a pump are on their way at a time. An SRT message has 1,316 bytes.
const pumpSize = 32 << 10

// pump reads in a goroutine of its own, so that whoever waits for bytes can
// stop waiting.
type pump struct {
	full   chan chunk
	free   chan []byte
	closed chan struct{}
	once   sync.Once
	close  func() error
	err    error // of close
	wg     sync.WaitGroup
}

type chunk struct {
	b   []byte
	err error
}

// startPump reads ahead of its user by two buffers at most. If r is an
// io.Closer, closing the pump closes it and waits for the last Read.
func startPump(r io.Reader) *pump {
	p := &pump{full: make(chan chunk, 2), free: make(chan []byte, 2), closed: make(chan struct{})}
	for range cap(p.free) {
		p.free <- make([]byte, pumpSize)
	}
	if c, ok := r.(io.Closer); ok {
		p.close = c.Close
	}
	p.wg.Go(func() { p.run(r) })
	return p
}

func (p *pump) run(r io.Reader) {
	empty := 0
	for {
		var b []byte
		select {
		case b = <-p.free:
		case <-p.closed:
			return
		}
		n, err := r.Read(b[:pumpSize])
		if empty++; n > 0 {
			empty = 0
		}
		if empty > 100 && err == nil {
			err = io.ErrNoProgress
		}
		p.full <- chunk{b[:n], err} // there are as many places as buffers
		if err != nil {
			return
		}
	}
}

// next waits for bytes. The caller gives them back with recycle.
func (p *pump) next(ctx context.Context) (chunk, error) {
	select {
	case c := <-p.full:
		return c, nil
	case <-p.closed:
		return chunk{}, io.ErrClosedPipe
	case <-ctx.Done():
		return chunk{}, ctx.Err()
	}
}

func (p *pump) recycle(c chunk) { p.free <- c.b }

// stop ends the pump. Only the first call closes.
func (p *pump) stop() error {
	p.once.Do(func() {
		close(p.closed)
		if p.close != nil {
			p.err = p.close()
			p.wg.Wait()
		}
	})
	return p.err
}

func (p *pump) isStopped() bool {
	select {
	case <-p.closed:
		return true
	default:
		return false
	}
}
