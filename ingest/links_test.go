package ingest

import (
	"context"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/mpegts"
	"github.com/sluice-live/sluice/internal/sluicetest"
	"github.com/sluice-live/sluice/internal/srt"
	"github.com/sluice-live/sluice/internal/testmedia"
)

// srtPlatform takes publishers with one key and passphrase.
type srtPlatform struct {
	*srt.Listener
	got   chan sluice.Packet
	mu    sync.Mutex
	conns []*srt.Conn
}

func newSRTPlatform(t *testing.T) *srtPlatform {
	l, err := srt.Listen(t.Context(), "127.0.0.1:0", srt.Config{})
	require.NoError(t, err)
	p := &srtPlatform{Listener: l, got: make(chan sluice.Packet, 10000)}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			pending, err := l.Accept(ctx)
			if err != nil {
				return
			}
			if pending.Request().Name != "S3CRETKEY" {
				pending.Reject(ErrDenied)
				continue
			}
			if err := pending.Unlock("passpasspass"); err != nil {
				pending.Reject(err)
				continue
			}
			c, err := pending.Accept()
			if err != nil {
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, c)
			p.mu.Unlock()
			wg.Go(func() { p.read(ctx, c) })
		}
	})
	t.Cleanup(func() {
		cancel()
		p.cut()
		_ = l.Close()
		wg.Wait()
	})
	return p
}

func (p *srtPlatform) read(ctx context.Context, c *srt.Conn) {
	r := mpegts.NewReader(c, mpegts.Config{})
	defer r.Close()
	for {
		in, err := r.ReadPacket(ctx)
		if err != nil {
			return
		}
		if in.Data != nil {
			p.got <- in
		}
	}
}

func (p *srtPlatform) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func TestTargetSRT(t *testing.T) {
	p, l := newSRTPlatform(t), newLive(t)
	url := "srt://" + p.Addr().String() + "?streamid=publish:S3CRETKEY&latency=20&passphrase="
	wrong := quick(Push(url + "another-one"))
	l.push(t, wrong)
	eventually(t, "refused", is(wrong, TargetRefused))
	assert.Contains(t, wrong.Stats().Error, "passphrase is wrong")

	target := quick(Push(url + "passpasspass"))
	a := l.push(t, target)
	kinds := make(map[sluice.FourCC]bool)
	for len(kinds) < 2 {
		kinds[(<-p.got).Track.Codec] = true
	}
	assert.True(t, kinds[sluice.AVC1] && kinds[sluice.MP4A])
	eventually(t, "live", is(target, TargetLive))
	p.cut()
	eventually(t, "noticed", func() bool { return target.Stats().Failures > 0 })
	eventually(t, "live again", func() bool { return target.Stats().Connects == 2 })
	for range 20 {
		<-p.got
	}
	l.set(func() { l.away = true }) // the server leaves while there is nothing to send
	failures := target.Stats().Failures
	p.cut()
	eventually(t, "noticed", func() bool { return target.Stats().Failures > failures })
	assert.Positive(t, target.Stats().Bytes)
	assert.Positive(t, target.Stats().Packets)
	assert.NotContains(t, target.Stats().Error, "S3CRETKEY")
	l.stop()
	require.NoError(t, a.Wait())
}

// A line that loses a tenth of its packets, and is dead for a while, costs media
// and not the target.
func TestTargetSRTOverABadLine(t *testing.T) {
	p, l := newSRTPlatform(t), newLive(t)
	line := testmedia.NewRelay(t, p.Addr(), testmedia.Path{Delay: 20 * time.Millisecond, Loss: 0.1})
	target := quick(Push("srt://" + line.Addr() + "?streamid=publish:S3CRETKEY&latency=320&passphrase=passpasspass"))
	a := l.push(t, target)
	for range 200 {
		<-p.got
	}
	line.Lose(1)
	eventually(t, "noticed", func() bool { return target.Stats().Failures > 0 })
	line.Lose(0.1)
	connects := target.Stats().Connects
	eventually(t, "live again", func() bool { return target.Stats().Connects > connects })
	for len(p.got) > 0 {
		<-p.got
	}
	for range 200 {
		<-p.got
	}
	l.stop()
	require.NoError(t, a.Wait())
}

func TestTargetWHIP(t *testing.T) {
	received := make(chan sluice.Packet, 10000)
	var broadcasts atomic.Int32
	s := &Server{
		RTC: "127.0.0.1:0",
		Authorize: func(_ context.Context, r *Request) (Grant, error) {
			if r.Name != "s3cretkey" {
				return Grant{}, ErrDenied
			}
			return Grant{Stream: "demo"}, nil
		},
		Broadcast: func(ctx context.Context, b *Broadcast) error {
			broadcasts.Add(1)
			for {
				p, err := b.ReadPacket(ctx)
				if err != nil {
					return nil //nolint:nilerr // the end, whatever it is
				}
				if p.Data != nil {
					select {
					case received <- p:
					default:
					}
				}
			}
		},
	}
	require.NoError(t, s.Listen())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() { cancel(); require.NoError(t, <-done) }()
	web := httptest.NewServer(s.WHIP())
	defer web.Close()

	opus, err := codec.OpusRecord(nil)
	require.NoError(t, err)
	opus.ID = 2
	l := newLive(t, sluicetest.Video(1), opus)
	target := quick(Push(web.URL + "/whip/s3cretkey"))
	a := l.push(t, target)
	wrong := quick(Push(web.URL + "/whip/wrongkey"))
	l.push(t, wrong)
	kinds := make(map[sluice.FourCC]bool)
	late := time.After(30 * time.Second)
	for len(kinds) < 2 {
		select {
		case p := <-received:
			kinds[p.Track.Codec] = true
		case <-late:
			require.FailNow(t, "nothing came", "%+v", target.Stats())
		}
	}
	assert.True(t, kinds[sluice.AVC1] && kinds[sluice.Opus])
	eventually(t, "refused", is(wrong, TargetRefused))
	assert.NotContains(t, wrong.Stats().Error, "wrongkey")
	st := target.Stats()
	assert.Equal(t, TargetLive, st.State)
	assert.Positive(t, st.Bytes)

	aac := newLive(t) // its sound is no Opus
	silent := quick(Push(web.URL + "/whip/s3cretkey"))
	aac.push(t, silent)
	eventually(t, "refused", is(silent, TargetRefused))
	assert.Contains(t, silent.Stats().Error, "its audio is mp4a, and this target takes Opus")
	l.stop()
	require.NoError(t, a.Wait())
	assert.EqualValues(t, 1, broadcasts.Load())
}
