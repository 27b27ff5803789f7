package rtc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// resource is a session as WHIP clients see it.
type resource struct {
	id      string
	session *Session
}

// tag is the entity tag of the ICE session: its user name fragment.
func (r *resource) tag() string {
	ufrag, _ := credentials(r.session.Answer())
	return `"` + ufrag + `"`
}

// resource serves the URL of a session.
func (h *WHIP) resource(w http.ResponseWriter, r *http.Request, id string) {
	res := h.find(id)
	switch {
	case r.Method == http.MethodOptions:
		w.Header().Set("Accept-Patch", fragmentType)
		w.WriteHeader(http.StatusNoContent)
	case res == nil:
		http.Error(w, "this session has ended", http.StatusNotFound)
	case r.Method == http.MethodDelete:
		res.session.Hangup()
		h.remove(id)
		w.WriteHeader(http.StatusOK)
	case r.Method == http.MethodPatch:
		res.patch(w, r)
	default:
		w.Header().Set("Allow", "OPTIONS, PATCH, DELETE")
		http.Error(w, "sessions are patched and deleted", http.StatusMethodNotAllowed)
	}
}

// patch takes candidates of the peer, or restarts ICE (RFC 9725, 4.3.1 to 3).
func (r *resource) patch(w http.ResponseWriter, req *http.Request) {
	match := req.Header.Get("If-Match")
	if match == "" {
		http.Error(w, `If-Match is missing: send the session's ETag, or "*" to restart ICE`, http.StatusPreconditionRequired)
		return
	}
	body, ok := readBody(w, req, fragmentType, maxFragment)
	if !ok {
		return
	}
	f, err := parseFragment(string(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s := r.session
	s.negotiating.Lock()
	defer s.negotiating.Unlock()
	if match != "*" && match != `"*"` {
		if match != r.tag() {
			http.Error(w, "the ICE session is another by now", http.StatusPreconditionFailed)
			return
		}
		if err := s.trickle(f); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if err := s.restartICE(req.Context(), f); err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("ETag", r.tag())
	w.Header().Set("Content-Type", fragmentType)
	_, _ = w.Write([]byte(answerFragment(s.Answer()))) // a client that is gone asks again
}

// fragment is an SDP fragment of RFC 8840.
type fragment struct {
	ufrag, pwd string
	candidates []webrtc.ICECandidateInit
}

func parseFragment(text string) (f fragment, err error) {
	mid, line := "", uint16(0)
	sections := 0
	for l := range strings.Lines(text) {
		l = strings.TrimRight(l, "\r\n")
		if strings.HasPrefix(l, "m=") {
			line = uint16(sections)
			sections, mid = sections+1, ""
			continue
		}
		name, value, _ := strings.Cut(strings.TrimPrefix(l, "a="), ":")
		switch name {
		case "ice-ufrag":
			f.ufrag = value
		case "ice-pwd":
			f.pwd = value
		case "mid":
			mid = value
		case "candidate":
			c := webrtc.ICECandidateInit{Candidate: "candidate:" + value}
			if mid != "" {
				id := mid
				c.SDPMid = &id
			} else {
				at := line
				c.SDPMLineIndex = &at
			}
			f.candidates = append(f.candidates, c)
		}
		if len(f.candidates) > maxCandidates || sections > maxSections {
			return f, fmt.Errorf("rtc: fragment with more than %d candidates or %d media sections", maxCandidates, maxSections)
		}
	}
	if len(f.ufrag) > 256 || len(f.pwd) > 256 {
		return f, errors.New("rtc: ICE credentials are too long")
	}
	return f, nil
}

// trickle takes further candidates of the peer. One that cannot be used, such as
// a .local name, is passed over.
func (s *Session) trickle(f fragment) error {
	ufrag, _ := credentials(s.offer())
	if f.ufrag != "" && f.ufrag != ufrag {
		return errors.New("rtc: candidates of another ICE session: to restart ICE, send If-Match: *")
	}
	if s.candidates += len(f.candidates); s.candidates > maxCandidates {
		return fmt.Errorf("rtc: more than %d candidates", maxCandidates)
	}
	for _, c := range f.candidates {
		if err := s.pc.AddICECandidate(c); err != nil {
			s.log.Debug("candidate not taken", "error", err)
		}
	}
	return nil
}

// restartICE negotiates anew with the peer's new credentials.
func (s *Session) restartICE(ctx context.Context, f fragment) error {
	if f.ufrag == "" || f.pwd == "" {
		return fmt.Errorf("rtc: restart ICE without a=ice-ufrag and a=ice-pwd: %w", ErrOffer)
	}
	select {
	case <-s.ended:
		return fmt.Errorf("rtc: restart ICE: %w", s.err)
	default:
	}
	offer, err := restarted(s.offer(), f)
	if err != nil {
		return err
	}
	s.candidates = len(f.candidates)
	return s.negotiate(ctx, offer)
}

func (s *Session) offer() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remote
}

// restarted is an offer with other credentials and candidates.
func restarted(offer string, f fragment) (string, error) {
	var d sdp.SessionDescription
	if err := d.UnmarshalString(offer); err != nil {
		return "", fmt.Errorf("rtc: offer in force: %w", err)
	}
	d.Origin.SessionVersion++
	renew := func(attributes []sdp.Attribute) (out []sdp.Attribute) {
		for _, a := range attributes {
			switch a.Key {
			case "ice-ufrag":
				a.Value = f.ufrag
			case "ice-pwd":
				a.Value = f.pwd
			case "candidate", "end-of-candidates":
				continue
			}
			out = append(out, a)
		}
		return out
	}
	d.Attributes = renew(d.Attributes)
	for i, m := range d.MediaDescriptions {
		m.Attributes = renew(m.Attributes)
		if i > 0 {
			continue // bundled with the first
		}
		for _, c := range f.candidates {
			m.Attributes = append(m.Attributes, sdp.Attribute{Key: "candidate", Value: strings.TrimPrefix(c.Candidate, "candidate:")})
		}
	}
	out, err := d.Marshal()
	return string(out), err
}

// credentials finds the first ICE credentials of a description.
func credentials(text string) (ufrag, pwd string) {
	for l := range strings.Lines(text) {
		l = strings.TrimRight(l, "\r\n")
		if v, ok := strings.CutPrefix(l, "a=ice-ufrag:"); ok && ufrag == "" {
			ufrag = v
		}
		if v, ok := strings.CutPrefix(l, "a=ice-pwd:"); ok && pwd == "" {
			pwd = v
		}
	}
	return ufrag, pwd
}

// answerFragment takes from an answer what a restart of ICE needs.
func answerFragment(answer string) string {
	ufrag, pwd := credentials(answer)
	var b strings.Builder
	fmt.Fprintf(&b, "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\n", ufrag, pwd)
	section := 0
	for l := range strings.Lines(answer) {
		l = strings.TrimRight(l, "\r\n")
		if strings.HasPrefix(l, "m=") {
			section++
		}
		if section != 1 {
			continue
		}
		for _, keep := range []string{"m=", "a=mid:", "a=candidate:", "a=end-of-candidates"} {
			if strings.HasPrefix(l, keep) {
				b.WriteString(l + "\r\n")
			}
		}
	}
	return b.String()
}
