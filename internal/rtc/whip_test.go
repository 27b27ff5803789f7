package rtc

import (
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const sdpHead = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"

func video(codec string) string {
	return sdpHead + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=sendonly\r\na=rtpmap:96 " + codec + "/90000\r\n"
}

// do sends a request and returns the answer's status, header and body.
func do(t *testing.T, method, url, contentType, body string, header ...string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", contentType)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, resp.Header, string(b)
}

func TestBadRequestsAreAnsweredClearly(t *testing.T) {
	s := newSite(t, Config{})
	base := strings.TrimSuffix(s.url, "/key")
	for name, c := range map[string]struct {
		method, path, contentType, body string
		status                          int
		says                            string
	}{
		"GET":             {"GET", "/key", sdpType, "", 405, "WHIP"},
		"no key":          {"POST", "", sdpType, video("VP8"), 401, "Bearer"},
		"wrong key":       {"POST", "/stranger", sdpType, video("VP8"), 403, "denied"},
		"below a key":     {"POST", "/key/more", sdpType, video("VP8"), 404, ""},
		"wrong type":      {"POST", "/key", "application/json", "{}", 415, sdpType},
		"large":           {"POST", "/key", sdpType, video("VP8") + strings.Repeat("a=x\r\n", 1<<18), 413, "64 kB"},
		"no SDP":          {"POST", "/key", sdpType, "hello", 400, "not SDP"},
		"no media":        {"POST", "/key", sdpType, sdpHead, 400, "no media"},
		"only receives":   {"POST", "/key", sdpType, strings.Replace(video("VP8"), "sendonly", "recvonly", 1), 400, "no media"},
		"unknown codecs":  {"POST", "/key", sdpType, video("H265"), 422, "H265: codec is not supported: offer H.264, VP8, VP9, AV1"},
		"data channel":    {"POST", "/key", sdpType, sdpHead + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", 400, "only video and audio"},
		"no fingerprint":  {"POST", "/key", sdpType, video("VP8"), 400, "offer"},
		"session is gone": {"PATCH", "/session/0123", fragmentType, "", 404, "ended"},
	} {
		t.Run(name, func(t *testing.T) {
			status, header, body := do(t, c.method, base+c.path, c.contentType, c.body)
			assert.Equal(t, c.status, status, body)
			assert.Contains(t, body, c.says)
			assert.Equal(t, "*", header.Get("Access-Control-Allow-Origin"))
		})
	}
	_, open := s.Stats()
	assert.Zero(t, open, "nothing is left of them")
}

func TestOptionsSayWhatIsTaken(t *testing.T) {
	s := newSite(t, Config{ICEServers: []ICEServer{{URL: "stun:a.example"}, {URL: "turn:b.example", Username: `u"x`, Credential: "c"}}})
	status, header, _ := do(t, "OPTIONS", s.url, "", "")
	assert.Equal(t, 204, status)
	assert.Equal(t, sdpType, header.Get("Accept-Post"))
	assert.Contains(t, header.Get("Access-Control-Allow-Methods"), "PATCH")
	assert.Equal(t, []string{`<stun:a.example>; rel="ice-server"`}, header.Values("Link"), "credentials are not for strangers")
	status, header, body := do(t, "POST", s.url, sdpType, validOffer(t))
	assert.Equal(t, 201, status, body)
	assert.Equal(t, []string{`<stun:a.example>; rel="ice-server"`,
		`<turn:b.example>; rel="ice-server"; username="u\"x"; credential="c"; credential-type="password"`}, header.Values("Link"))
}

// validOffer is an offer that is answered.
func validOffer(t *testing.T) string {
	api, err := clientAPI([]format{{codecEntry: codecByMIME(webrtc.MimeTypeVP8), payload: 96, rtx: 97}}, loggers{})
	require.NoError(t, err)
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	require.NoError(t, err)
	defer func() { require.NoError(t, pc.GracefulClose()) }()
	_, err = pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	require.NoError(t, err)
	offer, err := pc.CreateOffer(nil)
	require.NoError(t, err)
	return offer.SDP
}

// The server sends checks to every candidate, whosever address it is.
func TestCandidatesAreBounded(t *testing.T) {
	s := newSite(t, Config{})
	const line = "a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n"
	status, _, body := do(t, "POST", s.url, sdpType, validOffer(t)+strings.Repeat(line, 1000))
	assert.Equal(t, 400, status, body)
	assert.Contains(t, body, "candidates")

	status, header, body := do(t, "POST", s.url, sdpType, validOffer(t))
	require.Equal(t, 201, status, body)
	session := <-s.sessions
	patch := func() int {
		ufrag, _ := credentials(session.Answer())
		status, _, _ := do(t, "PATCH", strings.TrimSuffix(s.url, "/whip/key")+header.Get("Location"), fragmentType,
			"m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"+strings.Repeat(line, 60), "If-Match", `"`+ufrag+`"`)
		return status
	}
	assert.Equal(t, 204, patch())
	assert.Equal(t, 204, patch())
	assert.Equal(t, 400, patch(), "more than 128 in all")
}

func TestSessionIsPatchedAndDeleted(t *testing.T) {
	s := newSite(t, Config{})
	cam := newCamera(t, 1000)
	session, c := s.publish(t, cam, ClientConfig{})
	read(t, session)
	old, _ := credentials(session.Answer())
	tag := `"` + old + `"`
	ufrag, _ := credentials(session.offer())
	candidate := "m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\na=candidate:2 1 udp 1 gone.local 9 typ host\r\n"
	for name, p := range map[string]struct {
		match, body string
		status      int
	}{
		"without If-Match":    {"", candidate, 428},
		"of another":          {`"other"`, candidate, 412},
		"trickled":            {tag, "a=ice-ufrag:" + ufrag + "\r\n" + candidate, 204},
		"other credentials":   {tag, "a=ice-ufrag:other\r\n" + candidate, 400},
		"restart, no ufrag":   {"*", candidate, 400},
		"too many candidates": {tag, strings.Repeat("a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n", 150), 400},
	} {
		header := []string{}
		if p.match != "" {
			header = []string{"If-Match", p.match}
		}
		status, _, body := do(t, "PATCH", c.resource, fragmentType, p.body, header...)
		assert.Equal(t, p.status, status, "%s: %s", name, body)
	}
	status, _, _ := do(t, "PATCH", c.resource, fragmentType, strings.Repeat("a=x\r\n", 1<<13), "If-Match", tag)
	assert.Equal(t, 413, status)

	status, _, _ = do(t, "DELETE", c.resource, "", "")
	assert.Equal(t, 200, status)
	assert.Equal(t, io.EOF, end(t, session, 10*time.Second))
	status, _, _ = do(t, "DELETE", c.resource, "", "")
	assert.Equal(t, 404, status)
}

func TestICERestarts(t *testing.T) {
	s := newSite(t, Config{})
	session, c := s.publish(t, newCamera(t, 1000), ClientConfig{})
	read(t, session)
	before := session.Answer()
	offer, err := c.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: true})
	require.NoError(t, err)
	gathered := webrtc.GatheringCompletePromise(c.pc)
	require.NoError(t, c.pc.SetLocalDescription(offer))
	<-gathered
	status, header, body := do(t, "PATCH", c.resource, fragmentType, answerFragment(c.pc.LocalDescription().SDP), "If-Match", "*")
	require.Equal(t, 200, status, body)
	f, err := parseFragment(body)
	require.NoError(t, err)
	assert.Equal(t, `"`+f.ufrag+`"`, header.Get("ETag"))
	old, _ := credentials(before)
	assert.NotEqual(t, old, f.ufrag)
	answer, err := restarted(before, f)
	require.NoError(t, err)
	require.NoError(t, c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}))
	began := time.Now()
	for range 200 {
		number(t, read(t, session))
	}
	t.Logf("200 packets more in %v", time.Since(began))
}

