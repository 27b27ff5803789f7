//go:build cgo

package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRenditionsAreLines(t *testing.T) {
	all, err := parseRenditions("240, 720p")
	require.NoError(t, err)
	require.Len(t, all, 2)
	assert.Equal(t, 720, all[0].Height)
	assert.Equal(t, 2_800_000, all[0].Bitrate)
	_, err = parseRenditions("hd")
	assert.ErrorContains(t, err, "720,480,240")
}
