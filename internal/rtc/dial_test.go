package rtc

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
)

// Keys that were to go over TLS go over nothing else, whatever the server says.
func TestDialDoesNotLeaveTLS(t *testing.T) {
	var told []string
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told = append(told, r.Method+" "+r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusNotFound)
	}))
	defer plain.Close()
	deleted := 0
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodDelete:
			deleted++
		case r.URL.Path == "/redirects":
			http.Redirect(w, r, plain.URL, http.StatusTemporaryRedirect)
		default: // as behind a proxy that does TLS
			w.Header().Set("Location", "http://"+r.Host+"/session")
			w.WriteHeader(http.StatusCreated)
		}
	}))
	defer secure.Close()
	track, err := codec.VP(sluice.VP08, 0, 8, 64, 64)
	require.NoError(t, err)
	cfg := ClientConfig{Token: "KEY", HTTP: secure.Client()}
	_, err = Dial(t.Context(), secure.URL+"/redirects", []*sluice.Track{track}, cfg)
	require.ErrorContains(t, err, "from https to http")
	_, err = Dial(t.Context(), secure.URL+"/answers", []*sluice.Track{track}, cfg)
	require.ErrorContains(t, err, "take the answer")
	assert.Equal(t, 1, deleted)
	assert.Empty(t, told)
}
