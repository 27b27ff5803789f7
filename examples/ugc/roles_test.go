package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRoles(t *testing.T) {
	for list, want := range map[string]roles{
		"all":              {ingest: true, origin: true},
		"":                 {ingest: true, origin: true},
		"ingest, origin":   {ingest: true, origin: true},
		"transcode":        {transcode: true},
		"origin":           {origin: true},
		"transcode,origin": {transcode: true, origin: true},
	} {
		got, err := parseRoles(list, false)
		require.NoError(t, err, list)
		assert.Equal(t, want, got, list)
	}
	_, err := parseRoles("edge", false)
	assert.ErrorContains(t, err, `there is no role "edge"`)
	ladder, err := parseRoles("all", true)
	require.NoError(t, err)
	assert.True(t, ladder.transcode)
}

// What a configuration lacks is said with the flag that mends it.
func TestRolesSayWhatTheyLack(t *testing.T) {
	for flag, c := range map[string]config{
		"--origin":     {Roles: "ingest"},
		"--m4s-token":  {Roles: "transcode"},
		"--transcoder": {Roles: "all", Ladder: true, Transcoder: "http://127.0.0.1:1"},
	} {
		r, err := parseRoles(c.Roles, c.Ladder)
		require.NoError(t, err)
		assert.ErrorContains(t, r.check(c), flag)
	}
}

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
