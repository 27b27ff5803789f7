package m4s

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
)

// servePull answers GET: a live stream, or a range of the archive.
func (h *Handler) servePull(w http.ResponseWriter, r *http.Request, name string) {
	defer h.stats.pulls.Add(-1)
	if h.stats.pulls.Add(1) > int64(h.MaxPulls) {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "m4s: too many pulls at a time", http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.ctx, cancel)()
	src, err := h.open(ctx, r, name)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	defer src.close()
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	Position{src.id, src.Next()}.set(w.Header())
	if r.Method == http.MethodHead {
		return
	}
	h.stats.pulled.Add(1)
	out, err := h.output(w, r, src.id)
	if err != nil {
		h.Log.Warn("m4s pull failed", "stream", name, "error", err)
		return
	}
	h.play(ctx, out, src, h.Log.With("stream", name, "remote", r.RemoteAddr))
}

// lastWords is how long a pull that is cut off may take for what it is told.
const lastWords = time.Second

// play sends src until it ends or the reader is gone.
func (h *Handler) play(ctx context.Context, out *output, src *pulled, log *slog.Logger) {
	defer out.close()
	defer onEnd(h.ctx, func() { _ = out.deadline(time.Now().Add(min(lastWords, h.Timeout)), true) })()
	began := time.Now()
	log.Info("m4s pull begins")
	err := out.Tracks(src.tracks)
	if err == nil || unsendable(err) {
		err = out.Consume(ctx, src)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && h.ctx.Err() == nil {
		h.stats.timeouts.Add(1)
		err = fmt.Errorf("reader took nothing for %v: %w", h.Timeout, err)
	}
	out.count()
	h.stats.outDropped.Add(src.Dropped() + out.refused)
	log.Info("m4s pull ended", "after", time.Since(began).Round(time.Millisecond), "packets", out.packets,
		"bytes", out.written, "dropped", src.Dropped(), "unsendable", out.refused, "error", err)
}

// pulled is what a reader pulls.
type pulled struct {
	*sluice.Subscriber
	id     uint64
	tracks []*sluice.Track // known before the first packet
	close  func()
}

// open finds what a GET asks for, from where it asks for it.
func (h *Handler) open(ctx context.Context, r *http.Request, name string) (*pulled, error) {
	q := r.URL.Query()
	if q.Has("from") || q.Has("to") {
		from, err1 := unix(q.Get("from"))
		to, err2 := unix(q.Get("to"))
		if err1 != nil || err2 != nil || !from.Before(to) {
			return nil, fmt.Errorf("m4s: ?from= and ?to= are Unix seconds, the first the smaller: %w", ErrNotFound)
		}
		return h.replay(ctx, r, name, from, to)
	}
	if h.Play == nil {
		return nil, fmt.Errorf("m4s: live streams are not served here: %w", ErrNotFound)
	}
	s, err := h.Play(ctx, name)
	if err != nil {
		return nil, err
	}
	c := sluice.Subscription{Start: sluice.StartSegment, Slow: h.Slow}
	if q.Get("start") == "key" {
		c.Start = sluice.StartKey
	}
	if at, ok := position(r.Header); ok && at.Stream == s.ID() && at.Next <= s.Stats().Packets {
		h.stats.resumed.Add(1)
		c.Resume, c.At = true, at.Next
	}
	sub := s.Subscribe(c)
	return &pulled{sub, s.ID(), sub.Tracks(), func() { sub.Close() }}, nil
}

func unix(s string) (time.Time, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0 && v < maxSeconds) {
		return time.Time{}, fmt.Errorf("%q is no time", s)
	}
	return time.UnixMilli(int64(v * 1000)), nil
}

