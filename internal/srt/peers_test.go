package srt

import (
	"context"
	"encoding/binary"
	"net/url"
	"testing"
	"time"

	gosrt "github.com/datarhei/gosrt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/testmedia"
)

// gosrt's own connections are a second, independent peer.

func TestGosrtPublishes(t *testing.T) {
	for _, passphrase := range []string{"", secret} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		l := listen(t, Config{})
		cfg := gosrt.DefaultConfig()
		cfg.StreamId, cfg.Passphrase, cfg.PBKeylen = "publish:key", passphrase, 32
		done := make(chan struct{})
		go func() {
			c, err := gosrt.Dial("srt", l.Addr().String(), cfg)
			if !assert.NoError(t, err) {
				return
			}
			b := make([]byte, livePacket)
			for i := range 300 {
				binary.BigEndian.PutUint32(b, uint32(i))
				_, err := c.Write(b)
				assert.NoError(t, err)
				time.Sleep(2 * time.Millisecond) // the stream's pace
			}
			time.Sleep(200 * time.Millisecond) // it keeps nothing back for a goodbye
			assert.NoError(t, c.Close())
			for range 100 { // or it may leave a goroutine behind
				_, _ = c.Read(nil)
				time.Sleep(time.Millisecond)
			}
			close(done)
		}()
		a := accept(ctx, t, l, passphrase)
		n, missing := count(t, a)
		assert.Greater(t, n, 250) // its sender gives up at once what a busy machine delays
		assert.LessOrEqual(t, n+missing, 300)
		require.NoError(t, a.Close())
		<-done
	}
}

func TestGosrtTakes(t *testing.T) {
	for _, passphrase := range []string{"", secret} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		l, err := gosrt.Listen("srt", "127.0.0.1:0", gosrt.DefaultConfig())
		require.NoError(t, err)
		defer l.Close()
		got := make(chan int, 1)
		go func() {
			req, err := l.Accept2()
			if !assert.NoError(t, err) {
				return
			}
			assert.Equal(t, "publish:key", req.StreamId())
			if passphrase != "" {
				assert.NoError(t, req.SetPassphrase(passphrase))
			}
			c, err := req.Accept()
			if !assert.NoError(t, err) {
				return
			}
			n, next := 0, uint32(0)
			for b := make([]byte, 2*mtu); ; n++ {
				size, err := c.Read(b)
				if err != nil {
					break
				}
				no := binary.BigEndian.Uint32(b)
				assert.Equal(t, livePacket, size)
				assert.GreaterOrEqual(t, no, next)
				assert.Less(t, no, uint32(300))
				next = no + 1
			}
			got <- n
		}()
		more := url.Values{"latency": {"1000"}}
		if passphrase != "" {
			more = url.Values{"latency": {"1000"}, "passphrase": {passphrase}, "pbkeylen": {"24"}}
		}
		c, err := Dial(ctx, urlOf(l.Addr().String(), "publish:key", more), Config{})
		require.NoError(t, err)
		numbered(t, c, 300, 2*time.Millisecond)
		c.Flush() // it forgets what it holds back at a goodbye
		require.NoError(t, c.Close())
		assert.Greater(t, <-got, 250) // it drops at random what it has queued when it ends
	}
}

// TestKeysAreRefreshed has both ends change their keys while a stream runs.
func TestKeysAreRefreshed(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l := listen(t, Config{})
	d, a := pair(ctx, t, l, l.Addr().String(), url.Values{"latency": {"2000"}, "passphrase": {secret}}, Config{})
	for _, c := range []*Conn{d, a} {
		c.mu.Lock()
		c.keys.refreshAt = announceBefore + 50
		c.keys.used = announceBefore - 50
		c.mu.Unlock()
	}
	go func() {
		numbered(t, d, 500, 2*time.Millisecond)
		d.Flush()
		assert.NoError(t, d.Close())
	}()
	b := make([]byte, livePacket)
	_, err := a.Write(b)
	require.NoError(t, err)
	n, missing := count(t, a)
	assert.Equal(t, 500, n)
	assert.Zero(t, missing)
	assert.Zero(t, a.Stats().Undecrypted)
	a.mu.Lock()
	defer a.mu.Unlock()
	assert.NotEmpty(t, a.keys.last, "a new key was announced")
	d.mu.Lock()
	defer d.mu.Unlock()
	assert.EqualValues(t, oddKey, d.keys.own, "and is used")
}

// TestLostAnswerIsRepeated loses the packets that say yes.
func TestLostAnswerIsRepeated(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l := listen(t, Config{})
	r := testmedia.NewRelay(t, l.Addr(), testmedia.Path{Loss: 0.3})
	for range 5 {
		d, a := pair(ctx, t, l, r.Addr(), nil, Config{})
		require.NoError(t, d.Close())
		require.NoError(t, a.Close())
	}
}

// TestClockDriftIsFollowed feeds the time stamps of a clock that is 80 ppm slow.
func TestClockDriftIsFollowed(t *testing.T) {
	c := peerClock{}
	for now := int64(0); now < 3600_000_000; now += 20_000 {
		sent := c.at(uint32(now - now*80/1_000_000))
		c.drift.note(now+5_000+now%7_000, sent) // the path's delay varies
	}
	const truth = 3600_000_000 * 80 / 1_000_000
	assert.InDelta(t, truth, c.drift.correction, 5_000)
}

func TestTimeStampsWrap(t *testing.T) {
	c := peerClock{last: 0xffff_0000}
	c.base = -0xffff_0000
	last := int64(-1)
	for i := range 100 {
		at := c.at(uint32(0xffff_0000 + i*10_000))
		assert.Equal(t, int64(i*10_000), at)
		assert.Greater(t, at, last)
		last = at
	}
}
