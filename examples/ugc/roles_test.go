package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What cannot work is said at the start, not at the first broadcast.
func TestOtherServersAreChecked(t *testing.T) {
	for name, c := range map[string]config{
		"--origin is no URL":     {Roles: "ingest", Origin: "origin:8080", M4S: "secret"},
		"--transcoder is no URL": {Roles: "all", Transcoder: "transcoder:8080", M4S: "secret"},
		"set --m4s-token, ":      {Roles: "ingest", Origin: "http://origin:8080"},
		"set --m4s-token":        {Roles: "all", Transcoder: "http://transcoder:8080"},
		"give the origin serve":  {Roles: "ingest", M4S: "secret"},
	} {
		r, err := parseRoles(c.Roles, c.Ladder)
		require.NoError(t, err)
		require.ErrorContains(t, r.check(c), name)
	}
	c := config{Roles: "ingest", Origin: "http://origin:8080", Transcoder: "https://transcoder", M4S: "secret"}
	r, err := parseRoles(c.Roles, c.Ladder)
	require.NoError(t, err)
	require.NoError(t, r.check(c))
}
