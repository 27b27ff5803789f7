package ingest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/rtmp"
	"github.com/sluice-live/sluice/internal/sluicetest"
	"github.com/sluice-live/sluice/m4s"
)

// platform is a server of ours that targets push to.
type platform struct {
	addr string
	got  chan sluice.Packet // media, of all connections
	stop func()

	mu       sync.Mutex
	refuse   error
	deaf     bool // it takes publishers, and not one byte of theirs
	accepted int
	conns    map[net.Conn]struct{}
	ends     []error // that its publishers ended with
}

// newPlatform listens on addr, "" for a port of its own.
func newPlatform(t testing.TB, addr string) *platform {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	p := &platform{addr: l.Addr().String(), got: make(chan sluice.Packet, 10000), conns: make(map[net.Conn]struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns[nc] = struct{}{}
			p.mu.Unlock()
			wg.Go(func() { p.serve(ctx, nc) })
		}
	})
	p.stop = sync.OnceFunc(func() {
		cancel()
		_ = l.Close()
		p.cut()
		wg.Wait()
	})
	t.Cleanup(p.stop)
	return p
}

// cut closes every connection without a word.
func (p *platform) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for nc := range p.conns {
		_ = nc.(*net.TCPConn).SetLinger(0)
		_ = nc.Close()
	}
}

func (p *platform) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *platform) serve(ctx context.Context, nc net.Conn) {
	defer p.set(func() { delete(p.conns, nc) })
	defer nc.Close()
	c, err := rtmp.Accept(ctx, nc, rtmp.Config{})
	if err != nil {
		return
	}
	p.mu.Lock()
	p.accepted++
	refuse, deaf := p.refuse, p.deaf
	p.mu.Unlock()
	if refuse != nil {
		_ = c.Reject(refuse)
		return
	}
	pub, err := c.Publish(ctx)
	if err != nil {
		return
	}
	defer pub.Close()
	if deaf {
		<-ctx.Done()
		return
	}
	for {
		in, err := pub.ReadPacket(ctx)
		if err != nil {
			p.set(func() { p.ends = append(p.ends, err) })
			return
		}
		if in.Data != nil {
			select {
			case p.got <- in:
			default: // a test that looks no longer
			}
		}
	}
}

func (p *platform) url() string { return "rtmp://" + p.addr + "/live/S3CRETKEY" }

// next returns the next packet of a kind.
func (p *platform) next(t testing.TB, kind sluice.Kind) sluice.Packet {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		select {
		case in := <-p.got:
			if in.Track.Kind == kind {
				return in
			}
		case <-late:
			require.FailNow(t, "nothing came")
		}
	}
}

// live is a stream with a writer: 25 frames a second of media, eight times as
// fast.
type live struct {
	*sluice.Stream
	stop func()

	mu    sync.Mutex
	video *sluice.Track
	other []*sluice.Track // audio
	n     int64
	away  bool // the encoder
}

const pushEpoch = sluicetest.FirstSegment

func newLive(t testing.TB, tracks ...*sluice.Track) *live {
	if len(tracks) == 0 {
		tracks = []*sluice.Track{sluicetest.Video(1), sluicetest.Audio(2)}
	}
	l := &live{Stream: &sluice.Stream{}, video: tracks[0], other: tracks[1:]}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			l.write(ctx)
			<-tick.C
		}
	})
	l.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		l.End(nil)
	})
	t.Cleanup(l.stop)
	return l
}

func (l *live) write(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.n
	l.n++
	if l.away {
		return
	}
	for _, track := range append([]*sluice.Track{l.video}, l.other...) {
		ts := int64(track.Timescale)
		dts := pushEpoch*ts + n*ts/25
		p := sluice.Packet{Track: track, DTS: dts, PTS: dts, Dur: ts / 25, Segment: uint64(pushEpoch + n/25), Key: true}
		p.Data = []byte{0x21, byte(n >> 8), byte(n), 0}
		if track.Kind == sluice.Video {
			p.Key = n%25 == 0
			nalu := byte(0x41)
			if p.Key {
				nalu = 0x65
			}
			p.Data = []byte{0, 0, 0, 5, nalu, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
		}
		_ = l.Write(ctx, p)
	}
}

func (l *live) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func frameNumber(p sluice.Packet) int {
	d := p.Data[len(p.Data)-4:]
	return int(d[0])<<24 | int(d[1])<<16 | int(d[2])<<8 | int(d[3])
}

// quick makes a target retry at once.
func quick(t *Target) *Target {
	t.Retry, t.MaxRetry = 20*time.Millisecond, 40*time.Millisecond
	return t
}

// push attaches a sink until the end of the test.
func (l *live) push(t testing.TB, sink sluice.Sink) *sluice.Attachment {
	a := l.Attach(context.Background(), "push", sink, sluice.AttachConfig{})
	t.Cleanup(a.Detach)
	return a
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, 30*time.Second, 2*time.Millisecond, what)
}

