package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// playlist is what of a media playlist matters here; all are absolute.
type playlist struct {
	url             string
	segments, parts []string
	hint            string
}

var (
	partURI = regexp.MustCompile(`(?m)^#EXT-X-PART:.*URI="([^"]+)"`)
	hintURI = regexp.MustCompile(`(?m)^#EXT-X-PRELOAD-HINT:.*TYPE=PART.*URI="([^"]+)"`)
	lineURI = regexp.MustCompile(`(?m)^[^#\s].*$`)
)

func get(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", address, resp.Status)
	}
	return body, err
}

func getPlaylist(ctx context.Context, address string) (playlist, error) {
	p := playlist{url: address}
	text, err := get(ctx, address)
	if err != nil {
		return p, err
	}
	return p, p.parse(string(text))
}

func (p *playlist) parse(text string) error {
	base, err := url.Parse(p.url)
	if err != nil {
		return err
	}
	absolute := func(uri string) string {
		u, err := base.Parse(uri)
		if err != nil {
			return uri
		}
		return u.String()
	}
	for _, m := range lineURI.FindAllString(text, -1) {
		p.segments = append(p.segments, absolute(strings.TrimSpace(m)))
	}
	for _, m := range partURI.FindAllStringSubmatch(text, -1) {
		p.parts = append(p.parts, absolute(m[1]))
	}
	if m := hintURI.FindStringSubmatch(text); m != nil {
		p.hint = absolute(m[1])
	}
	return nil
}

// videoPlaylist waits until a stream has this many segments and returns the
// address of its media playlist of pictures, the first of the multivariant
// playlist.
func videoPlaylist(ctx context.Context, s *server, segments int) (playlist, error) {
	var last error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		multi, err := getPlaylist(ctx, "http://"+s.http+"/live/bench/index.m3u8")
		if err == nil && len(multi.segments) > 0 {
			media, err := getPlaylist(ctx, multi.segments[0])
			if err == nil && len(media.segments) >= segments && len(media.parts) > 0 {
				return media, nil
			}
			last = err
		} else {
			last = err
		}
		if err := sleepUntil(ctx, time.Now().Add(100*time.Millisecond)); err != nil {
			return playlist{}, err
		}
	}
	return playlist{}, fmt.Errorf("no playlist with %d segments in 30 s: %w\n%s", segments, last, s.output())
}

var (
	wrkRate  = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	wrkTotal = regexp.MustCompile(`([0-9]+) requests in`)
)

// wrk fetches an address from a server over and over.
func wrk(ctx context.Context, s *server, address string, connections int) (requests, cpu float64, err error) {
	before, err := s.cpu()
	if err != nil {
		return 0, 0, err
	}
	out, err := exec.CommandContext(ctx, "wrk", "-t", "1", "-c", strconv.Itoa(connections), "-d", "4s", address).CombinedOutput()
	if err != nil {
		return 0, 0, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	after, err := s.cpu()
	if err != nil {
		return 0, 0, err
	}
	rate, total := wrkRate.FindSubmatch(out), wrkTotal.FindSubmatch(out)
	if rate == nil || total == nil || strings.Contains(string(out), "Non-2xx") || strings.Contains(string(out), "Socket errors") {
		return 0, 0, fmt.Errorf("wrk %s:\n%s", address, out)
	}
	requests, err = strconv.ParseFloat(string(rate[1]), 64)
	if err != nil {
		return 0, 0, err
	}
	n, err := strconv.ParseFloat(string(total[1]), 64)
	return requests, (after - before) / n, err
}

// benchFiles is the third group: what is served over HTTP, beside nginx
// serving the same bytes from a file.
func benchFiles(ctx context.Context, o options, r results) error {
	sluice, err := launchSluice(o.Sluice)(ctx)
	if err != nil {
		return err
	}
	defer sluice.stop()
	nginx, err := launchNginx("auto")(ctx)
	if err != nil {
		return err
	}
	defer nginx.stop()
	p, err := startPublisher(ctx, sluice.rtmp, "live", "bench", o.clip720)
	if err != nil {
		return err
	}
	for range o.Rounds {
		if err = fileRound(ctx, sluice, nginx, r); err != nil {
			break
		}
	}
	return errors.Join(err, p.stop())
}

func fileRound(ctx context.Context, sluice, nginx *server, r results) error {
	media, err := videoPlaylist(ctx, sluice, 2)
	if err != nil {
		return err
	}
	part, err := nearest(ctx, media.parts, 120e3)
	if err != nil {
		return err
	}
	for _, one := range []fileCase{
		{media.segments[len(media.segments)-1], 16, segmentRate, segmentCPU},
		{part, 16, partRate, partCPU},
		{media.url, 64, playlistRate, playlistCPU},
	} {
		if err := one.measure(ctx, sluice, nginx, r); err != nil {
			return err
		}
	}
	return benchBare(ctx, media.url, r)
}

// benchBare measures what of a playlist's cost is net/http's own.
func benchBare(ctx context.Context, playlist string, r results) error {
	body, err := get(ctx, playlist)
	if err != nil {
		return err
	}
	bare, err := launchBare(body)(ctx)
	if err != nil {
		return err
	}
	defer bare.stop()
	requests, _, err := wrk(ctx, bare, "http://"+bare.http+"/", 64)
	if err != nil {
		return err
	}
	all := r[playlistRate]["sluice"]
	r.add(playlistBare, "sluice", all[len(all)-1])
	r.add(playlistBare, netHTTP, requests)
	return nil
}

// fileCase is one thing to fetch.
type fileCase struct {
	address     string // at Sluice
	connections int
	rate, cpu   *metric
}

func (c fileCase) measure(ctx context.Context, sluice, nginx *server, r results) error {
	body, err := get(ctx, c.address)
	if err != nil {
		return err
	}
	file := filepath.Base(strings.SplitN(c.address, "?", 2)[0])
	if err := os.WriteFile(filepath.Join(nginx.dir, "www", file), body, 0o644); err != nil {
		return err
	}
	for address, s := range map[string]*server{c.address: sluice, "http://" + nginx.http + "/" + file: nginx} {
		requests, cpu, err := wrk(ctx, s, address, c.connections)
		if err != nil {
			return err
		}
		if c.rate == playlistRate {
			r.add(c.rate, s.name, requests)
			r.add(c.cpu, s.name, cpu*1000)
		} else {
			r.add(c.rate, s.name, requests*float64(len(body))/1e6)
			r.add(c.cpu, s.name, cpu/(float64(len(body))*8/1e9))
		}
	}
	return nil
}

// nearest returns the address whose content is nearest to a size.
func nearest(ctx context.Context, addresses []string, size int) (best string, err error) {
	miss := 1 << 40
	for _, a := range addresses[max(0, len(addresses)-16):] {
		body, err := get(ctx, a)
		if err != nil {
			return "", err
		}
		if d := max(len(body)-size, size-len(body)); d < miss {
			best, miss = a, d
		}
	}
	return best, nil
}
