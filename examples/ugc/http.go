package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// httpDrain is how long players that are mid-request may take at the end.
const httpDrain = 10 * time.Second

// m4sDrain is how long pulls may take for what is left. Pushed streams do not
// end by themselves.
const m4sDrain = 2 * time.Second

// httpServers are the HTTP servers of the process.
type httpServers struct {
	servers []*http.Server
	running sync.WaitGroup
}

// listen starts a server on addr, which flag sets.
func (h *httpServers) listen(flag, addr string, handler http.Handler, log *slog.Logger) (net.Addr, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for HTTP (choose another address with %s): %w", flag, err)
	}
	s := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	h.servers = append(h.servers, s)
	h.running.Go(func() {
		if err := s.Serve(l); err != http.ErrServerClosed {
			log.Error("HTTP server ended", "address", addr, "error", err)
		}
	})
	return l.Addr(), nil
}

// drain lets requests under way end, and closes what takes too long.
func (h *httpServers) drain(log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), httpDrain)
	defer cancel()
	for _, s := range h.servers {
		if err := s.Shutdown(ctx); err != nil {
			log.Warn("HTTP clients cut off", "error", err)
		}
	}
}

func (h *httpServers) close() {
	for _, s := range h.servers {
		_ = s.Close() // what it would say, drain has said
	}
	h.running.Wait()
}
