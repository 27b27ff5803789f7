package rtmp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/sluice-live/sluice/internal/access"
	"github.com/sluice-live/sluice/internal/rtmp/amf"
	"github.com/sluice-live/sluice/internal/rtmp/chunk"
	"github.com/sluice-live/sluice/internal/rtmp/handshake"
)

// ServerConn is a client's connection that has asked to publish or to play and
// waits for the answer: Reject, Publish, or a Fanout's Serve.
type ServerConn struct {
	*conn
	req    access.Request
	app    string
	tcURL  string
	play   bool
	stream uint32 // message stream of the publish or play command
}

// maxCommands bounds what comes before publish or play. OBS sends five.
const maxCommands = 64

// Accept takes a connection as far as its publish or play command, which it
// leaves unanswered. It is bounded by ctx and cfg.HandshakeTimeout. When it
// fails it has closed nc.
func Accept(ctx context.Context, nc net.Conn, cfg Config) (*ServerConn, error) {
	c := &ServerConn{conn: newConn(nc, cfg)}
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.HandshakeTimeout,
		fmt.Errorf("no publish or play within %v: %w", c.cfg.HandshakeTimeout, context.DeadlineExceeded))
	defer cancel()
	// Closing ends a write to a peer that reads nothing, too.
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	err := c.within(ctx, c.accept)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("rtmp: accept %s: %w", remote(nc), peerGone(err))
	}
	return c, nil
}

func remote(nc net.Conn) string {
	if a := nc.RemoteAddr(); a != nil {
		return a.String()
	}
	return ""
}