func is(target *Target, s TargetState) func() bool {
	return func() bool { return target.Stats().State == s }
}

func TestTargetPushes(t *testing.T) {
	p, l := newPlatform(t, ""), newLive(t)
	eventually(t, "the stream runs", func() bool { return l.Stats().Packets > 100 })
	target := Push(p.url())
	assert.Equal(t, TargetIdle, target.Stats().State)
	a := l.push(t, target)
	first := p.next(t, sluice.Video)
	assert.True(t, first.Key)
	assert.EqualValues(t, 40*frameNumber(first), first.DTS, "time stamps count from the broadcast's start")
	for n := 1; n < 30; n++ {
		v := p.next(t, sluice.Video)
		require.Equal(t, frameNumber(first)+n, frameNumber(v))
		require.EqualValues(t, 40*frameNumber(v), v.DTS)
	}
	assert.NotEmpty(t, p.next(t, sluice.Audio).Data)
	st := target.Stats()
	assert.Equal(t, TargetLive, st.State)
	assert.EqualValues(t, 1, st.Connects)
	assert.Greater(t, st.Packets, uint64(30))
	assert.Greater(t, st.Bytes, uint64(500))
	assert.Zero(t, st.Failures)
	assert.Empty(t, st.Error)
	assert.Equal(t, p.addr, st.Name)
	assert.Equal(t, "rtmp://"+p.addr+"/live/***", st.URL)
	l.stop()
	require.NoError(t, a.Wait())
	assert.Equal(t, TargetIdle, target.Stats().State)
	assert.GreaterOrEqual(t, target.Stats().Packets, st.Packets, "counters stay")
	eventually(t, "the server is told of the end", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.ends) == 1
	})
	assert.Equal(t, io.EOF, p.ends[0])
}

func TestTargetRefusedIsTriedAgain(t *testing.T) {
	p, l := newPlatform(t, ""), newLive(t)
	p.refuse = fmt.Errorf("%w: S3CRETKEY is no key of ours", ErrDenied)
	target := quick(Push(p.url()))
	l.push(t, target)
	eventually(t, "refused", is(target, TargetRefused))
	st := target.Stats()
	assert.Contains(t, st.Error, "*** is no key of ours")
	assert.NotContains(t, st.Error, "S3CRETKEY")
	assert.False(t, st.Next.IsZero())
	assert.Zero(t, st.Connects)
	p.set(func() { p.refuse = nil })
	eventually(t, "live", is(target, TargetLive))
	assert.Empty(t, target.Stats().Error)
	p.next(t, sluice.Video)
}

func TestTargetComesBack(t *testing.T) {
	p, other, l := newPlatform(t, ""), newPlatform(t, ""), newLive(t)
	target, good := quick(Push(p.url())), quick(Push(other.url()))
	var set Targets
	target.Name, good.Name = "a", "b"
	require.NoError(t, set.Add(target))
	require.NoError(t, set.Add(good))
	l.push(t, &set)
	last := frameNumber(other.next(t, sluice.Video))
	p.next(t, sluice.Video)
	p.cut()
	eventually(t, "noticed", func() bool { return target.Stats().Failures > 0 })
	eventually(t, "live again", func() bool { return target.Stats().Connects == 2 })
	p.stop()
	eventually(t, "noticed", is(target, TargetRetrying))
	assert.NotEmpty(t, target.Stats().Error)
	newPlatform(t, p.addr)
	eventually(t, "live again", is(target, TargetLive))
	assert.EqualValues(t, 3, target.Stats().Connects)
	for range 50 {
		n := frameNumber(other.next(t, sluice.Video))
		require.Equal(t, last+1, n, "the other target never blinks")
		last = n
	}
	assert.EqualValues(t, 1, good.Stats().Connects)
}

