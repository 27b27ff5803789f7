package m4s

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
)

// Pull is a Source of a stream of another server, which it connects to with
// the first ReadPacket, and again whenever the connection is cut: it goes on
// behind the last packet, and what comes twice is dropped. Set the fields
// before that. URL is needed.
type Pull struct {
	// URL is that of the stream: http(s)://host/m4s/NAME.
	URL string
	// From and To ask for a range of the archive, at the pace of the reader;
	// zero: the live stream, until its end.
	From, To time.Time
	// StartKey begins at the newest key frame, for players; else it is at the
	// start of a segment, for packagers.
	StartKey bool
	// Client says how the server is reached.
	Client Client

	once   sync.Once
	begin  sync.Once
	end    sync.Once
	src    sluice.Source
	w      *sluice.PipeWriter
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup
	keys   chan uint32
	meter  meter
	state  pullState
}

// pullState is what Pull knows from one connection to the next.
type pullState struct {
	client Client
	at     Position
	order  order
	tracks []*sluice.Track
}

func (p *Pull) init() {
	p.once.Do(func() {
		p.w, p.src = sluice.Pipe(pipeDepth)
		p.ctx, p.cancel = context.WithCancel(context.Background())
		p.keys = make(chan uint32, 8)
		p.state.client = p.Client.withDefaults()
	})
}

// Tracks implements sluice.Source.
func (p *Pull) Tracks() []*sluice.Track {
	p.init()
	return p.src.Tracks()
}

// ReadPacket returns the next packet. Errors match ErrDenied, ErrNotFound,
// ErrRemote and ErrFormat.
func (p *Pull) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	p.init()
	p.begin.Do(func() {
		p.done.Go(p.run)
		p.done.Go(p.askKeys)
	})
	return p.src.ReadPacket(ctx)
}

// Close ends the pull and joins its goroutines.
func (p *Pull) Close() error {
	p.init()
	p.end.Do(func() {
		p.cancel()
		p.src.Close()
		p.begin.Do(func() {}) // nothing begins any more
		p.done.Wait()
		p.state.client.close()
	})
	return nil
}

// Stats returns the pull's counters.
func (p *Pull) Stats() Stats { return p.meter.stats() }

func (p *Pull) measured() *meter { return &p.meter }

// RequestKey asks the server for a key frame, without waiting for its answer.
func (p *Pull) RequestKey(track uint32) bool {
	p.init()
	if !p.To.IsZero() || !p.Stats().Connected {
		return false
	}
	select {
	case p.keys <- track:
		return true
	default:
		return false
	}
}

// run connects until the stream's end.
func (p *Pull) run() {
	defer p.cancel()
	c := &p.state.client
	tries := c.tries()
	for {
		err := p.connection(tries)
		p.meter.set(func(st *Stats) { st.Connected = false })
		switch {
		case err == io.EOF:
			p.w.Close(nil)
			return
		case p.ctx.Err() != nil:
			p.w.Close(p.ctx.Err())
			return
		case errors.Is(err, ErrRemote), errors.Is(err, ErrFormat):
			p.w.Close(err)
			return
		case errors.Is(err, ErrNotFound) && p.Stats().Connects == 0:
			p.w.Close(err)
			return
		}
		c.Log.Warn("m4s pull lost its connection", "url", redact(p.URL), "next", p.state.at.Next, "error", err)
		if err := tries.again(p.ctx, err); err != nil {
			p.w.Close(err)
			return
		}
	}
}

// connection reads from one connection until it ends.
func (p *Pull) connection(tries *tries) error {
	s := &p.state
	ctx, cancel := context.WithCancelCause(p.ctx)
	defer cancel(nil)
	header := http.Header{}
	if s.at.Next != 0 {
		s.at.set(header)
	}
	where, err := p.where(nil)
	if err != nil {
		return err
	}
	late := time.AfterFunc(s.client.Timeout, func() { cancel(errSilent) })
	defer late.Stop()
	resp, err := s.client.do(ctx, request{method: http.MethodGet, url: where, header: header})
	if err != nil {
		return err
	}
	late.Stop()
	defer resp.Body.Close()
	tries.worked()
	p.meter.set(func(st *Stats) { st.Connected = true; st.Connects++ })
	s.client.Log.Info("m4s pull connected", "url", redact(p.URL), "next", s.at.Next)
	body := watch(resp.Body, s.client.Timeout, func() { cancel(errSilent) })
	err = p.receive(body, tries)
	if cause := context.Cause(ctx); cause == errSilent {
		return cause
	}
	return err
}

// receive passes a connection's packets on.
func (p *Pull) receive(body io.Reader, tries *tries) error {
	s := &p.state
	d := NewDecoder(body, s.client.Limits)
	d.tracks = s.tracks
	defer func() {
		s.tracks, s.at = d.tracks, d.at
		tries.worked()
	}()
	if err := d.begin(); err != nil {
		d.at = s.at
		return err
	}
	if d.at.Stream != s.at.Stream || s.at.Stream == 0 {
		s.order.rejoin()
	} else {
		d.at.Next = s.at.Next
	}
	return p.meter.copy(p.ctx, p.w, d, &s.order)
}

// where returns the URL with what belongs into its query.
func (p *Pull) where(more url.Values) (string, error) {
	u, err := url.Parse(p.URL)
	if err != nil {
		return "", &fatalError{fmt.Errorf("m4s: pull: %w", err)}
	}
	q := u.Query()
	if !p.From.IsZero() || !p.To.IsZero() {
		q.Set("from", seconds(p.From))
		q.Set("to", seconds(p.To))
	}
	if p.StartKey {
		q.Set("start", "key")
	}
	for k, v := range more {
		q[k] = v
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

func seconds(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', -1, 64)
}

// askKeys sends requests for key frames, one at a time.
func (p *Pull) askKeys() {
	for {
		select {
		case <-p.ctx.Done():
			return
		case track := <-p.keys:
			if err := p.askKey(track); err != nil && p.ctx.Err() == nil {
				p.state.client.Log.Info("m4s key frame request failed", "url", redact(p.URL), "error", err)
			}
		}
	}
}

func (p *Pull) askKey(track uint32) error {
	where, err := p.where(url.Values{"key": {strconv.FormatUint(uint64(track), 10)}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.state.client.Timeout)
	defer cancel()
	resp, err := p.state.client.do(ctx, request{method: http.MethodPost, url: where})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

var (
	_ sluice.Source       = (*Pull)(nil)
	_ sluice.KeyRequester = (*Pull)(nil)
	_ Link                = (*Pull)(nil)
)
