package rtc

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sluice-live/sluice/internal/access"
)

// WHIP is the HTTP side of RFC 9725. It serves POST and OPTIONS of /whip and
// /whip/{key}, under any prefix, and PATCH and DELETE of the sessions below
// /whip/session/, whose names cannot be guessed.
type WHIP struct {
	// Publish admits a publisher: it has r's peer and key checked and returns
	// the session that [Server.Answer] made of the offer, or an error that is
	// for the peer to read. ctx is the HTTP request's: the session outlives it.
	Publish func(ctx context.Context, r *access.Request, o *Offer) (*Session, error)
	// ICEServers are told to clients, with credentials only to those admitted.
	ICEServers []ICEServer

	mu       sync.Mutex
	sessions map[string]*resource
}

const (
	sdpType      = "application/sdp"
	fragmentType = "application/trickle-ice-sdpfrag"
	maxFragment  = 16 << 10
	bodyTime     = 10 * time.Second
	sessionPath  = "/session/"
)

// ServeHTTP implements http.Handler.
func (h *WHIP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	cors(w.Header())
	base, rest, ok := cutEndpoint(r.URL.Path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if id, ok := strings.CutPrefix(rest, sessionPath); ok {
		h.resource(w, r, id)
		return
	}
	key := strings.TrimPrefix(rest, "/")
	switch {
	case strings.Contains(key, "/"):
		http.NotFound(w, r)
	case r.Method == http.MethodOptions:
		w.Header().Set("Accept-Post", sdpType)
		h.links(w.Header(), false)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPost:
		h.post(w, r, base, key)
	default:
		w.Header().Set("Allow", "OPTIONS, POST")
		http.Error(w, "post an SDP offer here, as WHIP clients do (RFC 9725)", http.StatusMethodNotAllowed)
	}
}

// cutEndpoint splits a path behind /whip.
func cutEndpoint(path string) (base, rest string, ok bool) {
	i := strings.Index(path+"/", "/whip/")
	if i < 0 {
		return "", "", false
	}
	i += len("/whip")
	return path[:i], strings.TrimSuffix(path[i:], "/"), true
}

// cors lets pages of every origin publish; what they need is the key.
func cors(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "OPTIONS, POST, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
	h.Set("Access-Control-Expose-Headers", "Location, ETag, Link, Accept-Patch, Accept-Post")
	h.Set("Access-Control-Max-Age", "86400")
	h.Set("Cache-Control", "no-store")
}

// links adds a Link header for each ICE server (RFC 9725, 4.6). Whoever has shown
// no key is told of those only that want no password.
func (h *WHIP) links(header http.Header, admitted bool) {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	for _, s := range h.ICEServers {
		link := fmt.Sprintf(`<%s>; rel="ice-server"`, s.URL)
		if s.Username != "" || s.Credential != "" {
			if !admitted {
				continue
			}
			link += fmt.Sprintf(`; username="%s"; credential="%s"; credential-type="password"`, quote.Replace(s.Username), quote.Replace(s.Credential))
		}
		header.Add("Link", link)
	}
}

// post starts a session.
func (h *WHIP) post(w http.ResponseWriter, r *http.Request, base, key string) {
	if key == "" {
		if scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
			key = strings.TrimSpace(token)
		}
	}
	if key == "" {
		w.Header().Set("WWW-Authenticate", `Bearer realm="whip"`)
		http.Error(w, "the stream key is missing: put it into the path, /whip/KEY, or into Authorization: Bearer KEY", http.StatusUnauthorized)
		return
	}
	body, ok := readBody(w, r, sdpType, maxOffer)
	if !ok {
		return
	}
	offer, err := ParseOffer(body)
	if err != nil {
		refuse(w, err)
		return
	}
	query := r.URL.Query()
	offer.TCPOnly = query.Get("transport") == "tcp"
	session, err := h.Publish(r.Context(), &access.Request{
		Protocol: "webrtc", Remote: r.RemoteAddr, Name: key, Query: query, Agent: r.UserAgent(),
	}, offer)
	if err != nil {
		refuse(w, err)
		return
	}
	res := h.add(session)
	header := w.Header()
	header.Set("Content-Type", sdpType)
	header.Set("Location", base+sessionPath+res.id)
	header.Set("ETag", res.tag())
	header.Set("Accept-Patch", fragmentType)
	h.links(header, true)
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, session.Answer()) // a client that is gone sends no media
}

// readBody reads a body of the type, or answers why not.
func readBody(w http.ResponseWriter, r *http.Request, contentType string, most int64) ([]byte, bool) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != contentType {
		http.Error(w, "the body has to be of type "+contentType, http.StatusUnsupportedMediaType)
		return nil, false
	}
	rc := http.NewResponseController(w) // servers that know no deadlines have their own
	_ = rc.SetReadDeadline(time.Now().Add(bodyTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err == nil { // else the server would wait for the rest
		_ = rc.SetReadDeadline(time.Time{})
	}
	var large *http.MaxBytesError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		http.Error(w, fmt.Sprintf("the body did not arrive within %v", bodyTime), http.StatusRequestTimeout)
	case errors.As(err, &large):
		http.Error(w, fmt.Sprintf("the body is larger than %d kB", most>>10), http.StatusRequestEntityTooLarge)
	case err != nil:
		http.Error(w, "the body did not arrive", http.StatusBadRequest)
	default:
		return body, true
	}
	return nil, false
}

// refuse answers an error that is for the peer to read.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, ErrCodec):
		status = http.StatusUnprocessableEntity
	case errors.Is(err, ErrOffer):
		status = http.StatusBadRequest
	case errors.Is(err, access.ErrDenied):
		status = http.StatusForbidden
	case errors.Is(err, access.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, access.ErrBusy):
		status = http.StatusConflict
	case errors.Is(err, ErrFull), errors.Is(err, errClosed):
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "5")
	}
	http.Error(w, err.Error(), status)
}

// add gives a session a name, for as long as it lasts.
func (h *WHIP) add(s *Session) *resource {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	res := &resource{id: hex.EncodeToString(id[:]), session: s}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sessions == nil {
		h.sessions = make(map[string]*resource)
	}
	if s.onEnd(func() { h.remove(res.id) }) {
		h.sessions[res.id] = res
	}
	return res
}

func (h *WHIP) remove(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sessions, id)
}

// find returns a session by its name.
func (h *WHIP) find(id string) *resource {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[id]
}
