package main

import (
	"encoding/json"
	"net"
	"net/http"
	httppprof "net/http/pprof"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sluice-live/sluice/examples/ugc/web"
)

// newSite returns everything under the HTTP port.
func newSite(p *platform) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), p.m4s.Collector())
	if p.server != nil {
		reg.MustRegister(p.server.Collector())
	}
	if p.ladders != nil {
		reg.MustRegister(p.ladders)
	}
	reg.MustRegister(p.targets.collector())
	mux := http.NewServeMux()
	mux.Handle("/m4s/{stream}", p.m4s)
	p.targets.routes(mux)
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", ok)
	mux.HandleFunc("GET /readyz", ok) // the ports are open before this is served
	if p.server != nil && p.server.RTC != "" {
		mux.Handle("/whip", p.server.WHIP())
		mux.Handle("/whip/", p.server.WHIP())
	}
	if p.playback == nil {
		return mux
	}
	reg.MustRegister(p.playback.Collector())
	mux.Handle("/live/", p.playback)
	if p.previews != nil {
		mux.Handle("GET /live/{stream}/preview.jpg", p.previews)
	}
	mux.HandleFunc("GET /api/v1/live", func(w http.ResponseWriter, r *http.Request) {
		reply(w, p.channels(p.publishURLs(r)))
	})
	mux.Handle("/", web.Handler())
	return mux
}

// publishURLs is where encoders connect, as the client of r reaches this
// machine; empty where they do not.
func (p *platform) publishURLs(r *http.Request) (at publish) {
	if p.server == nil {
		return at
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	if addr := p.server.RTMPAddr(); addr != nil {
		at.RTMP = "rtmp://" + net.JoinHostPort(host, strconv.Itoa(port(addr))) + "/live"
	}
	if addr := p.server.RTMPSAddr(); addr != nil {
		at.RTMPS = "rtmps://" + net.JoinHostPort(host, strconv.Itoa(port(addr))) + "/live"
	}
	if p.server.SRTAddr() != nil {
		at.SRT = "srt://" + net.JoinHostPort(host, strconv.Itoa(p.srtPort())) + "?streamid=publish:"
	}
	if p.server.RTC != "" {
		scheme := "http"
		if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
			scheme = "https"
		}
		at.WHIP = scheme + "://" + r.Host + "/whip"
	}
	return at
}

func ok(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte("ok\n"))
}

// live is the answer of /api/v1/live.
type live struct {
	Now     time.Time `json:"now"` // for viewers whose clock is wrong
	Streams []channel `json:"streams"`
	Publish publish   `json:"publish"`
	Open    bool      `json:"open"`
}

type publish struct {
	RTMP  string `json:"rtmp,omitempty"`
	RTMPS string `json:"rtmps,omitempty"`
	SRT   string `json:"srt,omitempty"` // the key follows
	WHIP  string `json:"whip,omitempty"`
}

type channel struct {
	Name    string      `json:"name"`
	Since   time.Time   `json:"since"`
	Viewers int         `json:"viewers"`
	Preview string      `json:"preview,omitempty"` // URL of its newest picture, once there is one
	Tracks  []track     `json:"tracks"`            // none before its first picture and sound
	Encoder *encoder    `json:"encoder,omitempty"` // where encoders connect to this process
	SRT     *srtFigures `json:"srt,omitempty"`
}

type track struct {
	Kind      string  `json:"kind"`
	Codec     string  `json:"codec"`
	Width     int     `json:"width,omitempty"`
	Height    int     `json:"height,omitempty"`
	FrameRate float64 `json:"frameRate,omitempty"`
}

func (p *platform) channels(where publish) live {
	l := live{Now: time.Now().UTC(), Streams: []channel{}, Publish: where, Open: true}
	srt, encoders := p.srtPublishers(), p.encoders()
	for _, s := range p.playback.Live() {
		c := channel{Name: s.Name, Since: s.Since, Viewers: s.Viewers, Tracks: []track{}, SRT: srt[s.Name], Encoder: encoders[s.Name]}
		delete(encoders, s.Name)
		if p.previews != nil && p.previews.has(s.Name) {
			c.Preview = "/live/" + s.Name + "/preview.jpg"
		}
		for _, t := range s.Tracks {
			c.Tracks = append(c.Tracks, track{
				Kind: t.Kind.String(), Codec: t.Codec, Width: t.Width, Height: t.Height,
				FrameRate: t.FrameRate,
			})
		}
		l.Streams = append(l.Streams, c)
	}
	for name, e := range encoders { // nothing to watch yet
		l.Streams = append(l.Streams, channel{Name: name, Since: e.since, Tracks: []track{}, SRT: srt[name], Encoder: e})
	}
	slices.SortFunc(l.Streams, func(a, b channel) int { return strings.Compare(a.Name, b.Name) })
	return l
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // an error means that the client is gone
}

// profiles returns Go's profiles, for an address of their own.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", httppprof.Index)
	mux.HandleFunc("/debug/pprof/profile", httppprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", httppprof.Trace)
	return mux
}
