package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
)

const partsWindow = 15 * time.Second

// benchParts is the fourth group: how soon a part can be had.
func benchParts(ctx context.Context, o options, r results) error {
	s, err := launchSluice(o.Sluice)(ctx)
	if err != nil {
		return err
	}
	defer s.stop()
	p, err := startPublisher(ctx, s.rtmp, "live", "bench", o.clip1080)
	if err != nil {
		return err
	}
	w, err := partDelays(ctx, s)
	if err := errors.Join(err, p.stop()); err != nil {
		return err
	}
	if len(w.inside) < 20 {
		return fmt.Errorf("only %d parts were waited for", len(w.inside))
	}
	r.add(partMedian, "sluice", quantile(w.inside, 0.5))
	r.add(partP99, "sluice", quantile(w.inside, 0.99))
	r.add(partLast, "sluice", quantile(w.last, 0.5))
	return nil
}

// partWaits are the milliseconds from the sending of a part's last picture to
// the part's last byte. A segment's last part stands apart: it is only known to
// be complete when the next segment's key frame comes.
type partWaits struct{ inside, last []float64 }

// partDelays fetches the part that the playlist promises next, again and
// again.
func partDelays(ctx context.Context, s *server) (w partWaits, err error) {
	media, err := videoPlaylist(ctx, s, 1)
	if err != nil {
		return w, err
	}
	var wait float64
	var waited string // for which part; empty if it was there already
	for end := time.Now().Add(partsWindow); time.Now().Before(end); {
		media, err = getPlaylist(ctx, media.url)
		if err != nil {
			return w, err
		}
		if media.hint == "" {
			return w, errors.New("the playlist has no preload hint")
		}
		switch {
		case waited == "":
		case segmentOf(waited) == segmentOf(media.hint):
			w.inside = append(w.inside, wait)
		default:
			w.last = append(w.last, wait)
		}
		asked := now()
		body, err := get(ctx, media.hint)
		if err != nil {
			return w, err
		}
		sent, ok := lastStamp(body)
		if !ok {
			return w, fmt.Errorf("%s holds no time stamp", media.hint)
		}
		wait, waited = float64(now()-sent)/1e6, ""
		if asked < sent {
			waited = media.hint
		}
	}
	return w, nil
}

// segmentOf returns what the addresses of a segment's parts have in common:
// all before ".PART.m4s".
func segmentOf(part string) string {
	part = strings.TrimSuffix(part, path.Ext(part))
	return strings.TrimSuffix(part, path.Ext(part))
}
