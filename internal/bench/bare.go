package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// launchBare starts this program again as
//
//	bench bare ADDR FILE
//
// an HTTP server that does nothing but answer with the file's content, from
// memory: what a handler in Go cannot be faster than.
func launchBare(body []byte) launcher {
	return func(ctx context.Context) (*server, error) {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		s, err := newServer(netHTTP, "")
		if err != nil {
			return nil, err
		}
		file := filepath.Join(s.dir, "body")
		if err := os.WriteFile(file, body, 0o600); err != nil {
			return nil, err
		}
		s.rtmp = s.http // it has one port
		return s, s.start(ctx, self, "bare", s.http, file)
	}
}

// bareMain is the bare server's process.
func bareMain(addr, file string) error {
	body, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	kind, length := []string{"application/vnd.apple.mpegurl"}, []string{strconv.Itoa(len(body))}
	s := http.Server{
		Addr: addr, ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h["Content-Type"], h["Content-Length"] = kind, length
			_, _ = w.Write(body) // an error means that the client has left
		}),
	}
	return s.ListenAndServe()
}
