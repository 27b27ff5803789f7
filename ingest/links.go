package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/rtmp"
	"github.com/sluice-live/sluice/m4s"
)

// A protocol is a way to push.
type protocol struct {
	name string
	// dial connects and asks for leave to publish, within ctx. Once it knows
	// what the target takes, it has the delivery choose.
	dial func(ctx context.Context, u *url.URL, f *delivery) (link, error)
}

// link is a connection to a target that has given leave to publish.
type link interface {
	// carry sends until the stream ends and all of it is sent (nil),
	// the connection fails, or ctx ends.
	carry(ctx context.Context, f *delivery) error
	stats() linkStats
	Close() error
}

// protocols are the ways to push, by the scheme of the URL.
var protocols = map[string]*protocol{
	"rtmp":  rtmpProtocol,
	"rtmps": rtmpProtocol,
	"http":  m4sProtocol,
	"https": m4sProtocol,
}

var (
	rtmpProtocol = &protocol{name: "rtmp", dial: dialRTMP}
	m4sProtocol  = &protocol{name: "m4s", dial: dialM4S}
)

// schemes lists what protocols knows, for those who typed something else.
const schemes = "rtmp(s)://host/app/key or http(s)://host/m4s/name"

// parse returns the target's URL and protocol. Its errors do not tell the key.
func (t *Target) parse() (*url.URL, *protocol, error) {
	u, err := url.Parse(t.URL)
	if err != nil || u.Host == "" {
		return nil, nil, fmt.Errorf("ingest: push: %w: write its URL as %s", errTarget, schemes)
	}
	p := protocols[strings.ToLower(u.Scheme)]
	switch {
	case p == nil:
		return nil, nil, fmt.Errorf("ingest: push: %w: %q is no protocol that can be pushed: write %s", errTarget, u.Scheme, schemes)
	case p == m4sProtocol && !isM4S(u):
		return nil, nil, fmt.Errorf("ingest: push: %w: http(s) is for m4s, http(s)://host/m4s/name: write %s", errTarget, schemes)
	case p == rtmpProtocol && strings.Trim(u.Path, "/") == "":
		return nil, nil, fmt.Errorf("ingest: push: %w: the URL has no application and key: write rtmp://host/app/key", errTarget)
	}
	return u, p, nil
}

func isM4S(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && strings.Contains(u.Path, "/m4s/")
}

// Check reports what is wrong with the target's URL, without the key.
func (t *Target) Check() error {
	_, _, err := t.parse()
	return err
}

// refuses reports whether an attempt failed because the other side said no, or
// will ever: a soon retry changes nothing.
func refuses(err error) bool {
	var rtmpSays *rtmp.StatusError
	return errors.As(err, &rtmpSays) || errors.Is(err, rtmp.ErrCodec) || errors.Is(err, errCodec) || errors.Is(err, errTarget) ||
		errors.Is(err, m4s.ErrDenied) || errors.Is(err, m4s.ErrNotFound) || errors.Is(err, m4s.ErrBusy) || errors.Is(err, m4s.ErrRemote)
}

// rtmpLink is a connection to an RTMP server, which shares its chunks with
// others.
type rtmpLink struct{ *rtmp.Client }

func dialRTMP(ctx context.Context, u *url.URL, f *delivery) (link, error) {
	timeout := f.target.timeout()
	c, err := rtmp.Dial(ctx, u.String(), rtmp.Config{HandshakeTimeout: timeout, WriteTimeout: timeout, Log: f.target.Log})
	if err != nil {
		return nil, err
	}
	err = f.choose(ctx, codecs{c.Codecs(sluice.Video), c.Codecs(sluice.Audio)})
	if err == nil {
		err = c.Publish(ctx, time.Time{})
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

// m4sLink connects by itself, and again at once, so as to lose nothing.
type m4sLink struct {
	push *m4s.Push
	sub  atomic.Pointer[sluice.Subscriber] // nil at first
}

func dialM4S(_ context.Context, u *url.URL, f *delivery) (link, error) {
	c := m4s.Client{Token: f.target.Token, Timeout: f.target.timeout(), GiveUp: f.target.timeout(), Log: f.target.Log}
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
