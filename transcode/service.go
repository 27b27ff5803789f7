package transcode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/m4s"
)

// Service is a transcoding server: the hooks of an m4s.Handler. What is pushed
// to a name can be pulled from it as what a Transform made of it, without the
// tracks that went through untouched: their pusher has them.
//
//	s := &transcode.Service{Transform: func(name string) sluice.Transform {
//		return transcode.Isolated{Ladder: transcode.Ladder{Name: name}}
//	}}
//	http.Handle("/m4s/{stream}", &m4s.Handler{Publish: s.Publish, Play: s.Play, Authorize: …})
type Service struct {
	// Transform returns what is run on the stream of a name. Needed.
	Transform func(name string) sluice.Transform
	// Log takes what happens; nil discards it.
	Log *slog.Logger

	mu      sync.Mutex
	streams map[string]*sluice.Stream
}

// Bounds of a Service.
const (
	serviceWindow = 30 * time.Second // of renditions, for pulls that come back
	pullerWait    = 10 * time.Second // for the first of them, who is to miss nothing
)

// Publish runs a pushed stream; it is an m4s.Handler's hook.
func (s *Service) Publish(ctx context.Context, name string, src sluice.Source) (err error) {
	log := withLog(s.Log).With("stream", name)
	stream := &sluice.Stream{Window: serviceWindow}
	s.put(name, stream)
	err = errPanic
	defer func() { s.end(name, stream, err) }()
	in := &noted{Source: src, maker: make(map[uint32]uint32)}
	out, err := s.Transform(name).Transform(ctx, in)
	if err != nil {
		return err
	}
	defer out.Close()
	if err = awaitReader(ctx, stream); err == nil {
		log.Info("transcoding begins")
		err = stream.Consume(ctx, stripped{out, in})
		log.Info("transcoding ended", "error", err)
	}
	return err
}

// errPanic is what a stream ends with whose Transform does.
var errPanic = errors.New("transcode: the server failed")

// end ends a stream for those who pull it.
func (s *Service) end(name string, stream *sluice.Stream, err error) {
	stream.End(err)
	if err != nil {
		s.remove(name, stream)
		return
	}
	time.AfterFunc(serviceWindow, func() { s.remove(name, stream) }) // a pull that was cut comes for the rest
}

// put lets a stream be found; a Handler has one publisher of a name at a time.
func (s *Service) put(name string, stream *sluice.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams == nil {
		s.streams = make(map[string]*sluice.Stream)
	}
	s.streams[name] = stream
}

func (s *Service) remove(name string, stream *sluice.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams[name] == stream {
		delete(s.streams, name)
	}
}

// Play finds the renditions of a pushed stream; it is an m4s.Handler's hook.
func (s *Service) Play(_ context.Context, name string) (*sluice.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stream := s.streams[name]; stream != nil {
		return stream, nil
	}
	return nil, fmt.Errorf("transcode: stream %q is not pushed here: %w", name, m4s.ErrNotFound)
}

// awaitReader waits until somebody reads a stream, for a while.
func awaitReader(ctx context.Context, stream *sluice.Stream) error {
	ctx, cancel := context.WithTimeoutCause(ctx, pullerWait, errNobody)
	defer cancel()
	for stream.Stats().Subscribers == 0 {
		if err := sleep(ctx, 5*time.Millisecond); err != nil && !errors.Is(context.Cause(ctx), errNobody) {
			return err
		} else if err != nil {
			return nil // it may come yet, and begin with the newest segment
		}
	}
	return nil
}

var errNobody = errors.New("transcode: nobody pulls")

// noted is a source whose tracks are known to others.
type noted struct {
	sluice.Source
	mu    sync.Mutex
	maker map[uint32]uint32 // by track
}

// ReadPacket implements sluice.Source.
func (n *noted) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	p, err := n.Source.ReadPacket(ctx)
	if err == nil && p.Track != nil {
		n.mu.Lock()
		n.maker[p.Track.ID] = p.Track.Maker
		n.mu.Unlock()
	}
	return p, err
}

func (n *noted) has(t *sluice.Track) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	maker, ok := n.maker[t.ID]
	return ok && maker == t.Maker
}

// Unwrap lets requests for key frames through.
func (n *noted) Unwrap() sluice.Source { return n.Source }

// stripped leaves out the tracks that went through a Transform untouched.
type stripped struct {
	sluice.Source
	src *noted
}

// ReadPacket implements sluice.Source.
func (s stripped) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	for {
		p, err := s.Source.ReadPacket(ctx)
		if err != nil || !s.src.has(p.Track) {
			return p, err
		}
	}
}

// Unwrap lets requests for key frames through.
func (s stripped) Unwrap() sluice.Source { return s.Source }
