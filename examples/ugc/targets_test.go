package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice/ingest"
	"github.com/sluice-live/sluice/internal/testmedia"
)

// call makes a request of the targets' API and returns status and body.
func (s *server) call(t *testing.T, method, path, body string, header ...string) (int, string) {
	r, err := http.NewRequestWithContext(t.Context(), method, s.url("/api/v1/live/"+path), strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

// targetsOf lists a stream's targets.
func (s *server) targetsOf(t *testing.T, stream string) (all []struct{ Name, URL, State, Error string }) {
	code, body := s.call(t, "GET", stream+"/targets", "")
	require.Equal(t, 200, code)
	var got struct {
		Targets *[]struct{ Name, URL, State, Error string }
	}
	got.Targets = &all
	require.NoError(t, json.Unmarshal([]byte(body), &got))
	return all
}

// One server pushes a stream on to another, by flag and by API.
func TestPushTargets(t *testing.T) {
	far := start(t)
	rtmp := "rtmp://" + far.server.RTMPAddr().String() + "/live/"
	s := startWith(t, config{Push: []string{"demo=" + rtmp + "by-flag demo=" + rtmp + "by-flag-too"}})
	all := s.targetsOf(t, "demo")
	require.Len(t, all, 2)
	assert.Equal(t, "idle", all[0].State)
	assert.Equal(t, rtmp+"***", all[0].URL)
	testmedia.Publish(t.Context(), t, testmedia.Clip(t, testmedia.Spec{Audio: "aac"}), "rtmp://"+s.server.RTMPAddr().String()+"/live/demo")

	code, body := s.call(t, "POST", "demo/targets", `{"name": "mine", "url": "`+rtmp+`by-api"}`)
	require.Equal(t, 201, code, body)
	assert.NotContains(t, body, "by-api")
	for _, stream := range []string{"by-flag", "by-flag-too", "by-api"} {
		require.Eventually(t, func() bool {
			for _, b := range far.server.Broadcasts() {
				if b.Name == stream && b.Stats().Packets > 100 {
					return true
				}
			}
			return false
		}, 60*time.Second, 50*time.Millisecond, stream)
	}
	for _, target := range s.targetsOf(t, "demo") {
		assert.Equal(t, "live", target.State, "%+v", target)
	}
	code, body = s.call(t, "POST", "demo/targets", `{"name": "mine", "url": "`+rtmp+`by-api"}`)
	assert.Equal(t, 409, code, body)
	assert.Contains(t, body, `"field":"name"`)
	code, _ = s.call(t, "DELETE", "demo/targets/mine", "")
	assert.Equal(t, 204, code)
	code, _ = s.call(t, "DELETE", "demo/targets/mine", "")
	assert.Equal(t, 404, code)
	assert.Len(t, s.targetsOf(t, "demo"), 2)
	resp, err := http.Get(s.url("/metrics"))
	require.NoError(t, err)
	defer resp.Body.Close()
	metrics, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Contains(t, string(metrics), `sluice_ingest_push_state{state="live",stream="demo",target="`+far.server.RTMPAddr().String()+`-2"} 1`)
}

func TestPushTargetsAreNotForStrangers(t *testing.T) {
	s := start(t)
	body := `{"url": "rtmp://127.0.0.1:1/live/KEY"}`
	for _, header := range [][]string{
		{"Host", "sluice.example"}, {"Origin", "http://evil.example"}, {"X-Forwarded-For", "192.0.2.1"}, {"Forwarded", "for=192.0.2.1"},
	} {
		code, text := s.call(t, "POST", "demo/targets", body, header...)
		assert.Equal(t, 403, code, header)
		assert.Contains(t, text, "only from this machine")
	}
	proxied, err := net.Dial("tcp", s.site.String()) // by nginx without a word of configuration
	require.NoError(t, err)
	defer proxied.Close()
	_, err = fmt.Fprintf(proxied, "POST /api/v1/live/demo/targets HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", s.site, len(body), body)
	require.NoError(t, err)
	answer, err := io.ReadAll(proxied)
	require.NoError(t, err)
	assert.Contains(t, string(answer), " 403 ")
	code, _ := s.call(t, "POST", "demo/targets", body, "Content-Type", "text/plain")
	assert.Equal(t, 415, code)
	for bad, field := range map[string]string{
		`{`: "", `{}`: "url", `{"url": "ftp://a/b"}`: "url", `{"url": "rtmp://h/a/SECRET", "height": -1}`: "height",
		`{"url": "rtmp://h/a/SECRET", "name": ".."}`: "name", `{"url": "rtmp://h/a/SECRET", "name": "` + strings.Repeat("n", 65) + `"}`: "name",
	} {
		code, text := s.call(t, "POST", "demo/targets", bad)
		assert.Equal(t, 400, code, bad)
		assert.NotContains(t, text, "SECRET")
		var said struct{ Error, Field string }
		require.NoError(t, json.Unmarshal([]byte(text), &said), text)
		assert.Equal(t, field, said.Field, text)
		assert.NotEmpty(t, said.Error)
	}
	code, text := s.call(t, "POST", "Not_A_Name/targets", body)
	assert.Equal(t, 400, code)
	assert.Contains(t, text, `"field":"stream"`)
	assert.Empty(t, s.targetsOf(t, "demo"))
	assert.Empty(t, s.targets.all, "what has no targets is forgotten")
}

func TestPushFlag(t *testing.T) {
	for _, bad := range []string{"rtmp://host/live/SECRET", "demo=SECRET", "DEMO=rtmp://host/live/SECRET", "demo=rtmp://host/ ="} {
		_, err := open(config{Open: true, Data: t.TempDir(), HTTP: "127.0.0.1:0", RTMP: "127.0.0.1:0", Push: []string{bad}})
		require.ErrorContains(t, err, "--push")
		assert.NotContains(t, err.Error(), "SECRET")
	}
}

// A target that takes no AAC gets Opus, from a transcoder of its own.
func TestPushTargetGetsItsSound(t *testing.T) {
	far := start(t)
	s := start(t)
	if s.targets.sound("demo") == nil {
		t.Skip("built without transcoding")
	}
	clip := testmedia.Clip(t, testmedia.Spec{Audio: "aac"})
	testmedia.Publish(t.Context(), t, clip, "rtmp://"+s.server.RTMPAddr().String()+"/live/demo")
	target := ingest.Push(far.url("/whip/copy"))
	target.Retry = time.Second
	require.NoError(t, s.targets.add("demo", target))
	require.Eventually(t, func() bool {
		var codecs string
		for _, live := range far.playback.Live() {
			for _, track := range live.Tracks {
				codecs += live.Name + ":" + track.Codec + " "
			}
		}
		return strings.Contains(codecs, "copy:avc1") && strings.Contains(strings.ToLower(codecs), "copy:opus")
	}, 60*time.Second, 50*time.Millisecond)
}