// A server that takes the connection and says nothing.
func TestTargetSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	target := quick(Push("rtmp://" + l.Addr().String() + "/live/S3CRETKEY"))
	target.Timeout = 100 * time.Millisecond
	newLive(t).push(t, target)
	eventually(t, "two attempts", func() bool { return target.Stats().Failures >= 2 })
	assert.Equal(t, TargetRetrying, target.Stats().State)
	assert.Contains(t, target.Stats().Error, "no answer for 100ms")
}

// A server that takes the stream and then no byte more of it.
func TestTargetDeaf(t *testing.T) {
	p, other := newPlatform(t, ""), newPlatform(t, "")
	p.deaf = true
	l := newLive(t)
	target, good := quick(Push(p.url())), Push(other.url())
	target.Timeout, good.Timeout = 2*time.Second, 2*time.Second
	var set Targets
	require.NoError(t, set.Add(target))
	require.NoError(t, set.Add(good))
	l.push(t, &set)
	eventually(t, "live", is(target, TargetLive))
	big := make([]byte, 1<<20)
	big[0], big[1], big[2], big[3], big[4] = 0, 0x0f, 0xff, 0xfc, 0x65
	eventually(t, "noticed", func() bool {
		l.set(func() {
			dts := l.video.Timescale
			at := pushEpoch*int64(dts) + l.n*int64(dts)/25
			_ = l.Write(t.Context(), sluice.Packet{Track: l.video, DTS: at, PTS: at, Key: true, Data: big})
			l.n++
		})
		return target.Stats().Failures > 0
	})
	assert.Contains(t, target.Stats().Error, "takes no bytes")
	assert.Zero(t, good.Stats().Failures)
}

// While the encoder is away the connection stays; another encoder goes on on
// it, with its own parameters and later time stamps.
func TestTargetStaysWhileTheEncoderIsAway(t *testing.T) {
	p, l := newPlatform(t, ""), newLive(t)
	target := Push(p.url())
	target.Timeout = 200 * time.Millisecond
	l.push(t, target)
	before := p.next(t, sluice.Video)
	l.set(func() { l.away = true })
	eventually(t, "all has come", func() bool {
		select {
		case in := <-p.got:
			if in.Track.Kind == sluice.Video {
				before = in
			}
			return false
		case <-time.After(500 * time.Millisecond): // longer than the target's Timeout
			return true
		}
	})
	l.set(func() {
		v := *l.video
		v.Era++
		small, err := codec.AVC(smallAVC)
		require.NoError(t, err)
		v.Config, v.Width, v.Height = small.Config, small.Width, small.Height
		l.video, l.away = &v, false
	})
	after := p.next(t, sluice.Video)
	assert.True(t, after.Key || frameNumber(after) > frameNumber(before)+1)
	assert.Greater(t, after.DTS, before.DTS)
	assert.EqualValues(t, 40*frameNumber(after), after.DTS)
	assert.Equal(t, 640, after.Track.Width)
	assert.EqualValues(t, 1, target.Stats().Connects)
}

// While there is nothing to send, a connection that is lost stays lost.
func TestTargetWaitsForMedia(t *testing.T) {
	p, l := newPlatform(t, ""), newLive(t)
	target := quick(Push(p.url()))
	l.push(t, target)
	p.next(t, sluice.Video)
	l.set(func() { l.away = true })
	p.cut()
	eventually(t, "noticed", func() bool { return target.Stats().Failures == 1 })
	time.Sleep(300 * time.Millisecond) // many retries' time
	p.set(func() { assert.Equal(t, 1, p.accepted) })
	assert.Equal(t, TargetRetrying, target.Stats().State)
	l.set(func() { l.away = false })
	eventually(t, "live again", is(target, TargetLive))
}

// smallAVC is the configuration of an encoder of 640x360.
var smallAVC = []byte("\x01\x64\x00\x16\xff\xe1\x00\x19" +
	"\x67\x64\x00\x16\xac\xd9\x40\xa0\x2f\xf9\x61\x00\x00\x03\x00\x01\x00\x00\x03\x00\x3c\x8f\x16\x2d\x96" +
	"\x01\x00\x06\x68\xeb\xe3\xcb\x22\xc0")

