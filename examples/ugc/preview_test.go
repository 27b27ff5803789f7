//go:build cgo

package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/transcode"
)

// A second broadcast of a name, which the origin refuses, does not take the
// preview of the first with it.
func TestPreviewOutlivesARefusedBroadcast(t *testing.T) {
	s := newPreviews()
	first, second := new(transcode.Previews), new(transcode.Previews)
	s.put("demo", first)
	s.put("demo", second)
	s.remove("demo", second)
	require.Same(t, first, s.newest("demo"))
	s.remove("demo", first)
	require.Nil(t, s.newest("demo"))
	require.Empty(t, s.m)
}