func (c *ServerConn) accept() error {
	if err := handshake.Server(struct {
		io.Reader
		io.Writer
	}{c.in, c.nc}); err != nil {
		return err
	}
	for range maxCommands {
		m, err := c.read()
		if err != nil {
			return err
		}
		if !isCommand(m) {
			continue
		}
		cmd, err := parseCommand(m)
		if err != nil {
			return err
		}
		if done, err := c.setUp(cmd); done || err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: %d commands without publish or play", ErrProtocol, maxCommands)
}

// setUp deals with a command of the time before publish or play, and reports
// whether it is one of those.
func (c *ServerConn) setUp(cmd command) (done bool, err error) {
	switch cmd.name {
	case "connect":
		return false, c.connect(cmd)
	case "createStream":
		return false, c.write(result(cmd.tx, nil, mediaStream))
	case "publish", "play", "play2":
		return true, c.asked(cmd)
	}
	return false, c.answer(cmd)
}

// answer answers what clients send around publish and play. Encoders of the
// family of FMLE wait for onFCPublish.
func (c *ServerConn) answer(cmd command) error {
	var out []chunk.Message
	switch cmd.name {
	case "FCPublish":
		out = append(out, call("onFCPublish", 0, nil, amf.Object{
			{Name: "code", Value: "NetStream.Publish.Start"}, {Name: "description", Value: cmd.str(1)},
		}))
	case "getStreamLength":
		return c.write(result(cmd.tx, nil, 0))
	case "_result", "_error", "onStatus", "deleteStream", "closeStream":
		return nil
	}
	if cmd.tx != 0 {
		out = append(out, result(cmd.tx, nil, amf.Undefined{}))
	}
	if len(out) == 0 {
		return nil
	}
	return c.write(out...)
}

func (c *ServerConn) connect(cmd command) error {
	o := amf.Members(cmd.arg(0))
	c.app, c.tcURL = o.String("app"), o.String("tcUrl")
	c.req.Agent = o.String("flashVer")
	info := amf.Object{
		{Name: "level", Value: "status"},
		{Name: "code", Value: "NetConnection.Connect.Success"},
		{Name: "description", Value: "Connection succeeded."},
		{Name: "objectEncoding", Value: 0}, // we speak AMF0 to those as well who offer AMF3
	}
	c.caps = caps{}
	if c.caps.read(o); c.caps.said || c.caps.ex != 0 {
		info = append(info, ourCaps()...)
	}
	return c.write(append(hello(), result(cmd.tx,
		amf.Object{{Name: "fmsVer", Value: "FMS/3,0,1,123"}, {Name: "capabilities", Value: 31}}, info))...)
}

// asked notes what is asked for.
func (c *ServerConn) asked(cmd command) error {
	if c.app == "" && c.tcURL == "" {
		return fmt.Errorf("%w: %s before connect", ErrProtocol, cmd.name)
	}
	c.play = cmd.name != "publish"
	c.stream = cmd.m.Stream
	name := cmd.str(1)
	if cmd.name == "play2" {
		name = amf.Members(cmd.arg(1)).String("streamName")
	}
	c.req.Protocol, c.req.Remote = "rtmp", remote(c.nc)
	if _, ok := c.nc.(*tls.Conn); ok {
		c.req.Protocol = "rtmps"
	}
	c.app, c.req.Name, c.req.Query = target(c.app, c.tcURL, name)
	c.req.Token = c.req.Query.Get("token")
	c.req.Query.Del("token")
	return nil
}

// target finds the application, the name and the query in what a client sent.
// Encoders that know a URL only leave the stream's name empty: then it is the
// last element of the application's path behind the first.
func target(app, tcURL, stream string) (string, string, url.Values) {
	q := url.Values{}
	app, appQuery, _ := strings.Cut(app, "?")
	if appQuery == "" {
		_, appQuery, _ = strings.Cut(tcURL, "?")
	}
	name, nameQuery, _ := strings.Cut(stream, "?")
	for _, s := range []string{appQuery, nameQuery} {
		// What can be parsed counts.
		vs, _ := url.ParseQuery(s)
		for k, v := range vs {
			q[k] = v
		}
	}
	app, name = strings.Trim(app, "/"), strings.Trim(name, "/")
	if i := strings.LastIndexByte(app, '/'); name == "" && i >= 0 {
		app, name = app[:i], app[i+1:]
	}
	return app, name, q
}

// Request says what the client asks for: Name is the key when publishing and
// the stream when playing. It is valid for as long as c is.
func (c *ServerConn) Request() *access.Request { return &c.req }

// Play reports whether the client wants to play; else it wants to publish.
func (c *ServerConn) Play() bool { return c.play }

// App returns the application part of the client's URL, without its query.
// It decides nothing.
func (c *ServerConn) App() string { return c.app }

// refusal is the status code that says an error.
func (c *ServerConn) refusal(err error) string {
	switch {
	case !c.play && errors.Is(err, access.ErrBusy):
		return "NetStream.Publish.BadName"
	case !c.play:
		return "NetStream.Publish.Denied"
	case errors.Is(err, access.ErrNotFound):
		return "NetStream.Play.StreamNotFound"
	}
	return "NetStream.Play.Failed"
}

// lingerTime and lingerBytes bound the wait for a refused client to hang up.
const (
	lingerTime  = time.Second
	lingerBytes = 1 << 20
)

// explain is an error's text as far as a peer shall see it.
func explain(reason error) string {
	text := []rune(reason.Error())
	return string(text[:min(len(text), 500)])
}

// Reject tells the client why it may not, with the error's text, waits up to a
// second for it to hang up, and closes the connection.
func (c *ServerConn) Reject(reason error) error {
	err := c.write(onStatus(c.stream, "error", c.refusal(reason), explain(reason)))
	if err == nil {
		c.linger()
	}
	return errors.Join(err, c.Close())
}

// linger ends our side and reads on for a while: closing with bytes unread
// would take back what was just sent.
func (c *conn) linger() {
	if w, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite()
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, c.nc, lingerBytes)
}

// Publish tells the client to go on. The Publisher owns the connection.
func (c *ServerConn) Publish(ctx context.Context) (*Publisher, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.letIn()
	err := c.write(
		userControl(eventStreamBegin, mediaStream),
		onStatus(c.stream, "status", "NetStream.Publish.Start", "publishing"),
	)
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("rtmp: publish: %w", err)
	}
	return newPublisher(c.conn, c.stream), nil
}
