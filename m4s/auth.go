package m4s

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Action is what a request wants of a stream.
type Action uint8

// The actions. Read is also asking for a key frame.
const (
	Read Action = iota + 1
	Write
)

// TokenHash is the SHA-256 of a token: what is kept of it.
type TokenHash [sha256.Size]byte

// HashToken returns a token's hash. Tokens are long random strings, so a plain
// hash is enough.
func HashToken(token string) TokenHash { return sha256.Sum256([]byte(token)) }

// Tokens are bearer tokens by what they are good for. The Authorize of a
// Handler may be that of Tokens.
type Tokens struct{ Read, Write []TokenHash }

// Authorize takes requests whose "Authorization: Bearer" header has a token
// for the action, compared in constant time. Its error wraps ErrDenied.
func (t Tokens) Authorize(r *http.Request, _ string, a Action) error {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		return fmt.Errorf("send a token (Authorization: Bearer …): %w", ErrDenied)
	}
	list := t.Read
	if a == Write {
		list = t.Write
	}
	got, found := HashToken(token), 0
	for _, h := range list {
		found |= subtle.ConstantTimeCompare(got[:], h[:])
	}
	if found == 0 {
		return fmt.Errorf("the token is not known here: %w", ErrDenied)
	}
	return nil
}

// ClientNames takes requests over mutual TLS from clients whose certificate is
// for one of the names. The server's tls.Config must verify certificates:
// ClientAuth is tls.RequireAndVerifyClientCert or
// tls.VerifyClientCertIfGiven.
type ClientNames []string

// Authorize implements the hook of a Handler. Its error wraps ErrDenied.
func (names ClientNames) Authorize(r *http.Request, _ string, _ Action) error {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return fmt.Errorf("a client certificate is needed: %w", ErrDenied)
	}
	cert := r.TLS.VerifiedChains[0][0]
	for _, n := range names {
		if slices.Contains(cert.DNSNames, n) {
			return nil
		}
	}
	return fmt.Errorf("the client certificate is for another name: %w", ErrDenied)
}
