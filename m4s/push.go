package m4s

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
)

// Push is a Sink that sends what it consumes to another server, which it
// connects to again whenever the connection is cut. It keeps the packets that
// the server has not confirmed and goes on with them; when they fill its window
// it reads no further, and what happens to a source that cannot wait is the
// business of its Subscription. Set the fields before Consume; URL is needed.
// Consume may be called again, also at the same time, each for a stream of its
// own.
type Push struct {
	// URL is where to: http(s)://host/m4s/NAME.
	URL string
	// Window bounds the bytes that are kept for the server; default 16 MiB.
	Window int
	// WindowTime bounds them in time; default 30 s, at most one minute.
	WindowTime time.Duration
	// Client says how the server is reached.
	Client Client

	meter meter
}

// Stats returns the push's counters.
func (p *Push) Stats() Stats { return p.meter.stats() }

func (p *Push) measured() *meter { return &p.meter }

// pushRun is one Consume.
type pushRun struct {
	p      *Push
	c      Client
	id     uint64
	window *sluice.Stream
	keep   *sluice.Subscriber // stands at the first packet not confirmed, so that it stays
}

// Consume sends src until its end has been confirmed, an error that another
// try does not mend, or the end of ctx. Errors match ErrDenied, ErrRemote (the
// server's end of the stream failed) and what src fails with.
func (p *Push) Consume(ctx context.Context, src sluice.Source) error {
	run := &pushRun{p: p, c: p.Client.withDefaults(), window: &sluice.Stream{Window: p.WindowTime, MaxBytes: p.Window}}
	setDefault(&run.window.Window, 30*time.Second)
	setDefault(&run.window.MaxBytes, 16<<20)
	run.id = max(rand.Uint64(), 1)
	run.keep = run.window.Subscribe(sluice.Subscription{Slow: sluice.Block, Resume: true})
	defer func() { run.keep.Close() }()
	defer run.c.close()

	own, cancel := context.WithCancel(ctx)
	var reader sync.WaitGroup
	failed := make(chan error, 1)
	reader.Go(func() { failed <- run.window.Consume(own, src) })
	err := run.send(own)
	cancel()
	reader.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if read := <-failed; read != nil && (err == nil || !errors.Is(read, context.Canceled)) {
		return read
	}
	return err
}

// send connects until the stream has been taken to its end.
func (r *pushRun) send(ctx context.Context) error {
	tries := r.c.tries()
	for {
		err := r.connection(ctx, tries)
		r.p.meter.set(func(st *Stats) { st.Connected = false })
		if err == nil || ctx.Err() != nil || errors.Is(err, ErrNotFound) && r.p.Stats().Connects == 0 {
			return err
		}
		r.c.Log.Warn("m4s push lost its connection", "url", redact(r.p.URL), "next", r.keep.Next(), "error", err)
		if err := tries.again(ctx, err); err != nil {
			return err
		}
	}
}

// connection sends over one connection until it ends; nil means that the
// server has all.
func (r *pushRun) connection(ctx context.Context, tries *tries) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	header := http.Header{}
	header.Set("Content-Type", contentType)
	// Servers that refuse or redirect would read from the body before they say
	// so; nothing is in it before the answer.
	header.Set("Expect", "100-continue")
	Position{r.id, r.keep.Next()}.set(header)
	late := time.AfterFunc(r.c.Timeout, func() { cancel(errSilent) })
	defer late.Stop()
	var body *pushBody
	defer func() { body.close() }()
	resp, err := r.c.do(ctx, request{method: http.MethodPost, url: r.p.URL, header: header, body: func() io.ReadCloser {
		body.close() // that of a server which redirects
		body = r.body(ctx)
		return body.PipeReader
	}})
	if err != nil {
		return r.why(ctx, err)
	}
	late.Stop()
	defer resp.Body.Close()
	lines := bufio.NewScanner(watch(resp.Body, r.c.Timeout, func() { cancel(errSilent) }))
	lines.Buffer(make([]byte, 0, 1024), 8*maxText)
	for first := true; lines.Scan(); first = false {
		done, err := r.line(lines.Text())
		if done || err != nil {
			return err
		}
		if first {
			r.p.meter.set(func(st *Stats) { st.Connected = true; st.Connects++ })
			r.c.Log.Info("m4s push connected", "url", redact(r.p.URL), "next", r.keep.Next())
			body.start <- r.window.Subscribe(sluice.Subscription{Slow: sluice.Fail, Resume: true, At: r.keep.Next()})
		}
		tries.worked()
	}
	if err := lines.Err(); err != nil {
		return r.why(ctx, fmt.Errorf("m4s: push: %w", err))
	}
	return fmt.Errorf("m4s: push: server ended its answer: %w", io.ErrUnexpectedEOF)
}

