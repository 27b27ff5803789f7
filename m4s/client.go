package m4s

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client is how a Pull or a Push reaches its server. The zero value works.
type Client struct {
	// Token is sent as a bearer token, also where a redirect leads, but never
	// from https to http.
	Token string
	// TLS configures https, with a client certificate for mutual TLS.
	TLS *tls.Config
	// Transport makes the requests; nil is one of the client's own. A stream
	// lasts: it must not bound the time of a whole request, nor have an
	// ExpectContinueTimeout.
	Transport http.RoundTripper
	// Timeout is how long the server may say nothing before the connection is
	// given up; default 10 s. It must be some of its heartbeats.
	Timeout time.Duration
	// Retry is the wait before connecting again, doubled with each failure that
	// follows, up to MaxRetry; default 100 ms and 1 s.
	Retry, MaxRetry time.Duration
	// GiveUp is how long it is tried again without success; default one minute,
	// negative for ever.
	GiveUp time.Duration
	// Limits bound what the server sends.
	Limits Limits
	// Log takes what happens; nil discards it.
	Log *slog.Logger
}

func (c Client) withDefaults() Client {
	setDefault(&c.Timeout, 10*time.Second)
	setDefault(&c.Retry, 100*time.Millisecond)
	setDefault(&c.MaxRetry, time.Second)
	setDefault(&c.GiveUp, time.Minute)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: c.Timeout}).DialContext,
			TLSClientConfig:       c.TLS,
			TLSHandshakeTimeout:   c.Timeout,
			ResponseHeaderTimeout: c.Timeout,
			ForceAttemptHTTP2:     true,
			MaxIdleConnsPerHost:   2,
			IdleConnTimeout:       time.Minute,
			WriteBufferSize:       64 << 10,
			ReadBufferSize:        64 << 10,
		}
	}
	return c
}

// close releases the idle connections of a transport.
func (c *Client) close() {
	if t, ok := c.Transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

const maxRedirects = 10

// request describes a request that may be sent to several servers in turn.
type request struct {
	method, url string
	header      http.Header
	body        func() io.ReadCloser // a new one for each; nil: none
}

// do sends a request and follows redirects, with the method kept. What it
// returns has status 200 or 204.
func (c *Client) do(ctx context.Context, r request) (*http.Response, error) {
	target, err := url.Parse(r.url)
	if err != nil || target.Scheme != "http" && target.Scheme != "https" {
		return nil, &fatalError{fmt.Errorf("m4s: %q is no http or https URL", redact(r.url))}
	}
	token := c.Token
	for range maxRedirects {
		resp, err := c.send(ctx, r, target, token)
		if err != nil {
			return nil, err
		}
		switch resp.StatusCode {
		case http.StatusOK, http.StatusNoContent:
			return resp, nil
		case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		default:
			return nil, refusal(resp)
		}
		next, err := resp.Location()
		resp.Body.Close()
		if err != nil || next.Scheme != "http" && next.Scheme != "https" {
			return nil, fmt.Errorf("m4s: %s redirects to nowhere", target.Redacted())
		}
		if target.Scheme == "https" && next.Scheme != "https" {
			token = ""
		}
		target = next
	}
	return nil, &fatalError{fmt.Errorf("m4s: more than %d redirects", maxRedirects)}
}

func (c *Client) send(ctx context.Context, r request, target *url.URL, token string) (*http.Response, error) {
	var body io.ReadCloser
	if r.body != nil {
		body = r.body()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target.String(), body)
	if err != nil {
		return nil, &fatalError{fmt.Errorf("m4s: %w", err)}
	}
	for k, v := range r.header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", "sluice-m4s")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.Transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("m4s: %s %s: %w", r.method, target.Redacted(), err)
	}
	return resp, nil
}

func redact(s string) string {
	if u, err := url.Parse(s); err == nil {
		return u.Redacted()
	}
	return "what was given"
}

// fatalError is one that another try does not mend.
type fatalError struct{ err error }

func (f *fatalError) Error() string { return f.err.Error() }
func (f *fatalError) Unwrap() error { return f.err }

func isFatal(err error) bool {
	var f *fatalError
	return errors.As(err, &f)
}

// refusal makes an error of a status and the text that comes with it.
func refusal(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxText))
	resp.Body.Close()
	err := fmt.Errorf("m4s: %s %s: %s: %.*q", resp.Request.Method, resp.Request.URL.Redacted(), resp.Status, maxText, strings.TrimSpace(string(text)))
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return &fatalError{fmt.Errorf("%w: %w", err, ErrDenied)}
	case http.StatusNotFound:
		return fmt.Errorf("%w: %w", err, ErrNotFound)
	case http.StatusConflict:
		return fmt.Errorf("%w: %w", err, ErrBusy)
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return &fatalError{err}
	}
	return err
}

// tries spaces out a client's connections.
type tries struct {
	c     *Client
	wait  time.Duration
	since time.Time // of the newest success, or the beginning
}

func (c *Client) tries() *tries { return &tries{c: c, wait: c.Retry, since: time.Now()} }

// worked says that a connection was good.
func (t *tries) worked() { t.wait, t.since = t.c.Retry, time.Now() }

// again waits for the next try. It returns an error where there is none.
func (t *tries) again(ctx context.Context, err error) error {
	if isFatal(err) {
		return err
	}
	if t.c.GiveUp >= 0 && time.Since(t.since)+t.wait > t.c.GiveUp {
		return fmt.Errorf("m4s: given up after %v: %w", time.Since(t.since).Round(time.Millisecond), err)
	}
	timer := time.NewTimer(t.wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	t.wait = min(2*t.wait, t.c.MaxRetry)
	return nil
}
