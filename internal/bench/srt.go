package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
	all []*server
	url func(i int) string
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
	s.rtmp = s.http // its answer to whether it is ready
	address, err := freeUDP()
	if err != nil {
		return nil, err
	}
	return &srtServers{all: []*server{s}, url: srtURLs(address)}, s.start(ctx, self, "srtsink", address, s.http)
}

func srtURLs(address string) func(int) string {
	return func(i int) string { return fmt.Sprintf("srt://%s?streamid=publish:bench%d", address, i) }
}

// srtSinkMain is the receiver's process.
func srtSinkMain(ctx context.Context, address, ready string) error {
	l, err := srt.Listen(ctx, address, srt.Config{})
	if err != nil {
		return err
	}
	tcp, err := net.Listen("tcp", ready)
	if err != nil {
		return err
	}
	defer tcp.Close()
	for {
		p, err := l.Accept(ctx)
		if err != nil {
			return err
		}
		c, err := p.Accept()
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(io.Discard, c) // until the publisher leaves
			if st := c.Stats(); st.Missing > 0 {
				fmt.Fprintln(os.Stderr, "missing:", st.Missing)
				os.Exit(1)
			}
		}()
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
	return &srtServers{all: []*server{s}, url: srtURLs(address)}, s.start(ctx, o.Sluice, "--open", "--http", s.http, "--rtmp", s.rtmp,
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
	defer pc.Close()
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
	return (after - before) / time.Since(start).Seconds() / srtPublishers, err
}

// sendTS sends a transport stream at its constant rate until ctx is done.
func sendTS(ctx context.Context, rawURL string, ts []byte, after time.Duration) error {
	if err := sleepUntil(ctx, time.Now().Add(after)); err != nil {
		return nil
	}
	c, err := srt.Dial(ctx, rawURL, srt.Config{})
	if err != nil {
		return err
	}
	defer c.Close()
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
		defer c.Close()
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
