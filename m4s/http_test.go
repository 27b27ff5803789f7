package m4s

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

// protocols are what a server is reached over.
var protocols = []string{"http/1.1", "https/1.1", "h2"}

// serve runs a Handler's server and returns the URL under which its streams
// are, and a Client that reaches it.
func serve(t testing.TB, protocol string, h http.Handler) (url string, c Client) {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // that connections are cut is what is tested
	s.EnableHTTP2 = protocol == "h2"
	if protocol == "http/1.1" {
		s.Start()
	} else {
		s.StartTLS()
		c.TLS = &tls.Config{RootCAs: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com"}
		if protocol == "https/1.1" {
			c.TLS.NextProtos = []string{"http/1.1"}
			c.Transport = &http.Transport{TLSClientConfig: c.TLS}
		}
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if m, ok := h.(*Handler); ok {
			m.Shutdown(ctx)
		}
		s.CloseClientConnections()
		s.Close()
	})
	c.Retry, c.GiveUp = 10*time.Millisecond, 10*time.Second
	return s.URL + "/m4s/", c
}

// site is a Handler that publishes into streams and plays them.
type site struct {
	Handler
	mu      sync.Mutex
	streams map[string]*sluice.Stream
	ended   chan error // of each published stream
}

func newSite() *site {
	s := &site{streams: make(map[string]*sluice.Stream), ended: make(chan error, 10)}
	s.Handler.Play = func(_ context.Context, name string) (*sluice.Stream, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.streams[name] == nil {
			return nil, fmt.Errorf("no %q here: %w", name, ErrNotFound)
		}
		return s.streams[name], nil
	}
	s.Handler.Publish = func(ctx context.Context, name string, src sluice.Source) error {
		defer src.Close()
		err := s.stream(name).Consume(ctx, src)
		s.ended <- err
		return err
	}
	return s
}

func (s *site) stream(name string) *sluice.Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams[name] == nil {
		s.streams[name] = new(sluice.Stream)
	}
	return s.streams[name]
}

func write(t testing.TB, s *sluice.Stream, packets ...sluice.Packet) {
	for _, p := range packets {
		require.NoError(t, s.Write(t.Context(), p))
	}
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestPullLive(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			s := newSite()
			url, c := serve(t, protocol, &s.Handler)
			all := stampedPackets(4)
			half := len(all) / 2
			write(t, s.stream("demo"), all[:half]...)
			p := &Pull{URL: url + "demo", Client: c}
			defer p.Close()
			sub := s.stream("demo").Subscribe(sluice.Subscription{Start: sluice.StartSegment})
			first, err := p.ReadPacket(testContext(t))
			require.NoError(t, err)
			require.Nil(t, first.Data, "it begins with an announcement")
			write(t, s.stream("demo"), all[half:]...)
			s.stream("demo").End(nil)
			want, err := readAll(t.Context(), sub)
			require.NoError(t, err)
			got, err := readAll(testContext(t), p)
			require.NoError(t, err)
			got = append([]sluice.Packet{first}, got...)
			requireSame(t, want, got)
			st := p.Stats()
			assert.EqualValues(t, 1, st.Connects)
			assert.EqualValues(t, len(got), st.Packets)
		})
	}
}

func TestPushAndPull(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			s := newSite()
			url, c := serve(t, protocol, &s.Handler)
			want := stampedPackets(3)
			sub := s.stream("demo").Subscribe(sluice.Subscription{Slow: sluice.Block, Resume: true})
			push := &Push{URL: url + "demo", Client: c}
			require.NoError(t, push.Consume(testContext(t), &sluicetest.Slice{Packets: want}))
			require.NoError(t, <-s.ended)
			got, err := readAll(testContext(t), sub)
			require.NoError(t, err)
			requireSame(t, want, got)
			assert.EqualValues(t, 1, push.Stats().Connects)
		})
	}
}

