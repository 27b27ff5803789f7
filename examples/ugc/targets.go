package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/ingest"
)

// maxPushed bounds the streams that have push targets.
const maxPushed = 1000

// targets are the push targets of all streams, live or not.
type targets struct {
	log   *slog.Logger
	sound func(stream string) sluice.Transform // nil Transform: none

	mu  sync.Mutex
	all map[string]*pushed
}

// pushed is one stream's.
type pushed struct {
	ingest.Targets
	live int // broadcasts that hold it
}

var targetStream = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

func checkStream(name string) error {
	if !targetStream.MatchString(name) {
		return fmt.Errorf("%q is no stream's name: 1 to 64 of a-z 0-9 _ -, beginning with a letter or digit", name)
	}
	return nil
}

// addAll adds what --push says: NAME=URL, or several divided by spaces.
func (t *targets) addAll(list []string) error {
	for _, s := range list {
		for _, one := range strings.Fields(s) {
			stream, url, ok := strings.Cut(one, "=")
			if !ok {
				return errors.New("--push: write it as NAME=URL, NAME being the stream's name") // it may hold a key
			}
			if err := t.add(stream, ingest.Push(url)); err != nil {
				return fmt.Errorf("--push %s: %w", stream, err)
			}
		}
	}
	return nil
}

// add gives a stream a target. One without a name is called after its host.
func (t *targets) add(stream string, target *ingest.Target) error {
	if err := checkStream(stream); err != nil {
		return err
	}
	target.Log = t.log.With("stream", stream)
	if sound := t.sound(stream); sound != nil {
		target.Transform = sound
	}
	p, err := t.hold(stream)
	if err != nil {
		return err
	}
	defer t.release(stream)
	err = p.Add(target)
	for n, host := 2, target.Stats().Name; target.Name != host && errors.Is(err, ingest.ErrTargetExists); n++ {
		target.Name = fmt.Sprintf("%s-%d", host, n)
		err = p.Add(target)
	}
	return err
}

// hold returns a stream's targets; release lets those go that are none.
func (t *targets) hold(stream string) (*pushed, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.all[stream]
	if p == nil {
		if len(t.all) >= maxPushed {
			return nil, fmt.Errorf("%d streams have push targets already", maxPushed)
		}
		p = new(pushed)
		if t.all == nil {
			t.all = make(map[string]*pushed)
		}
		t.all[stream] = p
	}
	p.live++
	return p, nil
}

func (t *targets) release(stream string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.all[stream]
	if p.live--; p.live == 0 && len(p.Stats()) == 0 {
		delete(t.all, stream)
	}
}

// sink pushes a stream to its targets, those that it has yet to get included.
func (t *targets) sink(stream string) sluice.Sink {
	return sluice.SinkFunc(func(ctx context.Context, src sluice.Source) error {
		p, err := t.hold(stream)
		if err != nil { // viewers shall not suffer
			t.log.Warn("stream is not pushed", "stream", stream, "error", err)
			p = new(pushed)
		} else {
			defer t.release(stream)
		}
		return p.Consume(ctx, src)
	})
}

// stats returns what the targets of a stream do.
func (t *targets) stats(stream string) []ingest.TargetStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.all[stream]; p != nil {
		return p.Stats()
	}
	return nil
}

func (t *targets) remove(stream, name string) bool {
	p, err := t.hold(stream)
	if err != nil {
		return false
	}
	defer t.release(stream)
	return p.Remove(name)
}

func (t *targets) collector() prometheus.Collector {
	return ingest.TargetCollector(func() map[string][]ingest.TargetStats {
		t.mu.Lock()
		defer t.mu.Unlock()
		all := make(map[string][]ingest.TargetStats)
		for stream, p := range t.all {
			all[stream] = p.Stats()
		}
		return all
	})
}

func (t *targets) routes(mux *http.ServeMux) {
	const path = "/api/v1/live/{stream}/targets"
	mux.HandleFunc("GET "+path, local(func(w http.ResponseWriter, r *http.Request) {
		all := t.stats(r.PathValue("stream"))
		reply(w, map[string]any{"targets": append([]ingest.TargetStats{}, all...)})
	}))
	mux.HandleFunc("POST "+path, local(t.post))
	mux.HandleFunc("DELETE "+path+"/{target}", local(func(w http.ResponseWriter, r *http.Request) {
		if !t.remove(r.PathValue("stream"), r.PathValue("target")) {
			refuse(w, http.StatusNotFound, "", "the stream has no such target")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
}

// post adds a target: {"url", "name", "token", "height"}, of which only url is
// needed.
func (t *targets) post(w http.ResponseWriter, r *http.Request) {
	var in struct {
		URL    string `json:"url"`
		Name   string `json:"name"`
		Token  string `json:"token"`
		Height int    `json:"height"`
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "", `send {"url": …} as application/json`)
		return
	}
	body := http.MaxBytesReader(w, r.Body, 16<<10)
	if err := json.NewDecoder(body).Decode(&in); err != nil {
		refuse(w, http.StatusBadRequest, "", `send {"url": …, "name": …, "token": …, "height": lines at most}; all but url may be left out`)
		return
	}
	target := &ingest.Target{URL: in.URL, Name: in.Name, Token: in.Token, Rendition: ingest.Rendition{Height: in.Height}}
	if field, err := check(r.PathValue("stream"), target); err != nil {
		refuse(w, http.StatusBadRequest, field, err.Error())
		return
	}
	err := t.add(r.PathValue("stream"), target)
	switch {
	case errors.Is(err, ingest.ErrTargetExists):
		refuse(w, http.StatusConflict, "name", err.Error())
	case err != nil:
		refuse(w, http.StatusConflict, "", err.Error())
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(target.Stats()) // an error means that the client is gone
	}
}

// check returns what is wrong with a target that a client wants, and in which
// field of its request.
func check(stream string, target *ingest.Target) (field string, err error) {
	if err := checkStream(stream); err != nil {
		return "stream", err
	}
	if n := target.Name; len(n) > 64 || strings.ContainsFunc(n, unicode.IsControl) || n == "." || n == ".." {
		return "name", errors.New("a target's name has up to 64 bytes, all of them printable")
	}
	if target.Rendition.Height < 0 {
		return "height", errors.New("the height is a number of lines, 0 or none for the largest there are")
	}
	return "url", target.Check()
}

// refuse says why not, and which field of the request is to blame, if one is.
func refuse(w http.ResponseWriter, status int, field, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": reason, "field": field}) // an error means that the client is gone
}

// local lets only clients on this machine in, themselves: a proxy's may be from
// anywhere, and so may be the page that a browser here has open.
func local(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !fromHere(r) {
			refuse(w, http.StatusForbidden, "", "push targets are shown and changed only from this machine, at http://127.0.0.1: whoever "+
				"names them makes this server connect wherever they like, and there are no accounts to tell who may")
			return
		}
		h(w, r)
	}
}

func fromHere(r *http.Request) bool {
	loopback := func(hostport string) bool {
		host, _, err := net.SplitHostPort(hostport)
		if err != nil {
			host = hostport
		}
		ip := net.ParseIP(strings.Trim(host, "[]"))
		return host == "localhost" || ip != nil && ip.IsLoopback()
	}
	// nginx, as it comes, names this machine as the host and says nothing of its
	// client, but speaks HTTP/1.0.
	if !r.ProtoAtLeast(1, 1) {
		return false
	}
	for _, by := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(by) != "" {
			return false
		}
	}
	origin := r.Header.Get("Origin")
	return loopback(r.RemoteAddr) && loopback(r.Host) && (origin == "" || origin == "http://"+r.Host)
}