func TestTargetRefusesCodec(t *testing.T) {
	aac := sluicetest.Audio(2)
	other := *aac
	other.Codec = flac
	l := newLive(t, sluicetest.Video(1), &other)
	p := newPlatform(t, "")
	target := quick(Push(p.url()))
	l.push(t, target)
	eventually(t, "refused", is(target, TargetRefused))
	assert.Contains(t, target.Stats().Error, "its audio is fLaC, and this target takes mp4a, .mp3")

	helped := quick(Push(p.url()))
	helped.Transform = sluice.TransformFunc(func(_ context.Context, src sluice.Source) (sluice.Source, error) {
		return &relabelled{Source: src, from: &other, to: aac}, nil
	})
	l.push(t, helped)
	eventually(t, "live", is(helped, TargetLive))
	assert.Equal(t, sluice.MP4A, p.next(t, sluice.Audio).Track.Codec)
}

// flac is what no target takes.
var flac = sluice.FourCC{'f', 'L', 'a', 'C'}

// relabelled stands for a transcoder.
type relabelled struct {
	sluice.Source
	from, to *sluice.Track
}

func (r *relabelled) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	p, err := r.Source.ReadPacket(ctx)
	if p.Track == r.from {
		p.Track = r.to
	}
	return p, err
}

func (r *relabelled) Tracks() []*sluice.Track { return nil }

func TestTargetM4S(t *testing.T) {
	got := make(chan sluice.Packet, 100000)
	h := &m4s.Handler{
		Publish: func(ctx context.Context, _ string, src sluice.Source) error {
			for {
				p, err := src.ReadPacket(ctx)
				if err == io.EOF {
					return nil
				}
				if err != nil {
					return err
				}
				got <- p
			}
		},
		Authorize: func(r *http.Request, _ string, _ m4s.Action) error {
			if r.Header.Get("Authorization") != "Bearer t0ken" {
				return m4s.ErrDenied
			}
			return nil
		},
	}
	web := httptest.NewServer(h)
	defer web.Close()
	defer h.Shutdown(t.Context())
	l := newLive(t, sluicetest.Video(1), sluicetest.Video(3), sluicetest.Audio(2))
	wrong := quick(&Target{URL: web.URL + "/m4s/demo", Token: "no-t0ken"})
	l.push(t, wrong)
	eventually(t, "refused", is(wrong, TargetRefused))
	assert.NotContains(t, wrong.Stats().Error, "no-t0ken")

	target := quick(Push(strings.Replace(web.URL, "://", "://:t0ken@", 1) + "/m4s/copy"))
	assert.NotContains(t, target.Stats().URL, "t0ken")
	a := l.push(t, target)
	ids := make(map[uint32]bool)
	for len(ids) < 3 { // all renditions
		ids[(<-got).Track.ID] = true
	}
	eventually(t, "live", is(target, TargetLive))
	assert.EqualValues(t, 1, target.Stats().Connects)
	l.stop()
	require.NoError(t, a.Wait())
}

func TestTargetURLs(t *testing.T) {
	for _, c := range []struct{ url, masked, err string }{
		{"rtmp://a/live2/KEY", "rtmp://a/live2/***", ""},
		{"RTMP://a/live2/KEY?sig=abcdef", "rtmp://a/live2/***?sig=***", ""},
		{"rtmp://u:pass@a:1936/app/room/KEY", "rtmp://***@a:1936/app/room/***", ""},
		{"https://a/m4s/name", "https://a/m4s/name", ""},
		{"https://a/x/KEY", "https://a/x/***", ""},
		{"https://a/0KEY1KEY2/webRTC/publish", "https://a/***/webRTC/***", ""},
		{"https://a/whip/KEY/", "https://a/whip/***", ""},
		{"whips://a/whip/KEY", "whips://a/whip/***", ""},
		{"rtmps://a/live/KEY", "rtmps://a/live/***", ""},
		{"srt://a:9?streamid=publish:KEY&passphrase=KEYKEY", "srt://a:9?passphrase=***&streamid=***", ""},
		{"srt://a?streamid=publish:KEY", "srt://a?streamid=***", "no port"},
		{"rtmp://a/", "rtmp://a", "no application"},
		{"rtmp://a", "rtmp://a", "no application"},
		{"ftp://a/b/KEY", "ftp://a/b/***", `"ftp" is no protocol`},
		{"KEY", "***", "write its URL as"},
		{"", "***", "write its URL as"},
		{"rtmp://a/KEY%zz", "***", "write its URL as"},
	} {
		target := Push(c.url)
		assert.Equal(t, c.masked, target.Stats().URL, c.url)
		err := target.Check()
		if c.err == "" {
			require.NoError(t, err, c.url)
			continue
		}
		require.ErrorContains(t, err, c.err, c.url)
		assert.NotContains(t, err.Error(), "KEY")
	}
}

