package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluice-live/sluice/internal/srt"
	"github.com/sluice-live/sluice/internal/testmedia"
)

const (
	srtPublishers = 30
	srtBitrate    = 2_000_000
	srtSettle     = 6 * time.Second
	srtWindow     = 20 * time.Second
)

// benchSRT is the group of SRT: many publishers of 2 Mbit/s into one process
// that throws away what it receives, into the platform, which packages it, and
// into as many srt-live-transmit, which take one connection each.
func benchSRT(ctx context.Context, o options, r results) error {
	ts, err := transportStream(ctx)
	if err != nil {
		return err
	}
	for range o.Rounds {
		for _, m := range []struct {
			metric *metric
			name   string
			launch func(context.Context, options) (*srtServers, error)
		}{
			{srtCPU, "sluice", launchSRTSink}, {srtCPU, srtTransmit, launchTransmit}, {srtPackaged, "sluice", launchSRTPlatform},
			{srtPackaged, srtTransmit, launchTransmit},
		} {
			cost, err := srtCost(ctx, o, m.launch, ts)
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			r.add(m.metric, m.name, cost*1000)
		}
	}
	idle, err := srtIdle(ctx, o)
	if err == nil {
		r.add(srtIdleCPU, "sluice", idle*100)
	}
	return err
}

// srtServers are one process or several, with a URL for each publisher.
type srtServers struct {
	all     []*server
	url     func(i int) string
	missing func(ctx context.Context) (int, error) // packets; nil: it does not say
}

func (s *srtServers) stop() {
	for _, p := range s.all {
		p.stop()
	}
}

func (s *srtServers) cpu() (total float64, err error) {
	for _, p := range s.all {
		one, err := p.cpu()
		if err != nil {
			return 0, err
		}
		total += one
	}
	return total, nil
}

// transportStream is what each publisher sends, long enough for a round.
func transportStream(ctx context.Context) ([]byte, error) {
	clip, err := testmedia.Make(ctx, testmedia.Spec{Width: 1280, Height: 720, VideoKbps: 1750, Audio: "aac", Seconds: 10})
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "ffmpeg", "-nostdin", "-loglevel", "error", "-stream_loop", "3", "-i", clip, "-c", "copy",
		"-muxrate", strconv.Itoa(srtBitrate), "-f", "mpegts", "-")
	return cmd.Output()
}

// launchSRTSink starts this program again as a receiver that keeps nothing.
func launchSRTSink(ctx context.Context, _ options) (*srtServers, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s, err := newServer("sluice", "")
	if err != nil {
		return nil, err
	}
	s.rtmp = s.http // it has one TCP port
	address, err := freeUDP()
	if err != nil {
		return nil, err
	}
	return &srtServers{all: []*server{s}, url: srtURLs(address), missing: s.missing}, s.start(ctx, self, "srtsink", address, s.http)
}

func srtURLs(address string) func(int) string {
	return func(i int) string { return fmt.Sprintf("srt://%s?streamid=publish:bench%d", address, i) }
}

// missing sums what a server's metrics say of gaps.
func (s *server) missing(ctx context.Context) (n int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.http+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	lines, streams := bufio.NewScanner(resp.Body), 0
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), "} "); ok && strings.HasPrefix(name, srtMissing) {
			one, err := strconv.Atoi(value)
			if err != nil {
				return 0, err
			}
			n += one
			streams++
		}
	}
	if streams != srtPublishers {
		return n, fmt.Errorf("%d streams, not %d", streams, srtPublishers)
	}
	return n, lines.Err()
}

const srtMissing = "sluice_ingest_srt_missing_packets_total"

// srtSinkMain is the receiver's process.
func srtSinkMain(ctx context.Context, address, metrics string) error {
	l, err := srt.Listen(ctx, address, srt.Config{})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var conns []*srt.Conn
	web := http.Server{Addr: metrics, ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		for i, c := range conns {
			fmt.Fprintf(w, "%s{stream=\"%d\"} %d\n", srtMissing, i, c.Stats().Missing)
		}
	})}
	go func() { _ = web.ListenAndServe() }() // until the process ends
	for {
		p, err := l.Accept(ctx)
		if err != nil {
			return err
		}
		c, err := p.Accept()
		if err != nil {
			return err
		}
		mu.Lock()
		conns = append(conns, c)
		mu.Unlock()
		go func() { _, _ = io.Copy(io.Discard, c) }() // until the publisher leaves
	}
}

