//go:build cgo

package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/ingest"
	"github.com/sluice-live/sluice/m4s"
	"github.com/sluice-live/sluice/transcode"
)

// bitrates are the mean bits a second of pictures, by their lines.
var bitrates = map[int]int{2160: 16_000_000, 1440: 9_000_000, 1080: 5_000_000, 720: 2_800_000, 480: 1_200_000, 360: 700_000, 240: 350_000}

// parseRenditions reads --renditions: numbers of lines.
func parseRenditions(list string) (all []transcode.Rendition, err error) {
	for one := range strings.SplitSeq(list, ",") {
		lines, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(one), "p"))
		if err != nil || lines < 96 || lines > 4320 {
			return nil, fmt.Errorf("--renditions: %q: give the pictures' lines, as in 720,480,240", one)
		}
		all = append(all, transcode.Rendition{Height: lines, Bitrate: bitrates[lines]})
	}
	slices.SortFunc(all, func(a, b transcode.Rendition) int { return b.Height - a.Height })
	return all, nil
}

// workerMain does not return in a process that was started as a worker.
func workerMain() { transcode.WorkerMain() }

// newLadder returns what makes a ladder of a stream, in a process of its own.
func (p *platform) newLadder(c config) (func(name string) sluice.Transform, error) {
	renditions, err := parseRenditions(c.Renditions)
	if err != nil {
		return nil, err
	}
	overlays := new(transcode.Overlays)
	if c.Logo != "" {
		logo, err := os.ReadFile(c.Logo)
		if err == nil {
			err = overlays.Set(transcode.Overlay{PNG: logo, Anchor: transcode.TopRight, X: 0.03, Y: 0.04, Size: 0.1})
		}
		if err != nil {
			return nil, fmt.Errorf("--logo: %w", err)
		}
	}
	monitor := new(transcode.Monitor)
	p.ladders = monitor.Collector()
	return func(name string) sluice.Transform {
		l := transcode.Ladder{Name: name, Renditions: renditions, Steady: true, Overlays: overlays, HW: c.HW, Log: p.log, Monitor: monitor}
		return transcode.Isolated{Ladder: l, Nice: 5}
	}, nil
}

// soundFor makes AAC and Opus of a stream's sound, for push targets that take
// only one of them. The picture passes.
func (p *platform) soundFor(name string) sluice.Transform {
	l := transcode.Ladder{Name: name, Renditions: transcode.AudioOnly, Source: transcode.PassAlways, Log: p.log}
	return transcode.Isolated{Ladder: l, Nice: 5}
}

// slateOfPicture makes a clip of a picture.
func slateOfPicture(file string) (*ingest.Slate, error) {
	picture, err := readPicture(file)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	src, err := transcode.Still{}.Clip(ctx, picture)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer src.Close()
	return ingest.NewSlate(ctx, src)
}

// remoteLadder has another server make the ladders.
func (p *platform) remoteLadder(url string, peer m4s.Client) (func(name string) sluice.Transform, error) {
	return func(name string) sluice.Transform {
		return transcode.Remote{URL: url + "/m4s/" + name, Client: peer, Log: p.log}
	}, nil
}

// newService is a server that transcodes for others.
func (p *platform) newService() exchange {
	return &transcode.Service{Transform: p.transform, Log: p.log}
}
