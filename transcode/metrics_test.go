package transcode

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/internal/sluicetest"
)

// A running ladder is seen by Prometheus, and gone when it has ended.
func TestMetrics(t *testing.T) {
	in := clip(t, bars+"-c:v libx264 -g 25 -t 1")
	m := new(Monitor)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m.Collector())
	l := one
	l.Name, l.Monitor, l.MaxDelay = "demo", m, -1
	src := &sluicetest.Slice{Packets: in, Block: true}
	out, err := l.Transform(t.Context(), src)
	require.NoError(t, err)
	for range 20 {
		_, err := out.ReadPacket(t.Context())
		require.NoError(t, err)
	}
	families, err := registry.Gather()
	require.NoError(t, err)
	seen := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			seen[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	assert.Equal(t, 1.0, seen["sluice_transcode_ladders"])
	assert.GreaterOrEqual(t, seen["sluice_transcode_encoded_frames_total"], 18.0)
	assert.Positive(t, seen["sluice_transcode_encode_seconds_total"])
	assert.Contains(t, seen, "sluice_transcode_dropped_frames_total")
	s := m.Stats()[0]
	assert.Equal(t, "libx264", s.Renditions[0].Encoder)
	assert.Equal(t, "90p", s.Renditions[0].Name)
	assert.Positive(t, s.Speed)
	assert.Positive(t, s.Renditions[0].FPS())
	require.NoError(t, out.Close())
	assert.Empty(t, m.Stats())
}
