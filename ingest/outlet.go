package ingest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/rtmp"
)

// outlet is a stream on its way to its targets. It has a ring of its own, so
// that a target may be behind, or come back, without the stream knowing. What
// the targets of one protocol send alike is made once.
type outlet struct {
	stream sluice.Stream
	began  func() time.Time
	ended  chan struct{} // closed when the stream is over

	mu   sync.Mutex
	fans map[fanKey]*sharedFan
}

// fanKey says what connections must have in common to share chunks.
type fanKey struct {
	rendition Rendition
	codecs    string
	stream    uint32 // message stream
	timeout   time.Duration
	own       *delivery // of a target that has its stream transformed
}

type sharedFan struct {
	*rtmp.Fanout
	users int
}

// newOutlet returns an outlet for src. Time stamps count from where its stream
// began.
func newOutlet(src sluice.Source) *outlet {
	o := &outlet{ended: make(chan struct{}), fans: make(map[fanKey]*sharedFan)}
	o.began = o.stream.Began
	if sub, ok := src.(*sluice.Subscriber); ok {
		o.began = sub.Stream().Began
	}
	return o
}

// pump takes src to its end.
func (o *outlet) pump(ctx context.Context, src sluice.Source) error {
	defer close(o.ended)
	return o.stream.Consume(ctx, src)
}

// attach starts a target. A panic of it ends the attempt.
func (o *outlet) attach(ctx context.Context, t *Target) *sluice.Attachment {
	sink := sluice.SinkFunc(func(ctx context.Context, _ sluice.Source) error { return t.run(ctx, o) })
	return o.stream.Attach(ctx, t.name(), sink, sluice.AttachConfig{Retry: t.backoff().least})
}

// bounded returns a ctx that ends some time after the stream: a target may not
// keep it.
func (o *outlet) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	over := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-over:
			return
		case <-o.ended:
		}
		late := time.NewTimer(drain)
		defer late.Stop()
		select {
		case <-over:
		case <-late.C:
			cancel(errors.New("the stream is over, and the target did not take the rest"))
		}
	})
	return ctx, func() {
		close(over)
		watch.Wait()
		cancel(nil)
	}
}

// sleep reports false where ctx or the stream ended first.
func (o *outlet) sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-o.ended:
		return false
	case <-ctx.Done():
		return false
	}
}

// fan returns what publishes to the RTMP connections of a kind.
func (o *outlet) fan(key fanKey, create func() *rtmp.Fanout) *sharedFan {
	o.mu.Lock()
	defer o.mu.Unlock()
	f := o.fans[key]
	if f == nil {
		f = &sharedFan{Fanout: create()}
		o.fans[key] = f
	}
	f.users++
	return f
}

func (o *outlet) release(key fanKey) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f := o.fans[key]; f.users > 1 {
		f.users--
		return
	}
	delete(o.fans, key)
}

// delivery is what one attempt of a target sends.
type delivery struct {
	target *Target
	outlet *outlet
	codecs codecs          // that the target takes
	tracks []*sluice.Track // chosen, as they go out
	made   sluice.Source   // by the target's Transform; nil: it needs none
}

// begin waits until the stream has begun, or comes again: to connect anew while
// the encoder is away would show the platform the same pictures once more, and
// then nothing.
func (f *delivery) begin(ctx context.Context, again bool) error {
	var from sluice.Subscription
	if again {
		from = sluice.Subscription{Resume: true, At: f.outlet.stream.Stats().Packets}
	}
	sub := f.outlet.stream.Subscribe(from)
	defer sub.Close()
	for {
		if p, err := sub.ReadPacket(ctx); err != nil || p.Data != nil {
			return err
		}
	}
}

// choose waits until it is known what of the stream goes out to a target that
// takes these codecs.
func (f *delivery) choose(ctx context.Context, c codecs) error {
	f.codecs = c
	src := f.fresh()
	err := src.settle(ctx)
	f.tracks = src.out
	src.Close()
	if t := f.target.Transform; t == nil || !errors.Is(err, errCodec) {
		return err
	}
	// Not bounded by ctx, which ends with the dialling.
	sub := f.outlet.stream.Subscribe(sluice.Subscription{Start: sluice.StartSegment})
	out, err := f.target.Transform.Transform(context.WithoutCancel(ctx), sub)
	if err != nil {
		sub.Close()
		return err
	}
	before := src
	src = newSelection(out, f.target.Rendition, c)
	src.patience = made
	src.kinds[0].due, src.kinds[1].due = before.has(sluice.Video), before.has(sluice.Audio)
	f.made = src
	err = src.settle(ctx)
	f.tracks = src.out
	return err
}

// fresh returns a subscription from the newest key frame on.
func (f *delivery) fresh() *selection {
	return newSelection(f.outlet.stream.Subscribe(sluice.Subscription{}), f.target.Rendition, f.codecs)
}

// open returns what is to be sent, which is to be closed.
func (f *delivery) open() sluice.Source {
	if f.made != nil {
		return f.made
	}
	return f.fresh()
}

func (f *delivery) close() {
	if f.made != nil {
		f.made.Close()
	}
}