func TestPullAndPushConform(t *testing.T) {
	for _, protocol := range []string{"http/1.1", "h2"} {
		t.Run(protocol, func(t *testing.T) {
			s := newSite()
			url, c := serve(t, protocol, &s.Handler)
			n := 0
			sluicetest.Source(t, func(t testing.TB) sluicetest.Feed {
				n++
				name := fmt.Sprint("pull", n)
				stream := s.stream(name)
				packets := stampedPackets(3)
				p := &Pull{URL: url + name, Client: c}
				t.Cleanup(func() { stream.End(nil) })
				return sluicetest.Feed{
					Source: p,
					More:   func() { write(t, stream, packets...) },
					End:    func() { stream.End(nil) },
				}
			})
		})
	}
	s := newSite()
	s.Grace = time.Millisecond // what the server keeps is no leak of the pusher
	s.Publish = func(ctx context.Context, _ string, src sluice.Source) error {
		for {
			if _, err := src.ReadPacket(ctx); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
		}
	}
	url, c := serve(t, "http/1.1", &s.Handler)
	n := 0
	sluicetest.Sink(t, func(testing.TB) sluice.Sink {
		n++
		return &Push{URL: fmt.Sprint(url, "push", n), Client: c}
	})
}

// A server's error of the stream comes out with its text, and so does a
// pusher's.
func TestStreamsThatFail(t *testing.T) {
	s := newSite()
	url, c := serve(t, "http/1.1", &s.Handler)
	write(t, s.stream("demo"), stampedPackets(1)...)
	s.stream("demo").End(errors.New("the encoder caught fire"))
	p := &Pull{URL: url + "demo", Client: c}
	defer p.Close()
	_, err := readAll(testContext(t), p)
	require.ErrorIs(t, err, ErrRemote)
	require.ErrorContains(t, err, "caught fire")

	boom := errors.New("boom")
	err = (&Push{URL: url + "other", Client: c}).Consume(testContext(t), &sluicetest.Slice{Packets: stampedPackets(1), Err: boom})
	require.ErrorIs(t, err, boom)
	err = <-s.ended
	require.ErrorIs(t, err, ErrRemote)
	require.ErrorContains(t, err, "boom")
}

func TestPublishThatRefuses(t *testing.T) {
	s := newSite()
	s.Publish = func(context.Context, string, sluice.Source) error { return errors.New("no room for this picture size") }
	url, c := serve(t, "http/1.1", &s.Handler)
	err := (&Push{URL: url + "demo", Client: c}).Consume(testContext(t), &sluicetest.Slice{Packets: stampedPackets(1), Block: true})
	require.ErrorIs(t, err, ErrRemote)
	require.ErrorContains(t, err, "no room")
}

func TestStatuses(t *testing.T) {
	s := newSite()
	token := HashToken("secret")
	s.Authorize = Tokens{Read: []TokenHash{token}, Write: []TokenHash{token}}.Authorize
	url, c := serve(t, "http/1.1", &s.Handler)
	get := func(url, token string) error {
		c := c
		c.Token = token
		p := &Pull{URL: url, Client: c}
		defer p.Close()
		_, err := p.ReadPacket(testContext(t))
		return err
	}
	require.ErrorIs(t, get(url+"demo", ""), ErrDenied)
	require.ErrorIs(t, get(url+"demo", "wrong"), ErrDenied)
	require.ErrorContains(t, get(url+"demo", "wrong"), "token is not known")
	require.ErrorIs(t, get(url+"demo", "secret"), ErrNotFound)
	require.ErrorIs(t, get(url+"NOT A NAME", "secret"), ErrNotFound)
	require.ErrorContains(t, get("ftp://example.com/x", ""), "no http or https URL")

	wrong := &Push{URL: url + "demo", Client: c}
	wrong.Client.Token = "wrong"
	require.ErrorIs(t, wrong.Consume(testContext(t), &sluicetest.Slice{Block: true}), ErrDenied)

	for _, q := range []string{"?from=1", "?from=2&to=1", "?from=x&to=NaN", "?from=1&to=2"} {
		require.ErrorIs(t, get(url+"demo"+q, "secret"), ErrNotFound, q)
	}
	bare := &Handler{}
	url, c = serve(t, "http/1.1", bare)
	require.ErrorIs(t, get(url+"demo", ""), ErrNotFound)
	err := (&Push{URL: url + "demo", Client: c}).Consume(testContext(t), &sluicetest.Slice{Block: true})
	require.ErrorContains(t, err, "cannot be pushed here")
	resp, err := http.Post(url+"demo?key=x", "", nil)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	http.DefaultClient.CloseIdleConnections()
}

