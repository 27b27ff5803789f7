package m4s

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
)

// What a server tells a pusher, one line each:
//
//	next 1234     the packets before that number have been taken
//	key 1         track 1 wants a key frame
//	done          the stream has been taken to its end
//	fail TEXT     it is refused for good
//	retry TEXT    connect again
const (
	lineNext  = "next"
	lineKey   = "key"
	lineDone  = "done"
	lineFail  = "fail"
	lineRetry = "retry"
)

const (
	ackEvery   = 50 * time.Millisecond // at most, while packets come
	ackPackets = 256                   // or after so many
)

// servePush answers POST.
func (h *Handler) servePush(w http.ResponseWriter, r *http.Request, name string) {
	if h.Publish == nil {
		http.Error(w, "m4s: streams cannot be pushed here", http.StatusMethodNotAllowed)
		return
	}
	defer h.stats.pushes.Add(-1)
	if h.stats.pushes.Add(1) > int64(h.MaxPushes) {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "m4s: too many pushes at a time", http.StatusServiceUnavailable)
		return
	}
	at, _ := position(r.Header)
	ctx, drop := context.WithCancelCause(r.Context())
	defer drop(nil)
	c := &pushConn{drop: drop, left: make(chan struct{}), news: make(chan struct{}, 1)}
	s, err := h.join(ctx, name, at.Stream, c)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	defer s.leave(c)
	h.stats.pushed.Add(1)
	p := &pushed{h: h, s: s, c: c, w: w, rc: http.NewResponseController(w), log: h.Log.With("stream", name, "remote", r.RemoteAddr)}
	p.expects = r.ProtoMajor == 1 && r.Header.Get("Expect") != ""
	p.serve(ctx, r.Body)
}

// pushed is one connection of a pusher. Two goroutines serve it: one reads the
// body, one writes the answer.
type pushed struct {
	h   *Handler
	s   *session
	c   *pushConn
	w   http.ResponseWriter
	rc  *http.ResponseController
	log *slog.Logger
	// expects says that the pusher waits for 100 Continue.
	expects bool
}

func (p *pushed) serve(ctx context.Context, body io.Reader) {
	_ = p.rc.EnableFullDuplex()           // HTTP/2 is, and says that it cannot
	_ = p.rc.SetReadDeadline(time.Time{}) // the server's is for requests that end
	p.w.Header().Set("Content-Type", controlType)
	p.w.Header().Set("Cache-Control", "no-store")
	if p.expects { // a client that reads 200 first sends no body
		p.w.WriteHeader(http.StatusContinue)
	}
	p.w.WriteHeader(http.StatusOK)
	next, _ := p.s.news(p.c)
	p.log.Info("m4s push begins", "next", next)
	if err := p.tell(fmt.Sprintf("%s %d\n", lineNext, next)); err != nil {
		return
	}
	ctx, cancel := context.WithCancelCause(ctx)
	// Whatever ends the connection ends a read under way.
	defer onEnd(ctx, func() { _ = p.rc.SetReadDeadline(time.Unix(1, 0)) })()
	defer cancel(nil)
	defer context.AfterFunc(p.h.ctx, func() { cancel(errRetry) })()

	var writer sync.WaitGroup
	read := make(chan error, 1)
	writer.Go(func() { cancel(p.answer(ctx, read)) })
	err := p.read(ctx, watch(body, p.h.Timeout, func() { cancel(errSilent) }))
	read <- err
	writer.Wait()
	p.log.Info("m4s push connection ended", "error", p.reason(ctx, err))
}

// onEnd calls f when ctx ends, or not at all once the function that it returns
// has returned.
func onEnd(ctx context.Context, f func()) (stop func()) {
	done := make(chan struct{})
	forget := context.AfterFunc(ctx, func() {
		defer close(done)
		f()
	})
	return func() {
		if !forget() {
			<-done
		}
	}
}