// why returns what ended a connection that ended with err.
func (r *pushRun) why(ctx context.Context, err error) error {
	if context.Cause(ctx) == errSilent {
		return errSilent
	}
	return err
}

// waitBeat is how often a request is heard that waits for its answer. An
// http.Transport notices that a connection is broken only when it writes.
const waitBeat = 250 * time.Millisecond

// pushBody is the body of one request, which a goroutine writes: heartbeats
// while it is not known where to start, then packets.
type pushBody struct {
	*io.PipeReader
	w      *io.PipeWriter
	start  chan *sluice.Subscriber
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func (r *pushRun) body(ctx context.Context) *pushBody {
	b := &pushBody{start: make(chan *sluice.Subscriber, 1)}
	b.PipeReader, b.w = io.Pipe()
	ctx, b.cancel = context.WithCancel(ctx)
	context.AfterFunc(ctx, func() { b.w.CloseWithError(io.ErrClosedPipe) })
	b.done.Go(func() { r.write(ctx, b) })
	return b
}

// close ends the body, if there is one, and joins its goroutine.
func (b *pushBody) close() {
	if b == nil {
		return
	}
	b.cancel()
	b.w.CloseWithError(io.ErrClosedPipe)
	b.done.Wait()
	select {
	case sub := <-b.start:
		sub.Close()
	default:
	}
}

func (r *pushRun) write(ctx context.Context, b *pushBody) {
	e := NewEncoder(b.w, EncoderConfig{Stream: r.id, Limits: r.c.Limits})
	beat := time.NewTicker(waitBeat)
	defer beat.Stop()
	for {
		select {
		case sub := <-b.start:
			beat.Stop()
			r.packets(ctx, e, sub)
			if e.ended {
				b.w.CloseWithError(nil) // a proper end
			}
			return
		case <-beat.C:
			if e.Beat() != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (r *pushRun) packets(ctx context.Context, e *Encoder, sub *sluice.Subscriber) {
	defer sub.Close()
	err := e.Tracks(r.window.Tracks())
	if err == nil || unsendable(err) {
		err = e.Consume(ctx, counted{sub, &r.p.meter})
	}
	if err != nil && ctx.Err() == nil {
		r.c.Log.Info("m4s push sends no more on this connection", "error", err)
	}
	r.p.meter.set(func(st *Stats) { st.Refused += e.refused })
}

// counted counts what is sent.
type counted struct {
	*sluice.Subscriber
	m *meter
}

func (c counted) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	p, err := c.Subscriber.ReadPacket(ctx)
	if err == nil {
		c.m.set(func(st *Stats) { st.Packets++; st.Bytes += uint64(len(p.Data)) })
	}
	return p, err
}

// line takes what the server says.
func (r *pushRun) line(s string) (done bool, err error) {
	word, rest, _ := strings.Cut(s, " ")
	switch word {
	case lineNext:
		next, err := strconv.ParseUint(rest, 10, 64)
		if err != nil {
			return false, fmt.Errorf("m4s: push: server says %.100q: %w", s, ErrFormat)
		}
		r.confirm(next)
	case lineKey:
		if track, err := strconv.ParseUint(rest, 10, 32); err == nil {
			r.window.RequestKey(uint32(track))
		}
	case lineDone:
		return true, nil
	case lineFail:
		return false, &fatalError{fmt.Errorf("m4s: push: %w: %.*s", ErrRemote, maxText, rest)}
	case lineRetry:
		return false, fmt.Errorf("m4s: push: %w: %.*s", errRetry, maxText, rest)
	}
	return false, nil // a word of a later version
}

// confirm lets packets go that the server has.
func (r *pushRun) confirm(next uint64) {
	if next <= r.keep.Next() || next > r.window.Stats().Packets {
		return
	}
	keep := r.window.Subscribe(sluice.Subscription{Slow: sluice.Block, Resume: true, At: next})
	r.keep.Close()
	r.keep = keep
	r.p.meter.set(func(st *Stats) { st.Acked = next })
}

var (
	_ sluice.Sink = (*Push)(nil)
	_ Link        = (*Push)(nil)
)