// A redirect keeps the method, the token and the body.
func TestRedirects(t *testing.T) {
	for _, protocol := range []string{"http/1.1", "h2"} {
		t.Run(protocol, func(t *testing.T) {
			s := newSite()
			token := []TokenHash{HashToken("secret")}
			s.Authorize = Tokens{Read: token, Write: token}.Authorize
			url, c := serve(t, protocol, &s.Handler)
			c.Token = "secret"
			other, _ := serve(t, protocol, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, strings.TrimSuffix(url, "/m4s/")+r.URL.RequestURI(), http.StatusTemporaryRedirect)
			}))
			if c.TLS != nil {
				c.TLS.InsecureSkipVerify = true // each test server has a certificate of its own
			}
			want := stampedPackets(2)
			sub := s.stream("demo").Subscribe(sluice.Subscription{Slow: sluice.Block, Resume: true})
			require.NoError(t, (&Push{URL: other + "demo", Client: c}).Consume(testContext(t), &sluicetest.Slice{Packets: want}))
			got, err := readAll(testContext(t), sub)
			require.NoError(t, err)
			requireSame(t, want, got)
			p := &Pull{URL: other + "demo", Client: c}
			defer p.Close()
			got, err = readAll(testContext(t), p)
			require.NoError(t, err)
			require.NotEmpty(t, got)
		})
	}
	loop, c := serve(t, "http/1.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.RequestURI(), http.StatusFound)
	}))
	p := &Pull{URL: loop + "demo", Client: c}
	defer p.Close()
	_, err := p.ReadPacket(testContext(t))
	require.ErrorContains(t, err, "redirects")
}

// asker is a source that takes requests for key frames.
type asker struct {
	sluicetest.Slice
	asked chan uint32
}

func (a *asker) RequestKey(track uint32) bool {
	a.asked <- track
	return true
}

// A request for a key frame goes from a puller through two servers to the
// encoder.
func TestKeyFrameRequestsTravelUpstream(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			s := newSite()
			url, c := serve(t, protocol, &s.Handler)
			src := &asker{Slice: sluicetest.Slice{Packets: stampedPackets(1), Block: true}, asked: make(chan uint32, 10)}
			done := make(chan error, 1)
			go func() { done <- (&Push{URL: url + "demo", Client: c}).Consume(context.Background(), src) }()
			first := s.stream("demo").Subscribe(sluice.Subscription{})
			_, err := first.ReadPacket(testContext(t))
			require.NoError(t, err)
			first.Close()
			p := &Pull{URL: url + "demo", Client: c}
			defer p.Close()
			_, err = p.ReadPacket(testContext(t))
			require.NoError(t, err)
			require.True(t, sluice.RequestKey(p, 1))
			select {
			case track := <-src.asked:
				require.EqualValues(t, 1, track)
			case <-testContext(t).Done():
				t.Fatal("nobody asked the encoder")
			}
			src.End()
			require.NoError(t, <-done)
		})
	}
}

