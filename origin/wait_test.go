package origin

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// asking is a request under way.
type asking struct {
	w    *httptest.ResponseRecorder
	done chan struct{}
}

func ask(srv *Server, url string) *asking {
	a := &asking{done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.w = get(srv, url)
	}()
	synctest.Wait()
	return a
}

func (a *asking) answered() bool {
	synctest.Wait()
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// inBubble runs f with a server and 13 s of a stream on a clock that stands
// still while anything can run.
func inBubble(t *testing.T, f func(t *testing.T, srv *Server, b *broadcasting, v, a *feed)) {
	synctest.Test(t, func(t *testing.T) {
		srv := &Server{Spool: t.TempDir()}
		v, a := newFeed(videoTrack(t, 7), epoch, 60), newFeed(audioTrack(t, 7), epoch, 1)
		b := start(t, srv, "demo", v.track, a.track)
		b.send(interleave(13*time.Second, v, a)...)
		b.settle()
		f(t, srv, b, v, a)
		require.NoError(t, srv.Close())
	})
}

// newest returns the number of the newest part of a track.
func newest(srv *Server, track string) (msn uint64, part int) {
	open := srv.find("demo").track(track).now.Load().open
	return open.Number, len(open.parts) - 1
}

func reload(track string, msn uint64, part int) string {
	return fmt.Sprintf("/live/demo/%s/index.m3u8?_HLS_msn=%d&_HLS_part=%d", track, msn, part)
}

func TestReloadBlocks(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *Server, b *broadcasting, v, _ *feed) {
		msn, part := newest(srv, "1")
		assert.True(t, ask(srv, reload("1", msn, part)).answered())
		next := ask(srv, reload("1", msn, part+1))
		beyond := ask(srv, reload("1", msn-1, 1000)) // the first part of msn
		segment := ask(srv, fmt.Sprintf("/live/demo/1/index.m3u8?_HLS_msn=%d", msn))
		assert.True(t, beyond.answered())
		assert.False(t, next.answered())
		b.send(interleave(300*time.Millisecond, v)...)
		b.settle()
		require.True(t, next.answered())
		assert.Equal(t, 200, next.w.Code)
		assert.Equal(t, "public, max-age=48", next.w.Header().Get("Cache-Control"))
		assert.Contains(t, next.w.Body.String(), fmt.Sprintf(`URI="7.0-%d.%d.m4s"`, msn, part+1))
		assert.False(t, segment.answered())
		b.send(interleave(4*time.Second, v)...)
		b.settle()
		require.True(t, segment.answered())
		assert.Contains(t, segment.w.Body.String(), fmt.Sprintf("\n7.0-%d.m4s\n", msn))
	})
}

func TestReloadOfNonsense(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *Server, _ *broadcasting, _, _ *feed) {
		msn, part := newest(srv, "1")
		for _, url := range []string{
			reload("1", msn+2, 0), reload("1", msn, part+14), reload("1", msn+1, 1000),
			"/live/demo/1/index.m3u8?_HLS_part=1", "/live/demo/1/index.m3u8?_HLS_msn=", "/live/demo/1/index.m3u8?_HLS_msn=-1",
			"/live/demo/1/index.m3u8?_HLS_msn=99999999999999999999", "/live/demo/1/index.m3u8?token=%zz",
		} {
			asked := ask(srv, url)
			require.True(t, asked.answered(), url)
			assert.Equal(t, 400, asked.w.Code, url)
		}
	})
}

func TestReloadIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *Server, _ *broadcasting, _, _ *feed) {
		msn, part := newest(srv, "1")
		asked := ask(srv, reload("1", msn, part+1))
		time.Sleep(23 * time.Second)
		assert.False(t, asked.answered())
		time.Sleep(2 * time.Second)
		require.True(t, asked.answered())
		assert.Equal(t, 503, asked.w.Code)
	})
}

