package rtc

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/webrtc/v4"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/access"
)

// ClientConfig configures Dial. The zero value is good.
type ClientConfig struct {
	// Token is sent as Authorization: Bearer, if it is not empty.
	Token string
	// HTTP does the signalling; nil is a client of 10 s timeout.
	HTTP *http.Client
	// ConnectTimeout bounds Dial, up to the first way to the server: 15 s if 0.
	ConnectTimeout time.Duration
	// Log takes what is odd but not an error; nil discards it.
	Log *slog.Logger
	// Relay, if set, has every candidate of the server replaced by this UDP
	// address: tests put a lossy line between.
	Relay string
}

// Client sends tracks to a WHIP endpoint.
type Client struct {
	pc       *webrtc.PeerConnection
	cfg      ClientConfig
	resource string // to delete in the end
	outs     map[uint32]*outgoing

	connected chan struct{}
	gone      chan struct{}
	goneOnce  sync.Once
	onceUp    sync.Once
	closeOnce sync.Once
	wg        sync.WaitGroup

	mu  sync.Mutex
	src sluice.Source // of Publish, to ask for key frames
}

// Dial offers the tracks to a WHIP endpoint, whip://, whips:// (over TLS),
// http:// or https://, and waits until there is a way to the server. A track in
// a codec that WebRTC does not carry is ErrCodec. The server's refusals wrap the
// errors of package access, by their HTTP status.
func Dial(ctx context.Context, rawURL string, tracks []*sluice.Track, cfg ClientConfig) (*Client, error) {
	endpoint, err := endpointOf(rawURL)
	if err != nil {
		return nil, err
	}
	cfg.ConnectTimeout = cmp.Or(cfg.ConnectTimeout, 15*time.Second)
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Timeout: 10 * time.Second}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c := &Client{cfg: cfg, outs: make(map[uint32]*outgoing), connected: make(chan struct{}), gone: make(chan struct{})}
	ctx, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout)
	defer cancel()
	if err := c.open(tracks); err != nil {
		return nil, err
	}
	if err := c.connect(ctx, endpoint); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("rtc: publish to %s: %w", endpoint.Host, err)
	}
	return c, nil
}

func endpointOf(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" {
		return nil, errors.New("rtc: want whip://host[:port]/path or whips://…") // the URL may hold a key
	}
	switch u.Scheme {
	case "whip":
		u.Scheme = "http"
	case "whips":
		u.Scheme = "https"
	case "http", "https":
	default:
		return nil, fmt.Errorf("rtc: scheme %q: want whip or whips", u.Scheme)
	}
	return u, nil
}

// offer numbers the codecs of the tracks that can be sent.
func (c *Client) offer(tracks []*sluice.Track) (formats []format, err error) {
	payload := uint8(96)
	for _, t := range tracks {
		if t.Kind != sluice.Video && t.Kind != sluice.Audio {
			continue
		}
		entry, err := codecFor(t)
		if err != nil {
			return nil, err
		}
		f := format{codecEntry: entry, payload: payload}
		if entry.kind == webrtc.RTPCodecTypeVideo {
			f.rtx = payload + 1
		}
		payload += 2
		if entry.fmtp != nil {
			if f.fmtp, err = entry.fmtp(t); err != nil {
				return nil, fmt.Errorf("rtc: offer track %d: %w", t.ID, err)
			}
		}
		formats = append(formats, f)
		c.outs[t.ID] = newOutgoing(c, t, f)
	}
	if len(formats) == 0 {
		return nil, errors.New("rtc: there is no track to send")
	}
	return formats, nil
}

// open makes the connection's local end.
func (c *Client) open(tracks []*sluice.Track) error {
	formats, err := c.offer(tracks)
	if err != nil {
		return err
	}
	api, err := clientAPI(formats, loggers{c.cfg.Log})
	if err != nil {
		return fmt.Errorf("rtc: set up WebRTC: %w", err)
	}
	if c.pc, err = api.NewPeerConnection(webrtc.Configuration{}); err != nil {
		return fmt.Errorf("rtc: set up WebRTC: %w", err)
	}
	c.pc.OnConnectionStateChange(c.onState)
	for _, t := range tracks {
		if o := c.outs[t.ID]; o != nil {
			if err := o.attach(); err != nil {
				return errors.Join(fmt.Errorf("rtc: offer track %d: %w", t.ID, err), c.Close())
			}
		}
	}
	return nil
}

// clientAPI returns pion's entry point for a sender of the formats.
func clientAPI(formats []format, log loggers) (*webrtc.API, error) {
	m := &webrtc.MediaEngine{}
	seen := make(map[string]bool)
	for _, f := range formats {
		if key := f.mime + f.fmtp; !seen[key] {
			seen[key] = true
			if err := f.register(m); err != nil {
				return nil, err
			}
		}
	}
	r := &interceptor.Registry{}
	responder, err := nack.NewResponderInterceptor(nack.WithResponderLoggerFactory(log))
	if err != nil {
		return nil, err
	}
	r.Add(responder)
	if err := webrtc.ConfigureSimulcastExtensionHeaders(m); err != nil {
		return nil, err
	}
	if err := webrtc.ConfigureTWCCHeaderExtensionSender(m, r); err != nil {
		return nil, err
	}
	if err := webrtc.ConfigureTWCCSenderWithOptions(m, r, twcc.WithLoggerFactory(log)); err != nil {
		return nil, err
	}
	e := settings(Config{Log: log.log})
	e.SetIncludeLoopbackCandidate(true)
	return webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(r), webrtc.WithSettingEngine(e)), nil
}