// One pusher at a time, but a pusher's second connection takes over from its
// first.
func TestSecondPusher(t *testing.T) {
	s := newSite()
	url, c := serve(t, "http/1.1", &s.Handler)
	src := &sluicetest.Slice{Packets: stampedPackets(1), Block: true}
	done := make(chan error, 1)
	go func() { done <- (&Push{URL: url + "demo", Client: c}).Consume(context.Background(), src) }()
	<-src.Blocked()
	sub := s.stream("demo").Subscribe(sluice.Subscription{})
	_, err := sub.ReadPacket(testContext(t))
	require.NoError(t, err)
	sub.Close()
	c.GiveUp = time.Millisecond
	err = (&Push{URL: url + "demo", Client: c}).Consume(testContext(t), &sluicetest.Slice{})
	require.ErrorIs(t, err, ErrBusy)
	src.End()
	require.NoError(t, <-done)
}

func TestReplay(t *testing.T) {
	s := newSite()
	packets := stampedPackets(120)
	var from, to time.Time
	s.Replay = func(_ context.Context, name string, f, u time.Time) (sluice.Source, error) {
		if name != "demo" {
			return nil, ErrNotFound
		}
		from, to = f, u
		return &sluicetest.Slice{Packets: packets}, nil
	}
	url, c := serve(t, "http/1.1", &s.Handler)
	p := &Pull{URL: url + "demo", From: time.Unix(1_790_000_000, 0), To: time.UnixMilli(1_790_000_020_500), Client: c}
	defer p.Close()
	got, err := readAll(testContext(t), p)
	require.NoError(t, err)
	requireSame(t, packets, got)
	require.True(t, p.From.Equal(from) && p.To.Equal(to))
}

// relay is a TCP relay that can be cut.
type relay struct {
	l     net.Listener
	to    string
	mu    sync.Mutex
	up    bool
	after int64 // bytes after which connections are cut; 0: never
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

func newRelay(t testing.TB, to string, after int64) *relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &relay{l: l, to: to, up: true, after: after, conns: make(map[net.Conn]bool)}
	r.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.wg.Go(func() { r.pass(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		r.cut()
		r.wg.Wait()
	})
	return r
}

func (r *relay) pass(c net.Conn) {
	defer c.Close()
	out, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer out.Close()
	r.mu.Lock()
	if !r.up {
		r.mu.Unlock()
		return
	}
	r.conns[c], r.conns[out] = true, true
	limit := r.after
	r.mu.Unlock()
	both := make(chan struct{}, 2)
	for _, d := range [][2]net.Conn{{c, out}, {out, c}} {
		go func() {
			if limit > 0 {
				io.CopyN(d[0], d[1], limit)
			} else {
				io.Copy(d[0], d[1])
			}
			both <- struct{}{}
		}()
	}
	<-both
	c.Close()
	out.Close()
	<-both
}

// cut cuts all connections and refuses new ones.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.up = false
	for c := range r.conns {
		c.Close()
	}
	clear(r.conns)
}

func (r *relay) mend() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.up = true
}

func host(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	h, _, _ := strings.Cut(rest, "/")
	return h
}

// paced writes packets at the pace of their times.
func paced(t testing.TB, s *sluice.Stream, packets []sluice.Packet) {
	began, first := time.Now(), packets[0].Track.Time(packets[0].DTS)
	for _, p := range packets {
		time.Sleep(time.Until(began.Add(p.Track.Time(p.DTS).Sub(first))))
		if s.Write(context.Background(), p) != nil {
			return
		}
	}
	s.End(nil)
}

