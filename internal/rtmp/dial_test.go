package rtmp

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDialErrorsDoNotTellTheKey(t *testing.T) {
	for _, u := range []string{"rtmps://host/live/SECRET", "host/live/SECRET", "rtmp://host/live/SECRET%zz", "://SECRET"} {
		_, err := Dial(t.Context(), u, Config{})
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "SECRET")
	}
}