// connect exchanges descriptions and waits for a way to the server.
func (c *Client) connect(ctx context.Context, endpoint *url.URL) error {
	offer, err := c.pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	gathered := webrtc.GatheringCompletePromise(c.pc)
	if err := c.pc.SetLocalDescription(offer); err != nil {
		return err
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return fmt.Errorf("gather candidates: %w", ctx.Err())
	}
	answer, err := c.post(ctx, endpoint)
	if err != nil {
		return err
	}
	if c.cfg.Relay != "" {
		answer = relayed(answer, c.cfg.Relay)
	}
	if err := c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		return fmt.Errorf("take the answer: %w", err)
	}
	for _, o := range c.outs {
		if !o.bound() {
			return fmt.Errorf("%s: %w there", o.codec.name, ErrCodec)
		}
	}
	select {
	case <-c.connected:
		return nil
	case <-c.gone:
		return ErrGone
	case <-ctx.Done():
		return fmt.Errorf("no way to the server (is its UDP or TCP port for WebRTC open?): %w", ctx.Err())
	}
}

// post sends the offer and returns the answer.
func (c *Client) post(ctx context.Context, endpoint *url.URL) (string, error) {
	body := []byte(c.pc.LocalDescription().SDP)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.String(), bytes.NewReader(body))
	if err != nil {
		return "", errors.New("the endpoint is no URL")
	}
	req.Header.Set("Content-Type", sdpType)
	c.authorize(req)
	resp, err := c.http().Do(req)
	if err != nil {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err // without the URL, which may hold a key
		}
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxOffer))
	if err != nil {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode != http.StatusCreated {
		return "", statusError(resp.StatusCode, string(text))
	}
	if at, err := resp.Location(); err == nil {
		if resp.Request.URL.Scheme == "https" {
			at.Scheme = "https" // proxies that do TLS forget to say it
		}
		c.resource = at.String()
	}
	return string(text), nil
}

// http returns the client for signalling. It follows no redirect out of TLS.
func (c *Client) http() *http.Client {
	h := *c.cfg.HTTP
	follow := h.CheckRedirect
	h.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		switch {
		case via[len(via)-1].URL.Scheme == "https" && r.URL.Scheme != "https":
			return errors.New("server redirects from https to http, which would tell the key to everybody")
		case follow != nil:
			return follow(r, via)
		case len(via) >= maxRedirects:
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		return nil
	}
	return &h
}

const maxRedirects = 5

func (c *Client) authorize(r *http.Request) {
	if c.cfg.Token != "" {
		r.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	}
}

// statusError is a server's refusal.
func statusError(status int, text string) error {
	said := strings.TrimSpace(text[:min(len(text), 300)])
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("server says %d: %s: %w", status, said, access.ErrDenied)
	case http.StatusNotFound:
		return fmt.Errorf("server says %d: %s: %w", status, said, access.ErrNotFound)
	case http.StatusConflict:
		return fmt.Errorf("server says %d: %s: %w", status, said, access.ErrBusy)
	case http.StatusUnprocessableEntity, http.StatusNotAcceptable:
		return fmt.Errorf("server says %d: %s: %w", status, said, ErrCodec)
	}
	return fmt.Errorf("server says %d: %s", status, said)
}

// relayed is an answer with one candidate only.
func relayed(answer, relay string) string {
	host, port, _ := strings.Cut(relay, ":")
	var b strings.Builder
	for l := range strings.Lines(answer) {
		if strings.HasPrefix(l, "a=candidate:") {
			continue
		}
		b.WriteString(l)
		if strings.HasPrefix(l, "a=mid:") {
			fmt.Fprintf(&b, "a=candidate:1 1 udp 2130706431 %s %s typ host\r\n", host, port)
		}
	}
	return b.String()
}

func (c *Client) onState(state webrtc.PeerConnectionState) {
	switch state {
	case webrtc.PeerConnectionStateConnected:
		c.onceUp.Do(func() { close(c.connected) })
	case webrtc.PeerConnectionStateDisconnected, webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
		c.goneOnce.Do(func() { close(c.gone) })
	}
}

// Publish sends src until its end (nil), an error, or the end of ctx. It sends
// the tracks that were dialed, each picture from a key frame on, and no faster
// than at twice their pace. PLI and FIR ask src for key frames. The parameters of a
// track may change, its codec may not. src remains the caller's.
func (c *Client) Publish(ctx context.Context, src sluice.Source) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.mu.Lock()
	c.src = src
	c.mu.Unlock()
	stop := make(chan struct{})
	defer close(stop)
	c.wg.Go(func() {
		select {
		case <-c.gone:
			cancel(ErrGone)
		case <-stop:
		}
	})
	for {
		p, err := src.ReadPacket(ctx)
		if err == io.EOF {
			return nil
		}
		if err == nil {
			if o := c.outs[p.Track.ID]; o != nil {
				err = o.send(ctx, p)
			}
		}
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
	}
}

// requestKey passes a wish of the server's on.
func (c *Client) requestKey(track uint32) {
	c.mu.Lock()
	src := c.src
	c.mu.Unlock()
	if src != nil {
		sluice.RequestKey(src, track)
	}
}

// Close hangs up: the session is deleted at the server.
func (c *Client) Close() error {
	c.closeOnce.Do(func() {
		if c.resource != "" {
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodDelete, c.resource, nil)
			if err == nil {
				c.authorize(req)
				if resp, err := c.http().Do(req); err == nil {
					resp.Body.Close()
				}
			}
		}
		if err := c.pc.GracefulClose(); err != nil {
			c.cfg.Log.Debug("WebRTC connection not closed cleanly", "error", err)
		}
	})
	c.wg.Wait()
	return nil
}

// Abandon is Close without a word to the server.
func (c *Client) Abandon() {
	c.resource = ""
	_ = c.Close()
}

func randomUint32() uint32 { return rand.Uint32() }