// A host may be escaped bytes, which metrics do not take.
func TestTargetMetricsOfAnyName(t *testing.T) {
	for _, target := range []*Target{Push("rtmp://%ff/live/KEY"), {Name: "a\xff", URL: "rtmp://a/live/KEY"}} {
		require.NoError(t, target.Check())
		reg := prometheus.NewRegistry()
		reg.MustRegister(TargetCollector(func() map[string][]TargetStats {
			return map[string][]TargetStats{"demo": {target.Stats()}}
		}))
		_, err := reg.Gather()
		require.NoError(t, err)
	}
}

func TestTargetScrubs(t *testing.T) {
	target := &Target{URL: "srt://h:1?streamid=%23!::m=publish,r=K%C3%A9yKey&passphrase=pässword", Token: "bearer"}
	for _, text := range []string{"bad KéyKey", "bad pässword", "p%C3%A4ssword", "bearer", "#!::m=publish,r=KéyKey"} {
		got := target.scrub(text)
		assert.Contains(t, got, masked)
		for _, secret := range []string{"yKey", "ssword", "bearer"} {
			assert.NotContains(t, got, secret)
		}
	}
	target = Push("https://a/0KEY1KEY2/webRTC/publish")
	assert.Equal(t, `*** is no key; use /***/webRTC/***`, target.scrub("0KEY1KEY2 is no key; use /0KEY1KEY2/webRTC/publish"))
}

// A target that cannot be used is refused, and harms nobody.
func TestTargetBadURL(t *testing.T) {
	target := quick(Push("ftp://a/KEY"))
	l := newLive(t)
	a := l.push(t, target)
	eventually(t, "refused", is(target, TargetRefused))
	l.stop()
	require.NoError(t, a.Wait())
}

func TestTargets(t *testing.T) {
	p, l := newPlatform(t, ""), newLive(t)
	set := &Targets{Max: 2}
	a := l.push(t, set)
	assert.Empty(t, set.Stats())
	one, two := Push(p.url()), Push(p.url())
	one.Name, two.Name = "one", "two"
	require.NoError(t, set.Add(one))
	require.ErrorIs(t, set.Add(&Target{URL: p.url(), Name: "one"}), ErrTargetExists)
	require.Error(t, set.Add(Push("nonsense")))
	eventually(t, "live", is(one, TargetLive))
	require.NoError(t, set.Add(two))
	require.ErrorIs(t, set.Add(&Target{URL: p.url(), Name: "three"}), ErrTooManyPushes)
	eventually(t, "live", is(two, TargetLive))
	require.ErrorIs(t, set.Consume(t.Context(), &sluicetest.Slice{}), errTaken)
	assert.True(t, set.Remove("one"))
	assert.False(t, set.Remove("one"))
	assert.Equal(t, TargetIdle, one.Stats().State)
	assert.Equal(t, TargetLive, two.Stats().State)
	require.Len(t, set.Stats(), 1)
	assert.Equal(t, "two", set.Stats()[0].Name)
	l.stop()
	require.NoError(t, a.Wait())
	assert.Equal(t, TargetIdle, two.Stats().State)
	again := newLive(t) // the next broadcast
	again.push(t, set)
	eventually(t, "live", is(two, TargetLive))
	assert.EqualValues(t, 2, two.Stats().Connects)
}

// Targets of RTMP share one subscription and one set of chunks.
func TestTargetsShare(t *testing.T) {
	p, l := newPlatform(t, ""), newLive(t)
	set := new(Targets)
	for i := range 10 {
		target := Push(p.url())
		target.Name = fmt.Sprint(i)
		require.NoError(t, set.Add(target))
	}
	o := newOutlet(l.Stream.Subscribe(sluice.Subscription{}))
	src := l.Subscribe(sluice.Subscription{})
	defer src.Close()
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, set.start(func(t *Target) *sluice.Attachment { return o.attach(ctx, t) }))
	done := make(chan error)
	go func() { done <- o.pump(ctx, src) }()
	eventually(t, "ten are live", func() bool {
		for _, st := range set.Stats() {
			if st.State != TargetLive || st.Packets == 0 {
				return false
			}
		}
		return true
	})
	o.mu.Lock()
	assert.Len(t, o.fans, 1)
	for _, f := range o.fans {
		assert.Equal(t, 10, f.users)
	}
	o.mu.Unlock()
	cancel()
	<-done
	set.stop()
	assert.Empty(t, o.fans)
}

