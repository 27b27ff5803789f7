package ingest

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/rtc"
	"github.com/sluice-live/sluice/internal/rtmp"
)

// What goes wrong inside the application is not told to strangers.
func TestPeersAreNotToldOfInnerFailures(t *testing.T) {
	broken := errors.New("dial db.internal: wrong password")
	for name, s := range map[string]*Server{
		"Authorize": {Authorize: func(context.Context, *Request) (Grant, error) { return Grant{}, broken }},
		"panic":     {Authorize: func(context.Context, *Request) (Grant, error) { panic(broken) }},
		"Positions": {Positions: brokenPositions{broken}},
	} {
		s.Play = func(context.Context, *Request) (*sluice.Stream, error) { return nil, broken }
		r, url := whip(t, s)
		_, err := rtc.Dial(t.Context(), url+"demo", []*sluice.Track{vp8Track(t)}, rtc.ClientConfig{})
		require.ErrorContains(t, err, "500", name)
		assert.NotContains(t, err.Error(), "db.internal", name)
		if name == "panic" {
			continue // RTMP hangs up
		}
		_, err = r.publish(t, "/live/demo")
		require.ErrorAs(t, err, new(*rtmp.StatusError), name)
		assert.NotContains(t, err.Error(), "db.internal", name)
		c, err := rtmp.Dial(t.Context(), "rtmp://"+r.RTMPAddr().String()+"/play/demo", rtmp.Config{})
		require.NoError(t, err)
		_, err = c.Play(t.Context())
		require.ErrorAs(t, err, new(*rtmp.StatusError), name)
		assert.NotContains(t, err.Error(), "db.internal", name)
		require.NoError(t, c.Close())
	}
}

type brokenPositions struct{ err error }

func (p brokenPositions) Load(context.Context, string) (Position, error) { return Position{}, p.err }
func (p brokenPositions) Save(context.Context, string, Position) error   { return p.err }
