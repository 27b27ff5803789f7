package origin

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// fetched returns everything that the playlists of a stream lead to, by path.
func fetched(t *testing.T, srv *Server) map[string]string {
	files := map[string]string{}
	for _, track := range []string{"1", "2"} {
		playlist := get(srv, "/live/demo/"+track+"/index.m3u8").Body.String()
		for _, uri := range append(append(uris(segmentLine, playlist), uris(partURI, playlist)...), uris(mapURI, playlist)...) {
			path := "/live/demo/" + track + "/" + uri
			w := get(srv, path)
			require.Equal(t, 200, w.Code, path)
			files[path] = w.Body.String()
		}
	}
	return files
}

// lines returns the playlist lines that describe media.
func lines(srv *Server, track string) map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(get(srv, "/live/demo/"+track+"/index.m3u8").Body.String()) {
		if strings.HasPrefix(line, "#EXT-X-PART:") || strings.HasPrefix(line, "#EXT-X-PROGRAM") {
			all[line] = true
		}
	}
	return all
}

// Origins that are fed the same stamped packets serve the same bytes under the
// same names, whenever they joined and however the tracks are interleaved.
func TestOriginsAgree(t *testing.T) {
	v, a := newFeed(videoTrack(t, 7), epoch, 60), newFeed(audioTrack(t, 7), epoch, 1)
	packets := interleave(30*time.Second, v, a)
	late := packets[len(packets)/3:]
	delayed := delay(packets, 2, 400*time.Millisecond)

	var all []map[string]string
	var described []map[string]bool
	for _, feed := range [][]sluice.Packet{packets, late, delayed} {
		srv := &Server{Spool: t.TempDir()}
		b := start(t, srv, "demo", v.track, a.track)
		b.send(feed...)
		b.settle()
		all = append(all, fetched(t, srv))
		described = append(described, lines(srv, "1"))
		require.NoError(t, srv.Close())
	}
	for i, other := range all[1:] {
		common := 0
		for path, body := range other {
			if want, ok := all[0][path]; ok {
				common++
				if want != body {
					t.Errorf("%s differs", path)
				}
			}
		}
		assert.Greater(t, common, 100)
		assert.Equal(t, len(other), common, "the first has all that the others have")
		for line := range described[i+1] {
			assert.Contains(t, described[0], line)
		}
	}
	assert.Len(t, all[2], len(all[0]), "the delayed one has all in the end")
}

// delay moves the packets of one track behind those of others that are up to d
// younger.
func delay(packets []sluice.Packet, track uint32, d time.Duration) (out []sluice.Packet) {
	var held []sluice.Packet
	for _, p := range packets {
		if p.Track.ID == track {
			held = append(held, p)
			continue
		}
		for len(held) > 0 && held[0].Track.Time(held[0].DTS).Add(d).Before(p.Track.Time(p.DTS)) {
			out, held = append(out, held[0]), held[1:]
		}
		out = append(out, p)
	}
	return append(out, held...)
}
