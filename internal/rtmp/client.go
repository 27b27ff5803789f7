package rtmp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/rtmp/amf"
	"github.com/sluice-live/sluice/internal/rtmp/handshake"
)

// StatusError is a server's refusal.
type StatusError struct {
	Code        string // "NetStream.Publish.BadName", …
	Description string
	Redirect    string // URL that the server sends its clients to, if it does
}

// Error implements error.
func (e *StatusError) Error() string {
	if e.Description == "" {
		return "server says " + e.Code
	}
	return "server says " + e.Code + ": " + e.Description
}

// Client is a connection to a server, to publish to or to play from: one of
// the two, once.
type Client struct {
	*conn
	app, name string
	tcURL     string
	tx        float64

	// When publishing.
	mux    mux
	done   chan struct{} // closed when the reading goroutine has ended
	mu     sync.Mutex
	fanned bool  // a Fanout writes
	gone   error // why the peer left, or that it need not be told of the end
	closed bool
}

// defaultPorts has the port of each scheme.
var defaultPorts = map[string]string{"rtmp": "1935", "rtmps": "443"}

// clientTLS returns the configuration for a connection to host.
func (c Config) clientTLS(host string) *tls.Config {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLS != nil {
		cfg = c.TLS.Clone()
	}
	setDefault(&cfg.ServerName, host)
	return cfg
}

// maxRedirects bounds how many servers are asked one after the other.
const maxRedirects = 5

// Dial connects to the server of an rtmp:// or rtmps:// URL, whose path is the
// application and, behind its last slash, the stream's name, and to where that server
// redirects. It is bounded by ctx and, for each server, cfg.HandshakeTimeout.
func Dial(ctx context.Context, rawURL string, cfg Config) (*Client, error) {
	for range maxRedirects {
		c, err := dial(ctx, rawURL, cfg)
		var status *StatusError
		if !errors.As(err, &status) || status.Redirect == "" {
			return c, err
		}
		if rawURL, err = redirected(rawURL, status.Redirect); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("rtmp: dial: more than %d redirects", maxRedirects)
}

// redirected returns where a server leads that was dialled with URL from. It
// names the application, the name stays; some append the name.
func redirected(from, to string) (string, error) {
	f, err := url.Parse(from)
	if err != nil {
		return "", errors.New("rtmp: dial: want rtmp://host[:port]/app/name")
	}
	t, err := url.Parse(to)
	if err != nil || t.Scheme != "rtmp" && t.Scheme != "rtmps" || t.Host == "" {
		return "", errors.New("rtmp: dial: server redirects to what is no RTMP URL")
	}
	if f.Scheme == "rtmps" && t.Scheme == "rtmp" {
		return "", errors.New("rtmp: dial: server redirects from rtmps to rtmp, which would tell the key to everybody")
	}
	_, name := splitPath(f)
	key, query, _ := strings.Cut(name, "?")
	if !strings.HasSuffix(t.EscapedPath(), "/"+key) {
		t = t.JoinPath(key)
	}
	if t.RawQuery == "" {
		t.RawQuery = query
	}
	return t.String(), nil
}

// dial connects to one server.
func dial(ctx context.Context, rawURL string, cfg Config) (*Client, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || defaultPorts[u.Scheme] == "" {
		return nil, errors.New("rtmp: dial: want rtmp://host[:port]/app/name, or rtmps") // the URL holds a key
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), defaultPorts[u.Scheme])
	}
	cfg = cfg.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, cfg.HandshakeTimeout)
	defer cancel()
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, fmt.Errorf("rtmp: dial %s: %w", host, err)
	}
	watch(nc, cfg.WriteTimeout)
	if u.Scheme == "rtmps" {
		nc = tls.Client(nc, cfg.clientTLS(u.Hostname()))
	}
	c := &Client{conn: newConn(nc, cfg)}
	c.app, c.name = splitPath(u)
	c.tcURL = u.Scheme + "://" + u.Host + "/" + c.app
	if err := c.bounded(ctx, c.connect); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("rtmp: dial %s: %w", host, err)
	}
	return c, nil
}

func splitPath(u *url.URL) (app, name string) {
	path := strings.Trim(u.EscapedPath(), "/")
	app = path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		app, name = path[:i], path[i+1:]
	}
	if u.RawQuery != "" {
		name += "?" + u.RawQuery
	}
	return app, name
}