// Chromium 156 says 42001f and sends 42c01f; GStreamer offers what its encoder makes.
func TestEveryH264ProfileIsTaken(t *testing.T) {
	offer := video("H264") + "a=fmtp:96 packetization-mode=1;profile-level-id=42c016\r\n"
	o, err := ParseOffer([]byte(offer))
	require.NoError(t, err)
	require.Len(t, o.formats, 1)
	_, err = ParseOffer([]byte(strings.Replace(offer, "mode=1", "mode=2", 1)))
	assert.ErrorIs(t, err, ErrCodec)
	assert.True(t, o.Video)
	assert.False(t, o.Audio)
}

func TestSimulcastLayersAreCounted(t *testing.T) {
	o, err := ParseOffer([]byte(video("VP8") + "a=rid:a send\r\na=rid:b send\r\na=simulcast:send a;b\r\n"))
	require.NoError(t, err)
	assert.Equal(t, 2, o.layers)
}

func FuzzOffer(f *testing.F) {
	f.Add([]byte(video("VP8")))
	f.Add([]byte(video("H264") + "a=fmtp:96 packetization-mode=1;sprop-parameter-sets=" + base64.StdEncoding.EncodeToString([]byte{0x67, 66, 0, 31}) + "\r\na=simulcast:send a;b recv c\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := ParseOffer(b)
		if err != nil {
			return
		}
		require.True(t, o.Video || o.Audio)
		require.NotEmpty(t, o.formats)
		require.LessOrEqual(t, o.layers, maxTracks)
		for _, format := range o.formats {
			format.unpacker(format.fmtp)
		}
		if _, err := restarted(o.text, fragment{ufrag: "u", pwd: "p"}); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzFragment(f *testing.F) {
	f.Add("a=ice-ufrag:u\r\na=ice-pwd:p\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\na=end-of-candidates\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		f, err := parseFragment(text)
		if err == nil {
			require.LessOrEqual(t, len(f.candidates), maxCandidates)
		}
	})
}

// Whoever sends no body is not waited for.
func TestWHIPBodyThatDoesNotCome(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(&WHIP{})
	defer web.Close()
	c, err := net.Dial("tcp", web.Listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "POST /whip/demo HTTP/1.1\r\nHost: a\r\nContent-Type: application/sdp\r\nContent-Length: 100\r\n\r\nv=0")
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(bodyTime+20*time.Second)))
	answer, err := io.ReadAll(c)
	require.NoError(t, err)
	assert.Contains(t, string(answer), " 408 ")
}
