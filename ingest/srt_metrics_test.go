package ingest

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/srt"
)

// A spare is a connection like any other; the figures by stream are of one.
func TestSRTMetricsCountSpares(t *testing.T) {
	r := serve(t, &Server{SRT: "127.0.0.1:0", Second: Standby})
	for range 2 {
		c, err := srt.Dial(t.Context(), "srt://"+r.SRTAddr().String()+"?streamid=publish:demo", srt.Config{})
		require.NoError(t, err)
		defer c.Close()
	}
	require.Eventually(t, func() bool { return len(r.SRTStats()) == 2 }, 10*time.Second, time.Millisecond)
	open := make(map[string]float64)
	reg := prometheus.NewRegistry()
	reg.MustRegister(r.Collector())
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == "sluice_ingest_srt_connections" {
			for _, m := range f.GetMetric() {
				open[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	assert.Equal(t, map[string]float64{"publisher": 2, "player": 0}, open)
}