func TestCloseEndsWaiters(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *Server, b *broadcasting, _, _ *feed) {
		msn, part := newest(srv, "1")
		asked := ask(srv, reload("1", msn, part+1))
		require.NoError(t, srv.Close())
		require.True(t, asked.answered())
		assert.Equal(t, 404, asked.w.Code)
		require.ErrorIs(t, <-b.done, ErrClosed)
		require.ErrorIs(t, srv.Stream("demo").Consume(t.Context(), newScript()), ErrClosed)
	})
}

func TestHintComesTrue(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *Server, b *broadcasting, v, a *feed) {
		hinted := map[string]*asking{}
		for range 40 { // parts of a quarter of a second: two segments and more
			for _, track := range []string{"1", "2"} {
				uri := "/live/demo/" + track + "/" + uris(hintURI, get(srv, "/live/demo/"+track+"/index.m3u8").Body.String())[0]
				if hinted[uri] == nil {
					hinted[uri] = ask(srv, uri)
					assert.False(t, hinted[uri].answered(), uri)
				}
			}
			b.send(interleave(250*time.Millisecond, v, a)...)
			b.settle()
		}
		b.send(interleave(5*time.Second, v, a)...)
		b.settle()
		for uri, asked := range hinted {
			require.True(t, asked.answered(), uri)
			assert.Equal(t, 200, asked.w.Code, uri)
			assert.Equal(t, get(srv, uri).Body.String(), asked.w.Body.String(), uri)
		}
	})
}

// A part that was hinted at but will never be is not waited for.
func TestHintOfALostEra(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *Server, b *broadcasting, v, _ *feed) {
		hint := uris(hintURI, get(srv, "/live/demo/1/index.m3u8").Body.String())[0]
		asked := ask(srv, "/live/demo/1/"+hint)
		// The frames on their way make the hinted part; the one behind it is
		// where the era ends.
		b.send(interleave(time.Second, v)...)
		b.settle()
		require.True(t, asked.answered())
		assert.Equal(t, 200, asked.w.Code)
		asked = ask(srv, "/live/demo/1/"+uris(hintURI, get(srv, "/live/demo/1/index.m3u8").Body.String())[0])
		again := newFeed(videoTrack(t, 9), epoch.Add(20*time.Second), 60)
		again.segment = v.segment + 1
		rest := interleave(time.Second, again)
		b.send(rest...)
		b.settle()
		require.True(t, asked.answered())
		playlist := get(srv, "/live/demo/1/index.m3u8").Body.String()
		assert.Equal(t, 2, strings.Count(playlist, "#EXT-X-DISCONTINUITY\n"), "one for each era")
		assert.Contains(t, playlist, "#EXT-X-DISCONTINUITY-SEQUENCE:7\n")
	})
}

func TestBeginningIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &Server{Spool: t.TempDir()}
		v, a := newFeed(videoTrack(t, 7), epoch, 60), newFeed(audioTrack(t, 7), epoch, 1)
		assert.Equal(t, 404, get(srv, "/live/demo/index.m3u8").Code)
		b := start(t, srv, "demo", v.track, a.track)
		synctest.Wait()
		entry := ask(srv, "/live/demo/index.m3u8")
		b.send(interleave(5*time.Second, v)...)
		b.settle()
		assert.False(t, entry.answered(), "audio is still missing")
		b.send(interleave(5*time.Second, a)...)
		b.settle()
		require.True(t, entry.answered())
		assert.Contains(t, entry.w.Body.String(), "mp4a.40.2")
		require.NoError(t, srv.Close())
	})
}

func TestSilentTrackIsNotWaitedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &Server{Spool: t.TempDir()}
		v := newFeed(videoTrack(t, 7), epoch, 60)
		b := start(t, srv, "demo", v.track, audioTrack(t, 7))
		b.send(interleave(5*time.Second, v)...)
		b.settle()
		entry := ask(srv, "/live/demo/index.m3u8")
		assert.False(t, entry.answered())
		time.Sleep(gatherTime + time.Second)
		require.True(t, entry.answered())
		assert.Equal(t, 200, entry.w.Code)
		assert.NotContains(t, entry.w.Body.String(), "mp4a")
		require.NoError(t, srv.Close())
	})
}

