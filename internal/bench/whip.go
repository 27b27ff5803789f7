package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/rtc"
)

const (
	whipJoins  = 12
	whipWatch  = 10 * time.Second // of an RTMP player
	whipSettle = 8 * time.Second
	whipWindow = 20 * time.Second
)

// benchWHIP is the fifth group: publishers over WebRTC, beside the same pictures
// over RTMP.
func benchWHIP(ctx context.Context, o options, r results) error {
	for _, way := range []string{"sluice", overRTMP} {
		for range o.Rounds {
			if err := whipRound(ctx, o, way, r); err != nil {
				return fmt.Errorf("%s: %w", way, err)
			}
		}
	}
	return nil
}

func whipRound(ctx context.Context, o options, way string, r results) error {
	s, err := launchSluice(o.Sluice)(ctx)
	if err != nil {
		return err
	}
	defer s.stop()
	publish := func(name string) (stopper, error) { return startWHIP(ctx, s, name, o.clip360) }
	if way == overRTMP {
		publish = func(name string) (stopper, error) { return startPublisher(ctx, s.rtmp, "live", name, o.clip360) }
	}
	if err := whipDelays(ctx, s, way, publish, r); err != nil {
		return err
	}
	return whipLoad(ctx, s, way, publish, r)
}

// stopper is a publisher of either protocol.
type stopper interface{ stop() error }

// whipDelays measures one publisher.
func whipDelays(ctx context.Context, s *server, way string, publish func(string) (stopper, error), r results) error {
	for i := range whipJoins / 3 {
		name := "join" + strconv.Itoa(i)
		start := now()
		p, err := publish(name)
		if err != nil {
			return err
		}
		_, err = firstPart(ctx, s, name)
		took := float64(now()-start) / 1e6
		if err := errors.Join(err, p.stop()); err != nil {
			return err
		}
		r.add(whipFirst, way, took)
	}
	p, err := publish("bench")
	if err != nil {
		return err
	}
	w, err := partDelays(ctx, s)
	var delays []float64
	if err == nil {
		delays, err = playerDelays(ctx, s, "bench")
	}
	if err := errors.Join(err, p.stop()); err != nil {
		return err
	}
	r.add(whipPart, way, quantile(w.inside, 0.5))
	r.add(whipRTMP, way, quantile(delays, 0.5))
	r.add(whipWorst, way, quantile(delays, 0.99))
	return nil
}

// firstPart waits until a stream's first part can be fetched.
func firstPart(ctx context.Context, s *server, name string) ([]byte, error) {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if err := sleepUntil(ctx, time.Now().Add(5*time.Millisecond)); err != nil {
			return nil, err
		}
		multi, err := getPlaylist(ctx, "http://"+s.http+"/live/"+name+"/index.m3u8")
		if err != nil || len(multi.segments) == 0 {
			continue
		}
		media, err := getPlaylist(ctx, multi.segments[0])
		if err == nil && len(media.parts) > 0 {
			return get(ctx, media.parts[0])
		}
	}
	return nil, fmt.Errorf("%s: no part in 20 s\n%s", name, s.output())
}

// playerDelays plays a stream over RTMP and returns the milliseconds from the
// sending of each picture to its arrival.
func playerDelays(ctx context.Context, s *server, name string) (delays []float64, err error) {
	c, err := dial(ctx, s.rtmp, s.playApp)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.play(name); err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(2 * whipWatch)); err != nil {
		return nil, err
	}
	begin := now() // what was sent before waited for the player
	for end := time.Now().Add(whipWatch); time.Now().Before(end); {
		m, err := c.in.read()
		if err != nil {
			return nil, err
		}
		if sent, ok := stampOf(m); ok && m.kind == tagVideo && sent > begin {
			delays = append(delays, float64(now()-sent)/1e6)
		}
	}
	return delays, nil
}

// whipLoad measures many publishers.
func whipLoad(ctx context.Context, s *server, way string, publish func(string) (stopper, error), r results) (err error) {
	var wg sync.WaitGroup
	running, errs := make([]stopper, publishers), make([]error, publishers)
	defer func() {
		for i, p := range running {
			if p != nil {
				errs[i] = errors.Join(errs[i], p.stop())
			}
		}
		err = errors.Join(append(errs, err)...)
	}()
	for i := range running {
		wg.Go(func() { // spread over a group of pictures
			at := time.Now().Add(time.Duration(i) * 2 * time.Second / publishers)
			if errs[i] = sleepUntil(ctx, at); errs[i] == nil {
				running[i], errs[i] = publish(fmt.Sprintf("load%d", i))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := sleepUntil(ctx, time.Now().Add(whipSettle)); err != nil {
		return err
	}
	before, err := s.cpu()
	if err != nil {
		return err
	}
	start := time.Now()
	if err := sleepUntil(ctx, start.Add(whipWindow)); err != nil {
		return err
	}
	after, err := s.cpu()
	if err != nil {
		return err
	}
	r.add(whipCPU, way, (after-before)/time.Since(start).Seconds()/publishers*1000)
	lost, err := counters(ctx, s, "sluice_ingest_rtc_packets_lost_total", "sluice_ingest_rtc_frames_dropped_total")
	r.add(whipLost, way, lost)
	return err
}

// counters sums up counters of the server's.
func counters(ctx context.Context, s *server, names ...string) (sum float64, err error) {
	text, err := get(ctx, "http://"+s.http+"/metrics")
	for _, name := range names {
		m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(text)
		if m == nil {
			return 0, errors.Join(err, fmt.Errorf("the server has no metric %s", name))
		}
		v, parseErr := strconv.ParseFloat(string(m[1]), 64)
		err = errors.Join(err, parseErr)
		sum += v
	}
	return sum, err
}

// camera replays the pictures of a clip, as a Source.
type camera struct {
	clip  *clip
	track *sluice.Track
	start time.Time
	at    int
}

func (c *camera) Tracks() []*sluice.Track { return []*sluice.Track{c.track} }
func (c *camera) Close() error            { return nil }

func (c *camera) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	if c.start.IsZero() {
		c.start = time.Now()
	}
	round, i := c.at/len(c.clip.pictures), c.at%len(c.clip.pictures)
	p := c.clip.pictures[i]
	due := c.start.Add(time.Duration(uint32(round)*c.clip.length+p.ms) * time.Millisecond)
	if err := sleepUntil(ctx, due); err != nil {
		return sluice.Packet{}, err
	}
	c.at++
	data := append([]byte(nil), p.sample...)
	putStamp(data[p.stampAt:], now())
	dts := c.track.Ticks(due)
	return sluice.Packet{Track: c.track, DTS: dts, PTS: dts, Dur: 3000, Key: p.key, Data: data}, nil
}

// whipPublisher is a camera that publishes.
type whipPublisher struct {
	cancel context.CancelFunc
	done   chan error
}

// startWHIP returns once the server has accepted the stream.
func startWHIP(ctx context.Context, s *server, name string, c *clip) (*whipPublisher, error) {
	track, err := codec.AVC(c.avcC)
	if err != nil {
		return nil, err
	}
	track.ID = 1
	cam := &camera{clip: c, track: track}
	client, err := rtc.Dial(ctx, "http://"+s.http+"/whip/"+name, cam.Tracks(), rtc.ClientConfig{})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &whipPublisher{cancel: cancel, done: make(chan error, 1)}
	go func() {
		err := client.Publish(ctx, cam)
		if ctx.Err() != nil {
			err = nil
		}
		p.done <- errors.Join(err, client.Close())
	}()
	return p, nil
}

func (p *whipPublisher) stop() error {
	p.cancel()
	return <-p.done
}