// replay plays a range of the archive through a Stream that waits for its one
// reader, so that packets are numbered and can be skipped.
func (h *Handler) replay(ctx context.Context, r *http.Request, name string, from, to time.Time) (*pulled, error) {
	if h.Replay == nil {
		return nil, fmt.Errorf("m4s: no archive is served here: %w", ErrNotFound)
	}
	src, err := h.Replay(ctx, name, from, to)
	if err != nil {
		return nil, err
	}
	first, err := src.ReadPacket(ctx)
	if err == io.EOF {
		err = fmt.Errorf("nothing of that time is there: %w", ErrNotFound)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("m4s: archive of %q: %w", name, err), src.Close())
	}
	// The same range of the same archive begins with the same packet.
	sum := fnv.New64a()
	_, _ = fmt.Fprint(sum, name, from.UnixNano(), to.UnixNano(), first.Track.ID, first.DTS, first.Segment, len(first.Data))
	id := max(sum.Sum64(), 1)
	c := sluice.Subscription{Slow: sluice.Block, Resume: true}
	if at, ok := position(r.Header); ok && at.Stream == id {
		h.stats.resumed.Add(1)
		c.At = at.Next
	}
	stream := &sluice.Stream{Window: time.Second, MaxBytes: 4 << 20}
	sub := stream.Subscribe(c)
	tracks := src.Tracks()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := stream.Write(ctx, first); err != nil {
			stream.End(err)
			return
		}
		_ = stream.Consume(ctx, src) // the reader gets the error
	}()
	return &pulled{sub, id, tracks, func() {
		cancel()
		sub.Close()
		<-done
		_ = src.Close()
	}}, nil
}

// output is an Encoder to a reader.
type output struct {
	*Encoder
	stats          *handlerStats
	conn           net.Conn // nil where the server keeps it
	renew          time.Time
	packets, bytes uint64 // counted

	mu   sync.Mutex
	set  func(time.Time) error // the deadline of writes
	last bool                  // it stays where it is
}

// deadline sets that of writes, for the last time or not.
func (o *output) deadline(at time.Time, last bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last {
		return nil
	}
	o.last = last
	return o.set(at)
}

// count adds what has been written since the last time to the Handler's.
func (o *output) count() {
	o.stats.outPackets.Add(o.Encoder.packets - o.packets)
	o.stats.outBytes.Add(o.written - o.bytes)
	o.packets, o.bytes = o.Encoder.packets, o.written
}

// before returns what is to be done before each write: it keeps the deadline
// between timeout and a quarter more ahead. To set it each time would cost as
// much as a small write.
func (o *output) before(timeout time.Duration, set func(time.Time) error) func() error {
	o.set = set
	return func() error {
		now := time.Now()
		if now.Before(o.renew) {
			return nil
		}
		o.count()
		o.renew = now.Add(timeout / 4)
		return o.deadline(o.renew.Add(timeout), false)
	}
}

// output answers with 200. Over plain HTTP/1.1 it takes the connection over and
// frames chunks itself: through a ResponseWriter every packet would be copied
// into pages of 4 KiB and cost several writes.
func (h *Handler) output(w http.ResponseWriter, r *http.Request, id uint64) (*output, error) {
	rc := http.NewResponseController(w)
	conf := EncoderConfig{Stream: id, Heartbeat: h.Heartbeat}
	if r.ProtoMajor == 1 && r.TLS == nil {
		conn, _, err := rc.Hijack()
		if err == nil {
			return h.takeOver(conn, w.Header(), r.ProtoMinor > 0, conf)
		}
		if !errors.Is(err, http.ErrNotSupported) {
			return nil, fmt.Errorf("take the connection over: %w", err)
		}
	}
	_ = rc.SetReadDeadline(time.Time{}) // the server's would end the request
	w.WriteHeader(http.StatusOK)
	o := &output{Encoder: NewEncoder(w, conf), stats: &h.stats}
	o.Encoder.before = o.before(h.Timeout, rc.SetWriteDeadline)
	o.after = rc.Flush
	return o, nil
}

func (h *Handler) takeOver(conn net.Conn, header http.Header, chunked bool, conf EncoderConfig) (*output, error) {
	o := &output{Encoder: NewEncoder(conn, conf), stats: &h.stats, conn: conn}
	o.chunked = chunked
	_ = conn.SetDeadline(time.Time{}) // those of the server
	o.Encoder.before = o.before(h.Timeout, conn.SetWriteDeadline)
	status := "HTTP/1.0 200 OK\r\nConnection: close\r\n"
	if chunked {
		status = "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
	}
	b := bytes.NewBufferString(status)
	_ = header.Write(b) // to memory
	b.WriteString("\r\n")
	err := o.Encoder.before()
	if err == nil {
		_, err = conn.Write(b.Bytes())
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return o, nil
}

// close ends the answer: complete where the stream's end was written.
func (o *output) close() {
	if o.conn == nil {
		return
	}
	if o.chunked && o.ended {
		_, _ = o.conn.Write([]byte("0\r\n\r\n")) // an error means that the reader is gone
	}
	o.conn.Close()
}
