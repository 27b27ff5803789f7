package m4s

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

// A server that takes no pushes counts none.
func TestRefusedPushIsNotCounted(t *testing.T) {
	h := &Handler{}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/m4s/demo", nil))
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Zero(t, h.stats.pushes.Load())
}

// A range in which the archive has nothing is not there: clients need not try
// again.
func TestPullOfAnEmptyRange(t *testing.T) {
	h := &Handler{Replay: func(context.Context, string, time.Time, time.Time) (sluice.Source, error) {
		return &sluicetest.Slice{}, nil
	}}
	url, c := serve(t, "http/1.1", h)
	p := &Pull{URL: url + "demo", Client: c, From: time.Unix(1000, 0), To: time.Unix(2000, 0)}
	defer p.Close()
	_, err := p.ReadPacket(testContext(t))
	require.ErrorIs(t, err, ErrNotFound)
}
