package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/mpegts"
	"github.com/sluice-live/sluice/internal/rtc"
	"github.com/sluice-live/sluice/internal/rtmp"
	"github.com/sluice-live/sluice/internal/srt"
	"github.com/sluice-live/sluice/m4s"
)

// A dialer connects to a target and asks it for leave to publish, within ctx.
// Once it knows what the target takes, it has the delivery choose.
type dialer func(ctx context.Context, u *url.URL, f *delivery) (link, error)

// link is a connection to a target that has given leave to publish.
type link interface {
	// carry sends until the stream ends and all of it is sent (nil), the
	// connection fails, or ctx ends.
	carry(ctx context.Context, f *delivery) error
	stats() linkStats
	Close() error
}

// dialers are the ways to push, by the scheme of the URL. Those of HTTP serve
// m4s where the path says so.
var dialers = map[string]dialer{
	"rtmp": dialRTMP, "rtmps": dialRTMP,
	"srt":  dialSRT,
	"whip": dialWHIP, "whips": dialWHIP, "http": dialWHIP, "https": dialWHIP,
}

// schemes lists what dialers knows, for those who typed something else.
const schemes = "rtmp(s)://host/app/key, srt://host:port?streamid=publish:key, whip(s)://host/path/key, or http(s)://host/m4s/name"

// parse returns the target's URL and how it is dialled. Its errors do not tell
// the key.
func (t *Target) parse() (*url.URL, dialer, error) {
	wrong := func(what string) (*url.URL, dialer, error) {
		return nil, nil, fmt.Errorf("ingest: push: %w: %s", errTarget, what)
	}
	u, err := url.Parse(t.URL)
	if err != nil || u.Hostname() == "" {
		return wrong("write its URL as " + schemes)
	}
	dial := dialers[u.Scheme]
	switch {
	case dial == nil:
		return wrong(fmt.Sprintf("%q is no protocol that can be pushed: write %s", u.Scheme, schemes))
	case isM4S(u):
		dial = dialM4S
	case u.Scheme == "srt" && u.Port() == "":
		return wrong("the URL has no port: write srt://host:port?streamid=publish:key")
	case strings.HasPrefix(u.Scheme, "rtmp") && strings.Trim(u.Path, "/") == "":
		return wrong("the URL has no application and key: write rtmp://host/app/key")
	}
	return u, dial, nil
}

func isM4S(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && strings.Contains(u.Path, "/m4s/")
}

// bearer returns the URL without a token in it, and the token.
func (t *Target) bearer(u *url.URL) (*url.URL, string) {
	if u.User == nil {
		return u, t.Token
	}
	plain := *u
	plain.User = nil
	token, ok := u.User.Password()
	if !ok {
		token = u.User.Username()
	}
	return &plain, cmp.Or(t.Token, token)
}

// Check reports what is wrong with the target's URL, without the key.
func (t *Target) Check() error {
	_, _, err := t.parse()
	return err
}

// refuses reports whether an attempt failed because the other side said no, or
// will ever: a soon retry changes nothing.
func refuses(err error) bool {
	for _, no := range []error{
		errTarget, errCodec, codec.ErrUnsupported, rtmp.ErrCodec, rtc.ErrCodec, rtc.ErrBFrames,
		ErrDenied, ErrNotFound, ErrBusy, m4s.ErrDenied, m4s.ErrNotFound, m4s.ErrBusy, m4s.ErrRemote,
	} {
		if errors.Is(err, no) {
			return true
		}
	}
	var status *rtmp.StatusError
	var rejected *srt.RejectError
	return errors.As(err, &status) || errors.As(err, &rejected)
}

// rtmpLink is a connection to an RTMP server, which shares its chunks with
// others.
type rtmpLink struct{ *rtmp.Client }

func dialRTMP(ctx context.Context, u *url.URL, f *delivery) (link, error) {
	timeout := f.target.timeout()
	c, err := rtmp.Dial(ctx, u.String(), rtmp.Config{HandshakeTimeout: timeout, WriteTimeout: timeout, TLS: f.target.TLS, Log: f.target.Log})
	if err != nil {
		return nil, err
	}
	err = f.choose(ctx, codecs{video: c.Codecs(sluice.Video), audio: c.Codecs(sluice.Audio)})
	if err == nil {
		asking, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		err = c.Publish(asking, time.Time{})
	}
	if err != nil {
		_ = c.Close() // it may have gone first
		return nil, err
	}
	return rtmpLink{c}, nil
}

func (l rtmpLink) carry(ctx context.Context, f *delivery) error {
	key := fanKey{rendition: f.target.Rendition, codecs: fmt.Sprint(f.codecs), stream: l.MessageStream(), timeout: f.target.timeout()}
	if f.made != nil {
		key.own = f
	}
	fan := f.outlet.fan(key, func() *rtmp.Fanout {
		return rtmp.NewPushFanout(f.open, f.outlet.began, key.stream, rtmp.FanoutConfig{WriteTimeout: key.timeout, Drain: drain})
	})
	defer f.outlet.release(key)
	return fan.Publish(ctx, l.Client)
}

func (l rtmpLink) stats() linkStats {
	st := l.Stats()
	return linkStats{connects: 1, bytes: st.Bytes, packets: st.Packets, dropped: st.Dropped}
}

