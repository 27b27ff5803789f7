package ingest

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/sluice-live/sluice"
)

// Target is a server that a stream is pushed to. It connects, and again
// whenever it has to, for as long as the stream lasts; nothing that happens to
// it harms the stream or other targets. It consumes one stream at a time. Set
// the fields before that.
type Target struct {
	// URL is where to, the key included:
	//
	//	rtmp(s)://host[:port]/app/key
	//	srt://host:port?streamid=publish:key&passphrase=…&latency=…    latency in milliseconds
	//	whip(s)://host/path/key, http(s)://host/path/key               WHIP
	//	http(s)://host/m4s/name                                        m4s, to another Sluice
	URL string
	// Name is what it is called in lists, logs and metrics; default the URL's
	// host.
	Name string
	// Rendition says which of the stream's renditions it gets; default the
	// largest. m4s takes all unless it is set.
	Rendition Rendition
	// Token is the bearer token for WHIP and m4s; default what stands before
	// the host in the URL, as in https://:token@host/path.
	Token string
	// TLS is for the protocols over it; nil verifies the server against the
	// system's roots.
	TLS *tls.Config
	// Transform makes what the target takes of a stream in which there is no
	// sound or picture that it does; nil: it is refused, saying why. It runs for
	// this target alone, and only where it is needed.
	Transform sluice.Transform
	// Timeout is how long the target may take to answer, and may take no byte;
	// default 15 s.
	Timeout time.Duration
	// Retry is the wait before it is connected to again, doubled with each
	// failure that follows at once, up to MaxRetry; default 5 s and one minute.
	// Where the target said no it is at least MaxRetry, up to five times it.
	Retry, MaxRetry time.Duration
	// Log takes what happens; nil discards it.
	Log *slog.Logger

	books books
}

// Push returns a Target for a URL.
func Push(url string) *Target { return &Target{URL: url} }

// errTaken says that a Target is pushing already.
var errTaken = errors.New("ingest: push: the target has a stream already: make one for each")

// errTarget says that a Target is not usable as it is.
var errTarget = errors.New("not a push target")

// drain is how long a target may take for what is left when its stream ends.
const drain = 5 * time.Second

// Consume pushes src until its end, its error, or the end of ctx. That the
// target cannot be reached, or refuses, is no error: see Stats.
func (t *Target) Consume(ctx context.Context, src sluice.Source) error {
	o := newOutlet(src)
	a := o.attach(ctx, t)
	err := o.pump(ctx, src)
	_ = a.Wait() // a stream's failure is err, a target's is its own
	return err
}

// name is what the target is called, in characters that metrics can carry.
func (t *Target) name() string {
	name := t.Name
	if u, _, err := t.parse(); name == "" && err == nil {
		name = u.Host
	}
	return strings.ToValidUTF8(cmp.Or(name, "target"), "?")
}

func (t *Target) log() *slog.Logger {
	log := t.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return log.With("target", t.name())
}

func (t *Target) timeout() time.Duration { return cmp.Or(t.Timeout, 15*time.Second) }

// run pushes until the stream or ctx ends.
func (t *Target) run(ctx context.Context, o *outlet) error {
	if !t.books.take() {
		return errTaken
	}
	defer t.books.release()
	wait := t.backoff()
	for again := false; ; again = true {
		t.books.connecting()
		began := time.Now()
		err := protect(func() error { return t.attempt(ctx, o, again) })
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil || o.stream.Ended() {
			return nil
		}
		d := wait.next(refuses(err), t.books.wasLive(began))
		text := t.scrub(err.Error())
		t.books.failed(text, refuses(err), time.Now().Add(d))
		t.log().Warn("push failed", "error", text, "again in", d.Round(time.Second))
		if !o.sleep(ctx, d) {
			return ctx.Err()
		}
	}
}

// attempt connects and pushes until the connection (an error) or the stream
// (nil) ends.
func (t *Target) attempt(ctx context.Context, o *outlet, again bool) error {
	ctx, cancel := o.bounded(ctx)
	defer cancel()
	u, dial, err := t.parse()
	if err != nil {
		return err
	}
	f := &delivery{target: t, outlet: o}
	defer f.close()
	if err := f.begin(ctx, again); err != nil {
		return err
	}
	l, err := t.dial(ctx, dial, u, f)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }() // it may have gone first
	t.books.live(l.stats)
	defer t.books.gone()
	t.log().Info("push connected", "protocol", u.Scheme)
	return l.carry(ctx, f)
}

// dial connects within the target's Timeout.
func (t *Target) dial(ctx context.Context, dial dialer, u *url.URL, f *delivery) (link, error) {
	timeout := t.timeout()
	dialling, cancel := context.WithTimeout(ctx, timeout+made) // there may be something to wait for here first
	defer cancel()
	l, err := dial(dialling, u, f)
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("ingest: push: no answer for %v: %w", timeout, err)
	}
	return l, err
}

// backoff spaces out the attempts.
type backoff struct{ least, most, wait time.Duration }

func (t *Target) backoff() *backoff {
	least := cmp.Or(t.Retry, 5*time.Second)
	return &backoff{least: least, most: max(cmp.Or(t.MaxRetry, time.Minute), least), wait: least}
}

// busyFor is how long after having been live a refusal may mean that the server
// still holds the connection before.
const busyFor = 2 * time.Minute

// next returns the wait after a failure: some more or less than what is due, so
// that many targets do not come all at once.
func (b *backoff) next(refused bool, live liveness) time.Duration {
	if live.lasted > b.wait {
		b.wait = b.least
	}
	d, most := b.wait, b.most
	if refused && live.ago > busyFor {
		d, most = max(d, b.most), 5*b.most
	}
	b.wait = min(2*d, most)
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

var _ sluice.Sink = (*Target)(nil)