// The link between two servers is cut for three seconds, in the middle of a
// live stream: nothing is lost and nothing comes twice.
func TestLinkCutForThreeSeconds(t *testing.T) {
	for _, protocol := range []string{"http/1.1", "h2"} {
		for _, kind := range []string{"pull", "push"} {
			t.Run(protocol+" "+kind, func(t *testing.T) {
				t.Parallel()
				s := newSite()
				url, c := serve(t, protocol, &s.Handler)
				c.Timeout = 2 * time.Second
				r := newRelay(t, host(url), 0)
				url = strings.Replace(url, host(url), r.l.Addr().String(), 1)
				want := stampedPackets(7)
				go func() {
					time.Sleep(1500 * time.Millisecond)
					r.cut()
					time.Sleep(3 * time.Second)
					r.mend()
				}()
				var got []sluice.Packet
				var err error
				var st Stats
				if kind == "pull" {
					write(t, s.stream("demo"), want[:2]...)
					go paced(t, s.stream("demo"), want[2:])
					p := &Pull{URL: url + "demo", Client: c}
					defer p.Close()
					got, err = readAll(testContext(t), p)
					st = p.Stats()
				} else {
					in := new(sluice.Stream)
					sub := s.stream("demo").Subscribe(sluice.Subscription{Slow: sluice.Block, Resume: true})
					out := in.Subscribe(sluice.Subscription{Start: sluice.StartSegment})
					write(t, in, want[:2]...)
					go paced(t, in, want[2:])
					push := &Push{URL: url + "demo", Client: c}
					pushed := make(chan error, 1)
					go func() { pushed <- push.Consume(context.Background(), out) }()
					got, err = readAll(testContext(t), sub)
					require.NoError(t, <-pushed)
					st = push.Stats()
				}
				require.NoError(t, err)
				requireSame(t, want, got)
				assert.GreaterOrEqual(t, st.Connects, uint64(2))
				t.Logf("%+v", st)
			})
		}
	}
}

// Connections that break every few kilobytes, wherever that is: in headers, in
// the middle of a chunk, in control lines.
func TestConnectionsThatKeepBreaking(t *testing.T) {
	for _, kind := range []string{"pull", "push"} {
		t.Run(kind, func(t *testing.T) {
			s := newSite()
			url, c := serve(t, "http/1.1", &s.Handler)
			c.Retry, c.MaxRetry = time.Millisecond, time.Millisecond
			r := newRelay(t, host(url), 9_001)
			url = strings.Replace(url, host(url), r.l.Addr().String(), 1)
			want := stampedPackets(3)
			if kind == "pull" {
				s.stream("demo").Window = time.Minute
				write(t, s.stream("demo"), want[:2]...)
				p := &Pull{URL: url + "demo", Client: c}
				defer p.Close()
				first, err := p.ReadPacket(testContext(t))
				require.NoError(t, err)
				write(t, s.stream("demo"), want[2:]...)
				s.stream("demo").End(nil)
				got, err := readAll(testContext(t), p)
				require.NoError(t, err)
				requireSame(t, want, append([]sluice.Packet{first}, got...))
				assert.Greater(t, p.Stats().Connects, uint64(5))
				return
			}
			sub := s.stream("demo").Subscribe(sluice.Subscription{Slow: sluice.Block, Resume: true})
			push := &Push{URL: url + "demo", Client: c}
			require.NoError(t, push.Consume(testContext(t), &sluicetest.Slice{Packets: want}))
			got, err := readAll(testContext(t), sub)
			require.NoError(t, err)
			requireSame(t, want, got)
			assert.Greater(t, push.Stats().Connects, uint64(5))
		})
	}
}

// A puller that takes nothing is dropped, and others do not feel it.
func TestPullerThatStopsReading(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			s := newSite()
			s.Timeout = 500 * time.Millisecond
			url, c := serve(t, protocol, &s.Handler)
			stream := s.stream("demo")
			stream.MaxBytes = 8 << 20
			write(t, stream, stampedPackets(1)...)
			rt := c.withDefaults().Transport
			req, err := http.NewRequest(http.MethodGet, url+"demo", nil)
			require.NoError(t, err)
			resp, err := rt.RoundTrip(req)
			require.NoError(t, err)
			defer resp.Body.Close() // never read
			p := stampedPackets(1)[2]
			p.Data = make([]byte, 1<<20)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for i := range 100 {
					p.DTS += 90000
					p.PTS, p.Segment = p.DTS, p.Segment+1
					if stream.Write(context.Background(), p) != nil || i > 30 && stream.Stats().Subscribers == 0 {
						return
					}
					time.Sleep(20 * time.Millisecond)
				}
			}()
			require.Eventually(t, func() bool { return stream.Stats().Subscribers == 0 }, 10*time.Second, 10*time.Millisecond)
			<-ended
			require.NotZero(t, s.stats.timeouts.Load())
		})
	}
}

