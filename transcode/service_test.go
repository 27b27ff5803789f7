package transcode

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
	"github.com/sluice-live/sluice/m4s"
)

// Who reads a stream whose transform fails at once, or panics, is told so.
func TestServiceTransformFails(t *testing.T) {
	for name, fail := range map[string]func() error{
		"error": func() error { return errors.New("no such encoder") },
		"panic": func() error { panic("a hook's") },
	} {
		t.Run(name, func(t *testing.T) {
			var sub *sluice.Subscriber
			s := new(Service)
			s.Transform = func(name string) sluice.Transform {
				stream, err := s.Play(t.Context(), name)
				require.NoError(t, err)
				sub = stream.Subscribe(sluice.Subscription{})
				return sluice.TransformFunc(func(context.Context, sluice.Source) (sluice.Source, error) { return nil, fail() })
			}
			func() {
				defer func() { _ = recover() }()
				require.Error(t, s.Publish(t.Context(), "demo", &sluicetest.Slice{}))
			}()
			defer sub.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, err := sub.ReadPacket(ctx)
			require.Error(t, err)
			require.NoError(t, ctx.Err(), "it goes on for ever")
			_, err = s.Play(t.Context(), "demo")
			require.ErrorIs(t, err, m4s.ErrNotFound)
		})
	}
}
