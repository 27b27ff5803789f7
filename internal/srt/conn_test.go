package srt

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/access"
	"github.com/sluice-live/sluice/internal/testmedia"
)

const secret = "a good passphrase"

// listen opens a Listener until the end of the test.
func listen(t testing.TB, cfg Config) *Listener {
	t.Helper()
	l, err := Listen(t.Context(), "127.0.0.1:0", cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

func urlOf(addr, streamID string, more url.Values) string {
	q := url.Values{"streamid": {streamID}}
	maps.Copy(q, more)
	return "srt://" + addr + "?" + q.Encode()
}

// accept answers the next caller.
func accept(ctx context.Context, t testing.TB, l *Listener, passphrase string) *Conn {
	t.Helper()
	p, err := l.Accept(ctx)
	require.NoError(t, err)
	require.NoError(t, p.Unlock(passphrase))
	c, err := p.Accept()
	require.NoError(t, err)
	return c
}

// pair returns both ends of a connection to l, by way of address.
func pair(ctx context.Context, t testing.TB, l *Listener, address string, more url.Values, cfg Config) (dialled, accepted *Conn) {
	t.Helper()
	got := make(chan *Conn, 1)
	go func() {
		p, err := l.Accept(ctx)
		if assert.NoError(t, err) {
			assert.NoError(t, p.Unlock(more.Get("passphrase")))
			c, err := p.Accept()
			assert.NoError(t, err)
			got <- c
		}
	}()
	dialled, err := Dial(ctx, urlOf(address, "publish:key", more), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = dialled.Close() })
	select {
	case accepted = <-got:
	case <-ctx.Done():
		t.Fatal("not accepted")
	}
	return dialled, accepted
}

// numbered writes n packets, each with its number, at the given pace.
func numbered(t testing.TB, c *Conn, n int, every time.Duration) {
	t.Helper()
	b := make([]byte, livePacket)
	began := time.Now()
	for i := range n {
		binary.BigEndian.PutUint32(b, uint32(i))
		if _, err := c.Write(b); err != nil {
			t.Errorf("write %d: %v", i, err)
			return
		}
		time.Sleep(time.Until(began.Add(time.Duration(i+1) * every))) // the stream's own pace
	}
}

// count reads numbered packets to the end and returns how many came, and how
// many are missing in between.
func count(t testing.TB, c *Conn) (n, missing int) {
	t.Helper()
	b := make([]byte, 2*mtu)
	next := 0
	for {
		size, err := c.Read(b)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, ErrGone) { // a goodbye may be lost
				t.Errorf("read: %v", err)
			}
			return n, missing
		}
		if size != livePacket {
			t.Errorf("packet of %d bytes", size)
		}
		no := int(binary.BigEndian.Uint32(b))
		missing += no - next
		next = no + 1
		n++
	}
}

func TestStreamArrivesWhole(t *testing.T) {
	for name, more := range map[string]url.Values{
		"plain":   {"latency": {"2000"}},
		"AES-128": {"latency": {"2000"}, "passphrase": {secret}},
		"AES-192": {"latency": {"2000"}, "passphrase": {secret}, "pbkeylen": {"24"}},
		"AES-256": {"latency": {"2000"}, "passphrase": {secret}, "pbkeylen": {"32"}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			l := listen(t, Config{})
			d, a := pair(ctx, t, l, l.Addr().String(), more, Config{})
			go func() {
				numbered(t, d, 1000, time.Millisecond)
				d.Flush()
				assert.NoError(t, d.Close())
			}()
			n, missing := count(t, a)
			assert.Equal(t, 1000, n)
			assert.Zero(t, missing)
			st := a.Stats()
			assert.Zero(t, st.Missing)
			assert.Zero(t, st.Undecrypted)
			assert.Positive(t, st.RTT)
			require.NoError(t, a.Close())
		})
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		reason error
		code   Code
		is     error
	}{
		"denied":   {access.ErrDenied, CodeForbidden, access.ErrDenied},
		"busy":     {access.ErrBusy, CodeConflict, access.ErrBusy},
		"missing":  {access.ErrNotFound, CodeNotFound, access.ErrNotFound},
		"failure":  {errors.New("disk"), CodeOverload, nil},
		"own code": {&RejectError{CodeBadMode}, CodeBadMode, nil},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			l := listen(t, Config{})
			go func() {
				if p, err := l.Accept(ctx); assert.NoError(t, err) {
					p.Reject(c.reason)
				}
			}()
			_, err := Dial(ctx, urlOf(l.Addr().String(), "key", nil), Config{})
			var r *RejectError
			require.ErrorAs(t, err, &r)
			assert.Equal(t, c.code, r.Code)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			st := l.Stats()
			assert.Zero(t, st.Pending)
			assert.Equal(t, uint64(1), st.Refused)
		})
	}
}

func TestPassphraseMustMatch(t *testing.T) {
	for name, c := range map[string]struct {
		required, given string
		code            Code
	}{
		"wrong":      {secret, "another passphrase", CodeBadSecret},
		"missing":    {secret, "", CodeUnsecure},
		"unexpected": {"", secret, CodeUnsecure},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			l := listen(t, Config{})
			go func() {
				if p, err := l.Accept(ctx); assert.NoError(t, err) {
					err := p.Unlock(c.required)
					assert.ErrorIs(t, err, access.ErrDenied)
					p.Reject(err)
				}
			}()
			more := url.Values{}
			if c.given != "" {
				more.Set("passphrase", c.given)
			}
			_, err := Dial(ctx, urlOf(l.Addr().String(), "key", more), Config{})
			var r *RejectError
			require.ErrorAs(t, err, &r)
			assert.Equal(t, c.code, r.Code)
		})
	}
}