// bounded runs f, whose reads and writes end with ctx.
func (c *Client) bounded(ctx context.Context, f func() error) error {
	stop := context.AfterFunc(ctx, func() { _ = c.nc.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	err := c.within(ctx, f)
	if ctx.Err() != nil && err != nil {
		return context.Cause(ctx)
	}
	return peerGone(err)
}

func (c *Client) connect() error {
	if err := handshake.Client(struct {
		io.Reader
		io.Writer
	}{c.in, c.nc}, c.cfg.Digests); err != nil {
		return err
	}
	c.letIn()
	err := c.write(append(hello()[2:], call("connect", c.nextTx(), append(amf.Object{
		{Name: "app", Value: c.app},
		{Name: "type", Value: "nonprivate"},
		{Name: "flashVer", Value: "FMLE/3.0 (compatible; Sluice)"},
		{Name: "tcUrl", Value: c.tcURL},
	}, ourCaps()...)))...)
	if err != nil {
		return err
	}
	res, err := c.await(c.tx)
	for _, a := range res.args {
		c.caps.read(amf.Members(a))
	}
	c.mux.many = c.cfg.Multitrack && c.caps.ex&capMultitrack != 0
	return err
}

func (c *Client) nextTx() float64 {
	c.tx++
	return c.tx
}

// await reads until the answer to a call.
func (c *Client) await(tx float64) (command, error) {
	return c.awaitFunc(func(cmd command) (bool, error) {
		if cmd.tx != tx || cmd.name != "_result" && cmd.name != "_error" {
			return false, nil
		}
		if cmd.name == "_error" {
			return true, cmd.refused()
		}
		return true, nil
	})
}

func (c *Client) awaitFunc(f func(command) (bool, error)) (command, error) {
	for {
		m, err := c.read()
		if err != nil {
			return command{}, err
		}
		if !isCommand(m) {
			continue
		}
		cmd, err := parseCommand(m)
		if err != nil {
			return cmd, err
		}
		if done, err := f(cmd); done || err != nil {
			return cmd, err
		}
	}
}

// start creates the message stream, sends the command on it and waits for
// the status that says yes.
func (c *Client) start(cmd string, yes string, args ...any) (uint32, error) {
	tx := c.nextTx()
	if err := c.write(call("createStream", tx, nil)); err != nil {
		return 0, err
	}
	res, err := c.await(tx)
	if err != nil {
		return 0, err
	}
	id, _ := res.arg(1).(float64)
	stream := uint32(id)
	m := call(cmd, c.nextTx(), append([]any{nil, c.name}, args...)...)
	m.Stream = stream
	if err := c.write(m); err != nil {
		return 0, err
	}
	_, err = c.awaitFunc(func(cmd command) (bool, error) {
		code, _ := cmd.status()
		if cmd.name != "onStatus" || code == "" {
			return false, nil
		}
		if code == yes {
			return true, nil
		}
		for _, a := range cmd.args {
			if amf.Members(a).String("level") == "error" {
				return true, cmd.refused()
			}
		}
		return false, nil
	})
	return stream, err
}

// Publish asks the server for leave to publish; after it WritePacket may be
// called. Time stamps count from began; if it is zero, from the first packet.
func (c *Client) Publish(ctx context.Context, began time.Time) error {
	err := c.bounded(ctx, func() error {
		if err := c.write(
			call("releaseStream", c.nextTx(), nil, c.name),
			call("FCPublish", c.nextTx(), nil, c.name),
		); err != nil {
			return err
		}
		stream, err := c.start("publish", "NetStream.Publish.Start", "live")
		c.mux.stream, c.mux.publish = stream, true
		return err
	})
	if err != nil {
		return fmt.Errorf("rtmp: publish to %s: %w", remote(c.nc), err)
	}
	c.mux.began = began
	c.done = make(chan struct{})
	c.in.ctx, c.in.idle = nil, 0
	go c.listen()
	return nil
}

// listen answers pings and notices when the server leaves or refuses, while
// the Client publishes. Close ends it.
func (c *Client) listen() {
	defer close(c.done)
	_, err := c.awaitFunc(func(cmd command) (bool, error) {
		if code, _ := cmd.status(); strings.HasPrefix(code, "NetStream.Publish.") || strings.HasPrefix(code, "NetConnection.") {
			return true, cmd.refused()
		}
		return false, nil
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = peerGone(err)
	if !c.fanned {
		_ = c.nc.SetWriteDeadline(time.Unix(1, 0)) // a write under way has no one to go to
	}
}

// Describe sends onMetaData of the tracks. WritePacket does it by itself for
// tracks that it comes to know; telling of all at once spares players a guess.
func (c *Client) Describe(ctx context.Context, tracks []*sluice.Track) error {
	for _, t := range everyonesFirst(tracks) {
		c.mux.add(t)
	}
	if len(c.mux.tracks) == 0 {
		return fmt.Errorf("rtmp: publish: %w: no track can be carried", ErrCodec)
	}
	return c.describe(ctx, 0)
}

func (c *Client) describe(ctx context.Context, at uint32) error {
	if err := c.caps.check(c.mux.tracks); err != nil {
		return fmt.Errorf("rtmp: publish to %s: %w", remote(c.nc), err)
	}
	b, err := c.mux.setup().messages(at)
	if err != nil {
		return err
	}
	return c.send(ctx, [][]byte{b})
}

// WritePacket sends a packet; packets of tracks that RTMP does not carry are
// passed over. It returns an error that says why if the server has left or
// refuses. One goroutine at a time may call it.
func (c *Client) WritePacket(ctx context.Context, p sluice.Packet) error {
	if c.mux.add(p.Track) {
		at, _ := c.mux.stamp(p)
		if err := c.describe(ctx, uint32(at)); err != nil {
			return err
		}
	}
	if p.Data == nil || !c.mux.carries(p.Track) {
		return nil
	}
	c.blocks.Add(1)
	bufs, _ := c.mux.cut(p)
	return c.send(ctx, bufs)
}

func (c *Client) send(ctx context.Context, bufs [][]byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	_ = c.nc.SetWriteDeadline(time.Now().Add(c.cfg.WriteTimeout))
	stop := context.AfterFunc(ctx, func() { _ = c.nc.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	c.mu.Lock()
	gone := c.gone
	c.mu.Unlock()
	if gone == nil {
		n, err := c.writeAll(bufs)
		c.sent.Add(uint64(n))
		if err == nil {
			return nil
		}
		// A message cut in half cannot be followed by another.
		c.mu.Lock()
		if c.gone == nil {
			c.gone = err
		}
		gone = c.gone
		c.mu.Unlock()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("rtmp: publish to %s: %w", remote(c.nc), peerGone(gone))
}

// writeAll writes slices as one: with one system call if the connection is a
// socket, else in one piece, so that TLS makes no record of each.
func (c *Client) writeAll(bufs [][]byte) (int64, error) {
	if _, ok := c.nc.(*net.TCPConn); ok {
		b := net.Buffers(bufs)
		return b.WriteTo(c.nc)
	}
	n, err := c.nc.Write(slices.Concat(bufs...))
	return int64(n), err
}

// Play asks for the stream and returns it as a Source that owns the
// connection.
func (c *Client) Play(ctx context.Context) (*Publisher, error) {
	var stream uint32
	err := c.bounded(ctx, func() (err error) {
		stream, err = c.start("play", "NetStream.Play.Start", -2)
		if err != nil {
			return err
		}
		length := userControl(eventBufferLength, stream) // as players send it
		length.Data = append(length.Data, 0, 0, 0x0b, 0xb8)
		return c.write(length)
	})
	if err != nil {
		return nil, fmt.Errorf("rtmp: play from %s: %w", remote(c.nc), err)
	}
	return newPublisher(c.conn, stream), nil
}

// farewell ends the publication. A server that takes nothing is not waited for.
func (c *Client) farewell() {
	b := coded(call("FCUnpublish", 0, nil, c.name), call("deleteStream", 0, nil, float64(c.mux.stream)))
	_ = c.nc.SetWriteDeadline(time.Now().Add(time.Second)) // for a write under way as well
	c.wmu.Lock()
	defer c.wmu.Unlock()
	_ = c.nc.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = c.nc.Write(b)
}

// Close ends a publication properly, if there is one, and closes the
// connection. It is idempotent.
func (c *Client) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	publishing := c.done != nil && c.gone == nil
	c.mu.Unlock()
	if first && publishing {
		c.farewell()
	}
	err := c.conn.Close()
	if c.done != nil {
		<-c.done
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