// A pusher that says nothing is dropped; its stream ends after the grace time.
func TestPusherThatFallsSilent(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			s := newSite()
			s.Timeout, s.Grace = 200*time.Millisecond, 100*time.Millisecond
			url, c := serve(t, protocol, &s.Handler)
			r, w := io.Pipe()
			req, err := http.NewRequest(http.MethodPost, url+"demo", r)
			require.NoError(t, err)
			Position{7, 0}.set(req.Header)
			resp, err := c.withDefaults().Transport.RoundTrip(req)
			require.NoError(t, err)
			defer resp.Body.Close()
			e := NewEncoder(w, EncoderConfig{})
			require.NoError(t, e.Encode(stampedPackets(1)[2]))
			err = <-s.ended
			require.ErrorIs(t, err, errGone)
			require.NotZero(t, s.stats.timeouts.Load())
			w.Close()
		})
	}
}

// What is no m4s stream ends with a reason, and a half chunk with the
// connection.
func TestPushOfGarbage(t *testing.T) {
	s := newSite()
	s.Grace = 50 * time.Millisecond
	url, _ := serve(t, "http/1.1", &s.Handler)
	resp, err := http.Post(url+"demo", "video/mp4", strings.NewReader("<html>this is not video"))
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	resp.Body.Close()
	require.Contains(t, string(text), "fail")
	require.Contains(t, string(text), "not a valid m4s stream")
	require.ErrorIs(t, <-s.ended, ErrFormat)

	wire := encode(t, stampedPackets(1)...)
	resp, err = http.Post(url+"half", "video/mp4", strings.NewReader(string(wire[:3000])))
	require.NoError(t, err)
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	require.ErrorIs(t, <-s.ended, errGone)
	http.DefaultClient.CloseIdleConnections()
}

// A server that goes down tells its peers to come back, and they go on at the
// next one.
func TestShutdown(t *testing.T) {
	s := newSite()
	url, c := serve(t, "http/1.1", &s.Handler)
	c.GiveUp = 300 * time.Millisecond
	write(t, s.stream("demo"), stampedPackets(1)...)
	p := &Pull{URL: url + "demo", Client: c}
	defer p.Close()
	_, err := p.ReadPacket(testContext(t))
	require.NoError(t, err)
	src := &sluicetest.Slice{Packets: stampedPackets(1), Block: true}
	done := make(chan error, 1)
	go func() { done <- (&Push{URL: url + "other", Client: c}).Consume(context.Background(), src) }()
	sub := s.stream("other").Subscribe(sluice.Subscription{})
	_, err = sub.ReadPacket(testContext(t))
	require.NoError(t, err)
	sub.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Shutdown(ctx), context.DeadlineExceeded)
	require.ErrorIs(t, <-s.ended, context.Canceled)
	require.ErrorContains(t, <-done, "given up")
	_, err = readAll(testContext(t), p)
	require.ErrorContains(t, err, "given up")
	require.ErrorContains(t, err, "shutting down")
}

func TestPanicInPublish(t *testing.T) {
	s := newSite()
	s.Publish = func(context.Context, string, sluice.Source) error { panic("oh") }
	url, c := serve(t, "http/1.1", &s.Handler)
	err := (&Push{URL: url + "demo", Client: c}).Consume(testContext(t), &sluicetest.Slice{Block: true})
	require.ErrorIs(t, err, ErrRemote)
}
