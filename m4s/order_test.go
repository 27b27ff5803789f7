package m4s

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// Tracks that come and go without end are refused some day.
func TestPushedTracksAreBounded(t *testing.T) {
	var o order
	for id := range uint32(100_000) {
		o.admit(&sluice.Packet{Track: &sluice.Track{ID: id + 1}, Data: []byte{}}, uint64(id)+1)
	}
	require.LessOrEqual(t, len(o.tracks), 1024)
	require.NotZero(t, o.refused)
}
