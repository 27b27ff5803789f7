package m4s

import (
	"context"
	"io"
	"sync"

	"github.com/sluice-live/sluice"
)

// pipeDepth is how many decoded packets wait for their reader.
const pipeDepth = 64

// Source is the packets of an m4s stream that comes through a pipe or a
// socket.
type Source struct {
	sluice.Source // the reading end of a pipe, which the decoding goroutine fills
	r             io.ReadCloser
	w             *sluice.PipeWriter
	ctx           context.Context
	cancel        context.CancelFunc
	begin, end    sync.Once
	done          sync.WaitGroup
	limits        Limits
	meter         meter
	err           error
}

// NewSource returns a Source of what comes from r, which Close closes; that
// must make a Read under way return. A goroutine decodes from the first
// ReadPacket on and is at most 64 packets ahead of the reader; Close joins it.
//
// Packets out of order on their track are dropped and counted, and the next
// one is marked Discont.
func NewSource(r io.ReadCloser, l Limits) *Source {
	s := &Source{r: r, limits: l}
	s.w, s.Source = sluice.Pipe(pipeDepth)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// ReadPacket returns the next packet; see Decoder.Decode for errors.
func (s *Source) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	s.begin.Do(func() { s.done.Go(s.decode) })
	return s.Source.ReadPacket(ctx)
}

func (s *Source) decode() {
	d := NewDecoder(s.r, s.limits)
	var o order
	err := s.meter.copy(s.ctx, s.w, d, &o)
	if err == io.EOF {
		err = nil
	}
	s.w.Close(err)
}

// Close ends the Source and closes what it reads from.
func (s *Source) Close() error {
	s.end.Do(func() {
		s.cancel()
		s.Source.Close()
		s.err = s.r.Close()
		s.begin.Do(func() {}) // nothing begins any more
		s.done.Wait()
	})
	return s.err
}

// Stats returns the Source's counters.
func (s *Source) Stats() Stats { return s.meter.stats() }

var _ sluice.Source = (*Source)(nil)
