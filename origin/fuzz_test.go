package origin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzURL asks for anything, and finds that the answer is one of those that
// there are, and that what is waited for is given up with the client.
func FuzzURL(f *testing.F) {
	srv, _, _, _ := demo(f, 10*time.Second)
	f.Add("/live/demo/index.m3u8", "", "")
	f.Add("/live/demo/1/index.m3u8", "_HLS_msn=441830764&_HLS_part=3&_HLS_skip=YES", "")
	f.Add("/live/demo/1/index.m3u8", "token=a%22b", "bytes=0-")
	f.Add("/live/demo/1/7.0-441830762.m4s", "", "bytes=-5")
	f.Add("/live/demo/1/7.0-441830762.0.m4s", "", "bytes=3-4")
	f.Add("/live/demo/2/init-9227ac32dd2846ca.mp4", "", "bytes=1-0")
	f.Add("/live/demo/2/7.0-18446744073709551615.2147483647.m4s", "_HLS_part=1", "bytes=18446744073709551615-")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f.Fuzz(func(t *testing.T, path, query, ranges string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx)
		r.URL = &url.URL{Path: path, RawQuery: query}
		r.Header["Range"] = []string{ranges}
		w := httptest.NewRecorder()
		x := exchange{w: w, r: r}
		status := x.serve(srv)
		require.Contains(t, statuses, status)
		if status != statusGone {
			require.Equal(t, w.Code, status)
		}
		if status == http.StatusOK && (x.kind == kindPlaylist || x.kind == kindMultivariant) {
			assert.Equal(t, 0, slices.Index(w.Body.Bytes(), '#'), "a playlist begins with a tag whatever the token")
		}
	})
}
