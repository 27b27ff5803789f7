package m4s

import (
	"context"
	"errors"
	"io"

	"github.com/sluice-live/sluice"
)

// numbered is a Source that numbers its packets and gathers them, as a
// sluice.Subscriber does.
type numbered interface {
	Next() uint64
	Buffered() int
}

// canceled is a ctx for reads that must not wait.
var canceled = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// Consume writes src until its end, with heartbeats while it is silent, and
// ends the stream with what src ends with. Packets that cannot be sent are left
// out. It makes an Encoder a Sink. A write that blocks is not ended by ctx:
// close what is written to.
func (e *Encoder) Consume(ctx context.Context, src sluice.Source) error {
	if err := e.Tracks(src.Tracks()); err != nil && !unsendable(err) {
		return err
	}
	if err := e.Flush(); err != nil {
		return err
	}
	n, _ := src.(numbered)
	err := e.copy(ctx, src, n)
	var broken *writeError
	if errors.As(err, &broken) {
		return broken.err
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return errors.Join(err, e.end(endRetry, "sender stops"))
	}
	if werr := e.End(err); werr != nil && err == io.EOF {
		return werr
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// writeError is an error of the connection, not of the source.
type writeError struct{ err error }

func (w *writeError) Error() string { return w.err.Error() }

func unsendable(err error) bool { return errors.Is(err, ErrPacket) || errors.Is(err, ErrTrack) }

// copy returns src's error, or a writeError.
func (e *Encoder) copy(ctx context.Context, src sluice.Source, n numbered) error {
	for {
		if err := e.turn(ctx, src, n); err != nil {
			return err
		}
	}
}

// turn writes what comes within the time of a heartbeat. One ctx for all of it
// costs less than one for each packet.
func (e *Encoder) turn(ctx context.Context, src sluice.Source, n numbered) error {
	turn, cancel := context.WithTimeout(ctx, e.conf.Heartbeat)
	defer cancel()
	for {
		p, err := src.ReadPacket(turn)
		switch {
		case err == nil:
			if err := e.gather(p, src, n); err != nil {
				return err
			}
			if turn.Err() != nil {
				return nil
			}
		case ctx.Err() == nil && turn.Err() != nil && errors.Is(err, turn.Err()):
			if err := e.Beat(); err != nil {
				return &writeError{err}
			}
			return nil
		default:
			return err
		}
	}
}

// gather writes a packet and those that can be had without waiting.
func (e *Encoder) gather(p sluice.Packet, src sluice.Source, n numbered) error {
	for {
		next := e.next + 1
		if n != nil {
			next = n.Next()
		}
		if err := e.Append(p, next); err != nil && !unsendable(err) {
			return &writeError{err}
		}
		if n == nil || n.Buffered() == 0 {
			break
		}
		var err error
		if p, err = src.ReadPacket(canceled); err != nil {
			break // it comes again
		}
	}
	if err := e.Flush(); err != nil {
		return &writeError{err}
	}
	return nil
}

var _ sluice.Sink = (*Encoder)(nil)
