package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// tlsFlags are RTMP over TLS and its certificate.
type tlsFlags struct {
	RTMPS string `name:"rtmps" env:"UGC_RTMPS" placeholder:"ADDR" help:"Address for RTMP over TLS, such as :443 or :1936; needs --tls-cert and --tls-key."`
	Cert  string `name:"tls-cert" env:"UGC_TLS_CERT" type:"existingfile" placeholder:"PEM" help:"Certificate, with those of its issuers behind it; read again when the file changes."`
	Key   string `name:"tls-key" env:"UGC_TLS_KEY" type:"existingfile" placeholder:"PEM" help:"Private key of the certificate."`
}

// config returns what a server needs to speak TLS; nil if it is not to.
func (f tlsFlags) config(log *slog.Logger) (*tls.Config, error) {
	if f.RTMPS == "" {
		return nil, nil
	}
	if f.Cert == "" || f.Key == "" {
		return nil, errors.New("--rtmps needs a certificate: give --tls-cert and --tls-key")
	}
	c := &certificate{flags: f, log: log}
	if _, err := c.get(nil); err != nil {
		return nil, err
	}
	return &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12}, nil
}

// certificate follows its files, which are renewed every few weeks.
type certificate struct {
	flags tlsFlags
	log   *slog.Logger

	mu       sync.Mutex
	cert     *tls.Certificate
	modified time.Time // of the file that cert is from
	trouble  string    // with the newest one, as it was logged
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := os.Stat(c.flags.Cert)
	if err == nil && c.cert != nil && info.ModTime().Equal(c.modified) {
		return c.cert, nil
	}
	var cert tls.Certificate
	if err == nil {
		cert, err = tls.LoadX509KeyPair(c.flags.Cert, c.flags.Key)
	}
	switch {
	case err == nil:
		c.cert, c.modified, c.trouble = &cert, info.ModTime(), ""
	case c.cert == nil:
		return nil, fmt.Errorf("TLS certificate: %w", err)
	case c.trouble != err.Error():
		c.trouble = err.Error()
		c.log.Warn("the renewed TLS certificate cannot be used, the old one goes on", "error", err)
	}
	return c.cert, nil // the old one, while a new one is half written
}