func launchSRTPlatform(ctx context.Context, o options) (*srtServers, error) {
	s, err := newServer("sluice", "")
	if err != nil {
		return nil, err
	}
	address, err := freeUDP()
	if err != nil {
		return nil, err
	}
	return &srtServers{all: []*server{s}, url: srtURLs(address), missing: s.missing}, s.start(ctx, o.Sluice, "--open", "--http", s.http, "--rtmp", s.rtmp,
		"--srt", address, "--data", filepath.Join(s.dir, "data"))
}

// launchTransmit starts one srt-live-transmit for each publisher.
func launchTransmit(ctx context.Context, _ options) (*srtServers, error) {
	all := &srtServers{}
	urls := make([]string, srtPublishers)
	for i := range urls {
		address, err := freeUDP()
		if err != nil {
			return all, err
		}
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return all, err
		}
		s := &server{name: srtTransmit, exited: make(chan struct{}), cmd: exec.CommandContext(ctx, srtTransmit, "-q", "srt://:"+port+"?mode=listener", "file://con")}
		if err := s.cmd.Start(); err != nil {
			return all, err
		}
		go func() {
			s.exitText = s.cmd.Wait()
			close(s.exited)
		}()
		all.all = append(all.all, s)
		urls[i] = srtURLs(address)(i)
	}
	all.url = func(i int) string { return urls[i] }
	return all, nil
}

func freeUDP() (string, error) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = pc.Close() }() // it was to find a port
	return pc.LocalAddr().String(), nil
}

// srtCost returns the processor seconds per second and stream.
func srtCost(ctx context.Context, o options, launch func(context.Context, options) (*srtServers, error), ts []byte) (cost float64, err error) {
	s, err := launch(ctx, o)
	if err != nil {
		return 0, err
	}
	defer s.stop()
	sending, cancel := context.WithCancel(ctx)
	errs := make(chan error, srtPublishers)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for i := range srtPublishers {
		wg.Go(func() { errs <- sendTS(sending, s.url(i), ts, time.Duration(i)*2*time.Second/srtPublishers) })
	}
	wait := func(d time.Duration) error {
		select {
		case err := <-errs:
			return errors.Join(err, errors.New("a publisher ended"))
		case <-time.After(d):
			return ctx.Err()
		}
	}
	if err := wait(srtSettle); err != nil {
		return 0, err
	}
	before, err := s.cpu()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := wait(srtWindow); err != nil {
		return 0, err
	}
	after, err := s.cpu()
	cost = (after - before) / time.Since(start).Seconds() / srtPublishers
	if err == nil && s.missing != nil {
		var n int
		if n, err = s.missing(ctx); err == nil && n > 0 {
			err = fmt.Errorf("%d packets are missing", n)
		}
	}
	return cost, err
}

// sendTS sends a transport stream at its constant rate until ctx is done.
func sendTS(ctx context.Context, rawURL string, ts []byte, after time.Duration) error {
	if err := sleepUntil(ctx, time.Now().Add(after)); err != nil {
		return nil
	}
	c, err := srt.Dial(ctx, rawURL, srt.Config{Latency: time.Second})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // never fails
	const packet = 7 * 188
	start := time.Now()
	for i := 0; i+packet <= len(ts); i += packet {
		if sleepUntil(ctx, start.Add(time.Duration(i)*8*time.Second/srtBitrate)) != nil {
			return nil
		}
		if _, err := c.Write(ts[i : i+packet]); err != nil {
			return err
		}
	}
	if st := c.Stats(); st.SendDropped > 0 {
		return fmt.Errorf("%d packets were given up", st.SendDropped)
	}
	return errors.New("the stream is over too soon")
}

// srtIdle returns the processor seconds per second and connection that sends
// nothing.
func srtIdle(ctx context.Context, o options) (float64, error) {
	s, err := launchSRTSink(ctx, o)
	if err != nil {
		return 0, err
	}
	defer s.stop()
	const conns = 100
	for i := range conns {
		c, err := srt.Dial(ctx, s.url(i), srt.Config{})
		if err != nil {
			return 0, err
		}
		defer func() { _ = c.Close() }() // never fails
	}
	before, err := s.cpu()
	if err != nil {
		return 0, err
	}
	if err := sleepUntil(ctx, time.Now().Add(15*time.Second)); err != nil {
		return 0, err
	}
	after, err := s.cpu()
	return (after - before) / 15 / conns, err
}
