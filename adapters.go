package sluice

import (
	"context"
	"io"
	"sync"
)

// SinkFunc makes a function a Sink.
type SinkFunc func(ctx context.Context, src Source) error

// Consume calls f.
func (f SinkFunc) Consume(ctx context.Context, src Source) error { return f(ctx, src) }

// TransformFunc makes a function a Transform.
type TransformFunc func(ctx context.Context, src Source) (Source, error)

// Transform calls f.
func (f TransformFunc) Transform(ctx context.Context, src Source) (Source, error) {
	return f(ctx, src)
}

// Pipe returns a Source that yields what is written to the PipeWriter, for
// media that comes from callbacks. Up to depth packets wait in between; a full
// pipe makes Write wait.
func Pipe(depth int) (*PipeWriter, Source) {
	p := &pipe{
		packets: make(chan Packet, max(depth, 0)),
		ended:   make(chan struct{}),
		closed:  make(chan struct{}),
	}
	return (*PipeWriter)(p), (*pipeReader)(p)
}

// PipeWriter is the writing end of a Pipe, for one goroutine at a time.
type PipeWriter pipe

type pipeReader pipe

type pipe struct {
	packets chan Packet
	tracks  []*Track // of the reader

	ended   chan struct{} // by the writer
	endOnce sync.Once
	err     error // set before ended is closed

	closed    chan struct{} // by the reader
	closeOnce sync.Once
}

// Write hands over a packet. It returns io.ErrClosedPipe once either end is
// closed.
func (w *PipeWriter) Write(ctx context.Context, p Packet) error {
	select {
	case <-w.closed:
		return io.ErrClosedPipe
	case <-w.ended:
		return io.ErrClosedPipe
	default:
	}
	select {
	case w.packets <- p:
		return nil
	case <-w.closed:
		return io.ErrClosedPipe
	case <-w.ended:
		return io.ErrClosedPipe
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the Source with err behind what was written; nil is io.EOF. Only
// the first call counts. It may be called while another goroutine is in Write,
// which then returns.
func (w *PipeWriter) Close(err error) {
	w.endOnce.Do(func() {
		if err == nil {
			err = io.EOF
		}
		w.err = err
		close(w.ended)
	})
}

func (r *pipeReader) Tracks() []*Track { return r.tracks }

func (r *pipeReader) ReadPacket(ctx context.Context) (Packet, error) {
	select {
	case <-r.closed:
		return Packet{}, io.ErrClosedPipe
	default:
	}
	select {
	case p := <-r.packets:
		return r.note(p), nil
	default:
	}
	select {
	case p := <-r.packets:
		return r.note(p), nil
	case <-r.closed:
		return Packet{}, io.ErrClosedPipe
	case <-ctx.Done():
		return Packet{}, ctx.Err()
	case <-r.ended:
	}
	select {
	case p := <-r.packets: // written before the end
		return r.note(p), nil
	default:
		return Packet{}, r.err
	}
}

func (r *pipeReader) note(p Packet) Packet {
	r.tracks = withTrack(r.tracks, p.Track)
	return p
}

func (r *pipeReader) Close() error {
	r.closeOnce.Do(func() { close(r.closed) })
	return nil
}
