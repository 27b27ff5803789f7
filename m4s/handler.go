package m4s

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-live/sluice"
)

// Headers with which both sides say where they are in a stream. Stream is 16
// hex digits, Next decimal.
const (
	HeaderStream = "M4s-Stream"
	HeaderNext   = "M4s-Next"
)

// Content types of a stream and of the answers to a push.
const (
	contentType = "video/mp4"
	controlType = "text/plain; charset=utf-8"
)

var streamName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// Handler serves /m4s/{stream}: GET pulls, POST pushes, and POST with
// ?key={track} asks for a key frame. The stream's name is the last element of
// the path, or the wildcard {stream} of a mux's pattern. Set the fields, then
// serve. Hooks that are nil refuse what they are for.
//
// HTTP/1.1 and HTTP/2 do. Where a connection is plain TCP, a pull takes it
// over (http.Hijacker), so http.Server.Shutdown does not know of it: call
// Handler.Shutdown too.
type Handler struct {
	// Play finds the live stream that a pull asks for. An error that wraps
	// ErrNotFound is 404, ErrDenied 403, ErrBusy 409, any other 500.
	Play func(ctx context.Context, name string) (*sluice.Stream, error)
	// Replay opens a range of the archive. The Handler closes the Source.
	Replay func(ctx context.Context, name string, from, to time.Time) (sluice.Source, error)
	// Publish runs a pushed stream: it reads src, which the Handler closes. It
	// is called once per stream, which outlives its connections by Grace; when
	// it returns, the pusher is told, with the text of its error.
	Publish func(ctx context.Context, name string, src sluice.Source) error
	// Authorize is asked first. nil lets everybody do everything: only where
	// nobody else can connect.
	Authorize func(r *http.Request, name string, a Action) error

	// Slow is what happens to pulls that cannot keep up; default Resync. Block
	// lets any reader stop the stream.
	Slow sluice.Slow
	// Limits bound what pushers send.
	Limits Limits
	// Heartbeat is how often a silent connection is heard; default 1 s.
	Heartbeat time.Duration
	// Timeout is how long a peer may take nothing, or say nothing, before it
	// is dropped; default 10 s. It must be some heartbeats.
	Timeout time.Duration
	// Grace is how long a pushed stream waits for its pusher to connect again;
	// default 30 s.
	Grace time.Duration
	// MaxPulls and MaxPushes bound what goes on at a time; default 10,000 and
	// 1,000.
	MaxPulls, MaxPushes int
	// Log takes what happens; nil discards it.
	Log *slog.Logger

	once     sync.Once
	ctx      context.Context // ends with Shutdown
	cancel   context.CancelFunc
	mu       sync.Mutex
	closed   bool
	running  sync.WaitGroup // Add under mu, while not closed
	sessions map[string]*session
	stats    handlerStats
}

// handlerStats are counters of a Handler.
type handlerStats struct {
	pulls, pushes                     atomic.Int64
	pulled, pushed                    atomic.Uint64 // connections accepted
	outPackets, outBytes, outDropped  atomic.Uint64
	inPackets, inBytes                atomic.Uint64
	inDuplicates, inRefused, resumed  atomic.Uint64
	denied, keys, timeouts, malformed atomic.Uint64
}

func (h *Handler) init() {
	h.once.Do(func() {
		setDefault(&h.Heartbeat, time.Second)
		setDefault(&h.Timeout, 10*time.Second)
		setDefault(&h.Grace, 30*time.Second)
		setDefault(&h.MaxPulls, 10_000)
		setDefault(&h.MaxPushes, 1_000)
		if h.Log == nil {
			h.Log = slog.New(slog.DiscardHandler)
		}
		h.sessions = make(map[string]*session)
		h.ctx, h.cancel = context.WithCancel(context.Background())
	})
}

// enter counts a request in, until its handler has returned.
func (h *Handler) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.running.Add(1)
	return true
}

// Shutdown waits for pulls and pushes to end with their streams until ctx is
// done, and then cuts them off; peers are told to connect again. New ones are
// refused. All of the Handler's goroutines have ended when it returns.
func (h *Handler) Shutdown(ctx context.Context) error {
	h.init()
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	done := make(chan struct{})
	go func() {
		h.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		h.cancel()
		return nil
	case <-ctx.Done():
	}
	h.cancel()
	<-done
	return ctx.Err()
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.init()
	name := r.PathValue("stream")
	if name == "" {
		name = path.Base(r.URL.Path)
	}
	if !streamName.MatchString(name) {
		http.Error(w, "m4s: the path is not /m4s/{stream}: a stream's name is 1 to 64 of a-z 0-9 _ -", http.StatusNotFound)
		return
	}
	key := r.Method == http.MethodPost && r.URL.Query().Has("key")
	action := Read
	if r.Method == http.MethodPost && !key {
		action = Write
	}
	if h.Authorize != nil {
		if err := h.Authorize(r, name, action); err != nil {
			h.stats.denied.Add(1)
			h.Log.Info("m4s request denied", "stream", name, "remote", r.RemoteAddr, "error", err)
			h.refuse(w, r, fmt.Errorf("m4s: %s %q: %w", r.Method, name, err))
			return
		}
	}
	if !h.enter() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "m4s: server is shutting down: connect again", http.StatusServiceUnavailable)
		return
	}
	defer h.running.Done()
	switch {
	case key:
		h.serveKey(w, r, name)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		h.servePull(w, r, name)
	case r.Method == http.MethodPost:
		h.servePush(w, r, name)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		http.Error(w, "m4s: GET pulls a stream, POST pushes one", http.StatusMethodNotAllowed)
	}
}

// refuse answers with the status that an error stands for. The text of an
// error that is nobody's fault but ours stays here.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, ErrDenied) && r.Header.Get("Authorization") == "":
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", "Bearer")
	case errors.Is(err, ErrDenied):
		status = http.StatusForbidden
	case errors.Is(err, ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, ErrBusy):
		status = http.StatusConflict
	}
	text := err.Error()
	if status == http.StatusInternalServerError {
		h.Log.Warn("m4s request failed", "error", err)
		text = "m4s: the server could not open the stream"
	}
	http.Error(w, text, status)
}

// serveKey asks a live stream's source for a key frame.
func (h *Handler) serveKey(w http.ResponseWriter, r *http.Request, name string) {
	track, err := strconv.ParseUint(r.URL.Query().Get("key"), 10, 32)
	if err != nil || h.Play == nil {
		http.Error(w, "m4s: ?key= is the number of a live stream's track", http.StatusBadRequest)
		return
	}
	s, err := h.Play(r.Context(), name)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	if !s.RequestKey(uint32(track)) {
		http.Error(w, "m4s: the stream's source takes no requests for key frames", http.StatusConflict)
		return
	}
	h.stats.keys.Add(1)
	w.WriteHeader(http.StatusNoContent)
}

// position reads the headers with which a peer says where it is; ok is false
// where they are not there or make no sense.
func position(header http.Header) (p Position, ok bool) {
	stream, err1 := strconv.ParseUint(header.Get(HeaderStream), 16, 64)
	next, err2 := strconv.ParseUint(header.Get(HeaderNext), 10, 64)
	return Position{stream, next}, err1 == nil && err2 == nil && stream != 0
}

func (p Position) set(header http.Header) {
	header.Set(HeaderStream, fmt.Sprintf("%016x", p.Stream))
	header.Set(HeaderNext, strconv.FormatUint(p.Next, 10))
}

var _ http.Handler = (*Handler)(nil)