// TestSlowAnswerStallsNobody leaves one caller unanswered while others come.
func TestSlowAnswerStallsNobody(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l := listen(t, Config{})
	slow := make(chan error, 1)
	go func() {
		c, err := Dial(ctx, urlOf(l.Addr().String(), "slow", nil), Config{})
		if err == nil {
			err = c.Close()
		}
		slow <- err
	}()
	waiting, err := l.Accept(ctx)
	require.NoError(t, err)
	require.Equal(t, "slow", waiting.Request().Name)
	for range 10 {
		d, a := pair(ctx, t, l, l.Addr().String(), nil, Config{})
		require.NoError(t, d.Close())
		require.NoError(t, a.Close())
	}
	c, err := waiting.Accept()
	require.NoError(t, err)
	require.NoError(t, <-slow)
	require.NoError(t, c.Close())
}

func TestTooManyPending(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l := listen(t, Config{Pending: 2})
	dials := make(chan error, 3)
	for range 3 {
		go func() {
			_, err := Dial(ctx, urlOf(l.Addr().String(), "key", nil), Config{})
			dials <- err
		}()
	}
	var r *RejectError
	require.ErrorAs(t, <-dials, &r)
	require.Equal(t, CodeOverload, r.Code)
	for range 2 {
		p, err := l.Accept(ctx)
		require.NoError(t, err)
		p.Reject(access.ErrDenied)
	}
	for range 2 {
		require.ErrorIs(t, <-dials, access.ErrDenied)
	}
	require.Equal(t, uint64(1), l.Stats().Overloaded)
}

// TestPublisherGoneWithoutAWord drops all that a publisher sends.
func TestPublisherGoneWithoutAWord(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l := listen(t, Config{PeerTimeout: 500 * time.Millisecond})
	r := testmedia.NewRelay(t, l.Addr(), testmedia.Path{})
	d, a := pair(ctx, t, l, r.Addr(), nil, Config{PeerTimeout: 500 * time.Millisecond})
	_, err := d.Write([]byte("last words"))
	require.NoError(t, err)
	b := make([]byte, mtu)
	n, err := a.Read(b)
	require.NoError(t, err)
	require.Equal(t, "last words", string(b[:n]))
	r.Lose(1)
	_, err = a.Read(b)
	require.ErrorIs(t, err, ErrGone)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Zero(t, l.Stats().Conns)
	_, err = d.Read(b)
	require.ErrorIs(t, err, ErrGone)
}

func TestPublisherThatSendsNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l := listen(t, Config{MediaTimeout: 300 * time.Millisecond})
	_, a := pair(ctx, t, l, l.Addr().String(), nil, Config{})
	_, err := a.Read(make([]byte, mtu))
	require.ErrorIs(t, err, ErrIdle)
	require.Zero(t, l.Stats().Conns)
}

// TestPeerThatTakesNothing fills the window of a peer whose acknowledgements
// are all lost.
func TestPeerThatTakesNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l := listen(t, Config{Latency: 20 * time.Second, PeerTimeout: time.Minute})
	r := testmedia.NewRelay(t, l.Addr(), testmedia.Path{})
	d, _ := pair(ctx, t, l, r.Addr(), nil, Config{WriteTimeout: 200 * time.Millisecond, PeerTimeout: time.Minute})
	r.Lose(1)
	d.mu.Lock()
	d.out.window = 64
	d.mu.Unlock()
	b := make([]byte, livePacket)
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		_, err = d.Write(b)
	}
	require.ErrorIs(t, err, ErrSlow)
	require.Equal(t, 64, d.Stats().Unacknowledged)
	r.Lose(0)
	require.Eventually(t, func() bool {
		_, err = d.Write(b)
		return err == nil
	}, 30*time.Second, 10*time.Millisecond, "the connection goes on: %v", err)
}

func TestCloseUnblocks(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l := listen(t, Config{})
	d, a := pair(ctx, t, l, l.Addr().String(), nil, Config{})
	done := make(chan error, 1)
	go func() {
		_, err := a.Read(make([]byte, mtu))
		done <- err
	}()
	require.NoError(t, a.Close())
	require.ErrorIs(t, <-done, net.ErrClosed)
	require.NoError(t, a.Close())
	_, err := d.Read(make([]byte, mtu))
	require.ErrorIs(t, err, io.EOF, "the other end gets a goodbye")
	_, err = d.Write([]byte("x"))
	require.ErrorIs(t, err, io.ErrClosedPipe)
}

func TestNobodyAnswers(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer pc.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	_, err = Dial(ctx, urlOf(pc.LocalAddr().String(), "key", nil), Config{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestListenOnAllAddresses(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l, err := Listen(ctx, ":0", Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	for _, host := range []string{"127.0.0.1", "127.0.0.9", "[::1]"} {
		d, a := pair(ctx, t, l, host+":"+port, nil, Config{})
		go numbered(t, d, 10, 0)
		n, err := a.Read(make([]byte, mtu))
		require.NoError(t, err)
		require.Equal(t, livePacket, n)
		require.NoError(t, a.Close())
	}
}
