package origin

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

func TestStreamConformsAsSink(t *testing.T) {
	v, a := newFeed(videoTrack(t, 7), epoch, 60), newFeed(audioTrack(t, 7), epoch, 1)
	packets := interleave(13*time.Second, v, a)
	sluicetest.Sink(t, func(t testing.TB) sluice.Sink {
		srv := &Server{Spool: t.TempDir()}
		t.Cleanup(func() { assert.NoError(t, srv.Close()) })
		return srv.Stream("demo")
	}, packets...)
}

func TestSpoolConformsAsSegments(t *testing.T) {
	sluicetest.Segments(t, func(t testing.TB) sluice.Segments {
		srv, _, _, _ := demo(t, 20*time.Second)
		return srv.find("demo").spool
	})
}
