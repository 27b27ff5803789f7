package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// benchPackaging is the second group: many publishers, each packaged.
func benchPackaging(ctx context.Context, o options, r results) error {
	return o.eachRound(func(name string, launch launcher) error {
		s, err := launch(ctx)
		if err != nil {
			return err
		}
		defer s.stop()
		perStreamSecond, err := packaging(ctx, s, o.clip720)
		if err != nil {
			return err
		}
		r.add(packagingCPU, name, perStreamSecond*1000)
		peak, err := s.peakMemory()
		r.add(packagingPeak, name, float64(peak)/1e6)
		return err
	})
}

const (
	publishers      = 50
	packagingSettle = 12 * time.Second // until windows are full
	packagingWindow = 20 * time.Second
)

// packaging returns the processor seconds per second and stream.
func packaging(ctx context.Context, s *server, c *clip) (cost float64, err error) {
	app := "live"
	if s.name == "nginx" {
		app = "hls"
	}
	var wg sync.WaitGroup
	running := make([]*publisher, publishers)
	errs := make([]error, publishers)
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
				running[i], errs[i] = startPublisher(ctx, s.rtmp, app, fmt.Sprintf("bench%d", i), c)
			}
		})
	}
	wg.Wait()
	if err := sleepUntil(ctx, time.Now().Add(packagingSettle)); err != nil {
		return 0, err
	}
	before, err := s.cpu()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := sleepUntil(ctx, start.Add(packagingWindow)); err != nil {
		return 0, err
	}
	after, err := s.cpu()
	return (after - before) / time.Since(start).Seconds() / publishers, err
}