func TestEndLingers(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *Server, b *broadcasting, _, _ *feed) {
		msn, part := newest(srv, "1")
		asked := ask(srv, reload("1", msn, part+1))
		require.NoError(t, b.end(nil))
		require.True(t, asked.answered())
		assert.True(t, strings.HasSuffix(asked.w.Body.String(), "#EXT-X-ENDLIST\n"))
		last := uris(segmentLine, asked.w.Body.String())
		time.Sleep(50 * time.Second)
		assert.Equal(t, 200, get(srv, "/live/demo/1/"+last[len(last)-1]).Code)
		assert.Equal(t, 200, get(srv, reload("1", msn+1, 0)).Code, "nothing to wait for")
		time.Sleep(11 * time.Second)
		synctest.Wait()
		assert.Equal(t, 404, get(srv, "/live/demo/index.m3u8").Code)
		dirs, err := os.ReadDir(srv.dir)
		require.NoError(t, err)
		assert.Empty(t, dirs)
	})
}

func TestNewBroadcastReplacesOneThatLingers(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *Server, b *broadcasting, v, _ *feed) {
		require.Error(t, srv.Stream("demo").Consume(t.Context(), newScript()), "the other is live")
		require.NoError(t, b.end(nil))
		again := newFeed(videoTrack(t, 8), epoch.Add(time.Minute), 60)
		next := start(t, srv, "demo", again.track)
		next.send(interleave(5*time.Second, again)...)
		next.settle()
		playlist := get(srv, "/live/demo/1/index.m3u8").Body.String()
		assert.NotContains(t, playlist, "ENDLIST")
		assert.NotContains(t, playlist, "7.0-")
		time.Sleep(2 * time.Minute)
		assert.Equal(t, 200, get(srv, "/live/demo/1/index.m3u8").Code, "the old one's end does not concern it")
	})
}

func TestSinkResumes(t *testing.T) {
	inBubble(t, func(t *testing.T, srv *Server, b *broadcasting, v, a *feed) {
		fault := errors.New("lane broke")
		require.ErrorIs(t, b.end(fault), fault)
		before := get(srv, "/live/demo/1/index.m3u8").Body.String()
		assert.NotContains(t, before, "ENDLIST")
		interleave(6*time.Second, v, a) // lost
		again := startSink(t, b.sink, v.track, a.track)
		again.send(interleave(8*time.Second, v, a)...)
		again.settle()
		after := get(srv, "/live/demo/1/index.m3u8").Body.String()
		assert.Contains(t, after, "#EXT-X-GAP\n")
		old, now := uris(segmentLine, before), uris(segmentLine, after)
		assert.Equal(t, old, now[:len(old)])
		assertConsecutive(t, now)
	})
}

func TestRemovedSegmentsAreStillServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &Server{Spool: t.TempDir(), Window: 24 * time.Second}
		v := newFeed(videoTrack(t, 7), epoch, 60)
		b := start(t, srv, "demo", v.track)
		b.send(interleave(30*time.Second, v)...)
		b.settle()
		first := "/live/demo/1/" + uris(segmentLine, get(srv, "/live/demo/1/index.m3u8").Body.String())[0]
		b.send(interleave(8*time.Second, v)...)
		b.settle()
		assert.NotContains(t, get(srv, "/live/demo/1/index.m3u8").Body.String(), strings.TrimPrefix(first, "/live/demo/1/"))
		assert.Equal(t, 200, get(srv, first).Code)
		time.Sleep(time.Minute)
		b.send(interleave(8*time.Second, v)...)
		b.settle()
		assert.Equal(t, 404, get(srv, first).Code)
		require.NoError(t, srv.Close())
	})
}

func assertConsecutive(t *testing.T, segments []string) {
	t.Helper()
	last := uint64(0)
	for _, uri := range segments {
		var era, maker, number uint64
		_, err := fmt.Sscanf(uri, "%d.%d-%d.m4s", &era, &maker, &number)
		require.NoError(t, err)
		if last != 0 {
			assert.Equal(t, last+1, number)
		}
		last = number
	}
}

var _ sluice.Source = (*script)(nil)