func TestTargetConforms(t *testing.T) {
	sluicetest.Sink(t, func(t testing.TB) sluice.Sink { return quick(Push(newPlatform(t, "").url())) })
}

func TestTargetsConform(t *testing.T) {
	sluicetest.Sink(t, func(t testing.TB) sluice.Sink {
		set := new(Targets)
		require.NoError(t, set.Add(Push(newPlatform(t, "").url())))
		require.NoError(t, set.Add(Push("rtmp://127.0.0.1:1/a/nobody-listens")))
		return set
	})
}

func TestTargetCycles(t *testing.T) {
	p, l := newPlatform(t, ""), newLive(t)
	set := new(Targets)
	l.push(t, set)
	ignore := goleak.IgnoreCurrent()
	cycles := 1000
	if testing.Short() {
		cycles = 100
	}
	for i := range cycles {
		target := Push(p.url())
		require.NoError(t, set.Add(target))
		if i%10 == 0 {
			eventually(t, "live", is(target, TargetLive))
		}
		require.True(t, set.Remove(target.name()))
	}
	eventually(t, "the server's side ends too", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.conns) == 0
	})
	require.NoError(t, goleak.Find(ignore))
	assert.Equal(t, 1, l.Stats().Subscribers, "one subscription for all targets")
}

func TestBackoff(t *testing.T) {
	b := Push("").backoff()
	near := func(want time.Duration, refused bool, l liveness) {
		t.Helper()
		got := b.next(refused, l)
		assert.InDelta(t, want.Seconds(), got.Seconds(), 0.21*want.Seconds())
	}
	long := liveness{ago: time.Hour}
	for _, s := range []time.Duration{5, 10, 20, 40, 60, 60} {
		near(s*time.Second, false, long)
	}
	near(5*time.Second, false, liveness{lasted: 2 * time.Minute})
	near(10*time.Second, true, liveness{}) // perhaps the server holds the connection before
	for _, s := range []time.Duration{60, 120, 240, 300, 300} {
		near(s*time.Second, true, long)
	}
}

func TestTargetMetrics(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(TargetCollector(func() map[string][]TargetStats {
		return map[string][]TargetStats{"demo": {{Name: "a", State: TargetLive, Bytes: 7}, {Name: "b"}}}
	}))
	got, err := reg.Gather()
	require.NoError(t, err)
	text := fmt.Sprint(got)
	assert.Contains(t, text, "sluice_ingest_push_state")
	assert.Contains(t, text, "sluice_ingest_push_sent_bytes_total")
	assert.Equal(t, 10, strings.Count(text, `name:"state"`))
}

var errTest = errors.New("test")

// A panic below a target ends the attempt.
func TestTargetPanics(t *testing.T) {
	l := newLive(t)
	other := sluicetest.Audio(2)
	other.Codec = flac
	l.set(func() { l.other = []*sluice.Track{other} })
	target := quick(Push(newPlatform(t, "").url()))
	n := 0
	target.Transform = sluice.TransformFunc(func(context.Context, sluice.Source) (sluice.Source, error) {
		if n++; n < 3 {
			panic("boom")
		}
		return nil, errTest
	})
	l.push(t, target)
	eventually(t, "it goes on", func() bool { return strings.Contains(target.Stats().Error, "test") })
}

func TestTargetRTMPS(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	p, l := newPlatform(t, ""), newLive(t)
	front, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: web.TLS.Certificates})
	require.NoError(t, err)
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		for {
			nc, err := front.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(ctx, nc) })
		}
	})
	defer func() { cancel(); front.Close(); wg.Wait() }()
	url := "rtmps://" + front.Addr().String() + "/live/S3CRETKEY"

	doubted := quick(Push(url))
	a := l.push(t, doubted)
	eventually(t, "its certificate is not trusted", is(doubted, TargetRetrying))
	assert.Contains(t, doubted.Stats().Error, "certificate")
	a.Detach()

	target := quick(Push(url))
	target.TLS = web.Client().Transport.(*http.Transport).TLSClientConfig
	a = l.push(t, target)
	first := frameNumber(p.next(t, sluice.Video))
	for n := 1; n < 30; n++ {
		require.Equal(t, first+n, frameNumber(p.next(t, sluice.Video)))
	}
	a.Detach()
}