// srtLink is an SRT connection that carries MPEG-TS.
type srtLink struct {
	*srt.Conn
	counter
}

func dialSRT(ctx context.Context, u *url.URL, f *delivery) (link, error) {
	err := f.choose(ctx, codecs{
		video: []sluice.FourCC{sluice.AVC1, sluice.HVC1},
		audio: []sluice.FourCC{sluice.MP4A, sluice.MP3, sluice.AC3, sluice.Opus},
	})
	if err != nil {
		return nil, err
	}
	c, err := srt.Dial(ctx, u.String(), srt.Config{WriteTimeout: f.target.timeout(), Log: f.target.Log})
	if err != nil {
		return nil, err
	}
	return &srtLink{Conn: c}, nil
}

func (l *srtLink) carry(ctx context.Context, f *delivery) error {
	w, err := mpegts.NewWriter(l, f.tracks, f.outlet.began())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { _ = l.Conn.Close() })() // never fails
	reading.Go(func() {                                           // the server may leave while there is nothing to send
		_, err := io.Copy(io.Discard, l.Conn)
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		cancel(fmt.Errorf("srt: the server has left: %w", err))
	})
	src := l.counting(f.open())
	defer src.Close()
	for {
		p, err := src.ReadPacket(ctx)
		if err == nil {
			err = w.WritePacket(p)
		}
		if err == io.EOF {
			l.Flush()
			_ = l.Conn.Close() // never fails
			return nil
		}
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			_ = l.Conn.Close() // never fails
			return err
		}
	}
}

func (l *srtLink) stats() linkStats {
	all := l.counter.stats()
	all.bytes = l.Stats().BytesSent
	return all
}

// whipLink is a WebRTC session.
type whipLink struct {
	*rtc.Client
	counter
}

func dialWHIP(ctx context.Context, u *url.URL, f *delivery) (link, error) {
	err := f.choose(ctx, codecs{
		video: []sluice.FourCC{sluice.AVC1, sluice.VP08, sluice.VP09, sluice.AV01},
		audio: []sluice.FourCC{sluice.Opus}, ordered: true,
	})
	if err != nil {
		return nil, err
	}
	u, token := f.target.bearer(u)
	c, err := rtc.Dial(ctx, u.String(), f.tracks, rtc.ClientConfig{
		Token: token, ConnectTimeout: f.target.timeout(), Log: f.target.Log,
		HTTP: &http.Client{
			Timeout:   f.target.timeout(),
			Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: f.target.TLS, DisableKeepAlives: true},
		},
	})
	if err != nil {
		return nil, err
	}
	return &whipLink{Client: c}, nil
}

func (l *whipLink) carry(ctx context.Context, f *delivery) error {
	src := l.counting(f.open())
	defer src.Close()
	return l.Publish(ctx, src)
}

// m4sLink connects by itself, and again at once, so as to lose nothing.
type m4sLink struct {
	push *m4s.Push
	sub  atomic.Pointer[sluice.Subscriber] // nil at first
}

func dialM4S(_ context.Context, u *url.URL, f *delivery) (link, error) {
	timeout := f.target.timeout()
	u, token := f.target.bearer(u)
	c := m4s.Client{Token: token, TLS: f.target.TLS, Timeout: timeout, GiveUp: timeout, Log: f.target.Log}
	return &m4sLink{push: &m4s.Push{URL: u.String(), Client: c}}, nil
}

func (l *m4sLink) carry(ctx context.Context, f *delivery) error {
	sub := f.outlet.stream.Subscribe(sluice.Subscription{Start: sluice.StartSegment})
	defer sub.Close()
	l.sub.Store(sub)
	var src sluice.Source = sub
	if r := f.target.Rendition; r != (Rendition{}) {
		src = newSelection(sub, r, codecs{})
	}
	return l.push.Consume(ctx, src)
}

func (l *m4sLink) stats() linkStats {
	st := l.push.Stats()
	all := linkStats{connects: st.Connects, bytes: st.Bytes, packets: st.Packets, away: !st.Connected}
	if sub := l.sub.Load(); sub != nil {
		all.dropped = sub.Dropped()
	}
	return all
}

func (l *m4sLink) Close() error { return nil }

// counter counts what a link reads of its source.
type counter struct {
	bytes, packets atomic.Uint64
	src            atomic.Pointer[countedSource]
}

type countedSource struct {
	sluice.Source
	c *counter
}

// counting returns src, counted.
func (c *counter) counting(src sluice.Source) sluice.Source {
	s := &countedSource{src, c}
	c.src.Store(s)
	return s
}

func (s *countedSource) Unwrap() sluice.Source { return s.Source }

func (s *countedSource) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	p, err := s.Source.ReadPacket(ctx)
	if err == nil && p.Data != nil {
		s.c.packets.Add(1)
		s.c.bytes.Add(uint64(len(p.Data)))
	}
	return p, err
}

func (c *counter) stats() linkStats {
	all := linkStats{connects: 1, bytes: c.bytes.Load(), packets: c.packets.Load()}
	var src sluice.Source
	if s := c.src.Load(); s != nil {
		src = s
	}
	for src != nil {
		if sub, ok := src.(*sluice.Subscriber); ok {
			all.dropped = sub.Dropped()
			break
		}
		w, ok := src.(interface{ Unwrap() sluice.Source })
		if !ok {
			break
		}
		src = w.Unwrap()
	}
	return all
}