// reason says why the connection ended.
func (p *pushed) reason(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	cause := context.Cause(ctx)
	if cause == errSilent {
		p.h.stats.timeouts.Add(1)
	}
	if cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// read takes packets from the body until the stream's end, for which it
// returns nil, or an error of the connection.
func (p *pushed) read(ctx context.Context, body io.Reader) error {
	s := p.s
	d := NewDecoder(body, p.h.Limits)
	d.tracks = s.tracks
	defer func() { s.tracks = d.tracks }()
	before := s.order
	defer func() {
		p.h.stats.inDuplicates.Add(s.order.duplicates - before.duplicates)
		p.h.stats.inRefused.Add(s.order.refused - before.refused)
	}()
	for n := 1; ; n++ {
		pkt, err := d.Decode()
		if err != nil {
			return p.end(err)
		}
		last := s.order.next
		if s.order.admit(&pkt, d.at.Next) {
			if err := s.w.Write(ctx, pkt); err != nil {
				s.order.undo(&pkt, last)
				return err
			}
			p.h.stats.inPackets.Add(1)
			p.h.stats.inBytes.Add(uint64(len(pkt.Data)))
		}
		s.advance(max(s.order.next, d.at.Next))
		if n%ackPackets == 0 {
			p.wake()
		}
	}
}

func (p *pushed) wake() {
	select {
	case p.c.news <- struct{}{}:
	default:
	}
}

// end ends the session where the stream is over or not a stream at all. What
// cut the connection only leaves it for the next one.
func (p *pushed) end(err error) error {
	switch {
	case err == io.EOF:
		p.s.w.Close(nil)
		return nil
	case errors.Is(err, ErrFormat):
		p.h.stats.malformed.Add(1)
		p.s.w.Close(err)
	case errors.Is(err, ErrRemote):
		p.s.w.Close(err)
		return nil
	}
	return err
}

// answer writes to the pusher until the connection is over; it returns why.
func (p *pushed) answer(ctx context.Context, read <-chan error) error {
	tick := time.NewTicker(min(ackEvery, p.h.Heartbeat))
	defer tick.Stop()
	acked, said := uint64(0), time.Now()
	for {
		select {
		case <-p.s.done:
			return p.farewell()
		case err := <-read:
			if over, err := p.readEnded(ctx, err); over {
				return err
			}
			read = nil // what comes now is that Publish returns
		case <-p.c.news:
		case <-tick.C:
		}
		next, keys := p.s.news(p.c)
		var lines []byte
		for _, k := range keys {
			lines = fmt.Appendf(lines, "%s %d\n", lineKey, k)
		}
		if next != acked || time.Since(said) >= p.h.Heartbeat {
			lines = fmt.Appendf(lines, "%s %d\n", lineNext, next)
			acked = next
		}
		if lines == nil {
			continue
		}
		said = time.Now()
		if err := p.tell(string(lines)); err != nil {
			return err
		}
	}
}

// readEnded says whether the connection is over once nothing more is read from
// it, and tells the pusher.
func (p *pushed) readEnded(ctx context.Context, err error) (over bool, _ error) {
	switch {
	case err == nil, errors.Is(err, io.ErrClosedPipe):
		return false, nil // Publish may take its time for the rest
	case errors.Is(err, ErrFormat):
		return true, p.tell(fmt.Sprintf("%s %.*q\n", lineFail, maxText, err.Error()))
	case context.Cause(ctx) == errRetry:
		return true, p.tell(shuttingDown)
	}
	return true, err
}

const shuttingDown = lineRetry + " server is shutting down\n"

// farewell tells the pusher what Publish returned.
func (p *pushed) farewell() error {
	if p.h.ctx.Err() != nil {
		return p.tell(shuttingDown)
	}
	if err := p.s.err; err != nil && !errors.Is(err, ErrRemote) {
		return p.tell(fmt.Sprintf("%s %.*q\n", lineFail, maxText, err.Error()))
	}
	return p.tell(lineDone + "\n")
}

func (p *pushed) tell(lines string) error {
	_ = p.rc.SetWriteDeadline(time.Now().Add(p.h.Timeout)) // a ResponseWriter without deadlines is a test's
	if _, err := io.WriteString(p.w, lines); err != nil {
		return fmt.Errorf("m4s: answer pusher: %w", err)
	}
	return p.rc.Flush()
}

// watched reads from a peer that must be heard within a time, or else late is
// called. A read deadline would do on HTTP/1.1; on HTTP/2 one that passes
// between two reads ends the stream.
type watched struct {
	r       io.Reader
	timeout time.Duration
	timer   *time.Timer
}

func watch(r io.Reader, timeout time.Duration, late func()) *watched {
	t := time.AfterFunc(timeout, late)
	t.Stop()
	return &watched{r, timeout, t}
}

func (w *watched) Read(b []byte) (int, error) {
	w.timer.Reset(w.timeout)
	defer w.timer.Stop()
	return w.r.Read(b)
}

// errSilent is why a connection is dropped whose peer is not heard.
var errSilent = errors.New("m4s: peer said nothing for too long")

var _ sluice.Source = pushedSource{}
