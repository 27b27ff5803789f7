package m4s

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// A server that takes no pushes counts none.
func TestRefusedPushIsNotCounted(t *testing.T) {
	h := &Handler{}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/m4s/demo", nil))
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Zero(t, h.stats.pushes.Load())
}
