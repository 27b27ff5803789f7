package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/codec"
	"github.com/sluice-live/sluice/internal/mpegts"
	"github.com/sluice-live/sluice/internal/srt"
)

// play serves a player.
func (p *srtPort) play(ctx context.Context, c *srt.Pending, r *Request, log *slog.Logger) {
	log = log.With("stream", r.Name)
	stream, err := p.server.find(ctx, r)
	if err == nil {
		err = c.Unlock(p.server.live.passphrase(r.Name))
	}
	if err != nil {
		log.Info("player refused", "error", err)
		c.Reject(told(err))
		return
	}
	conn, err := c.Accept()
	if err != nil {
		log.Info("player is gone before it began", "error", err)
		return
	}
	p.add(conn, SRTConn{Stream: r.Name, Play: true})
	defer p.remove(conn)
	log.Info("playing")
	if err = playTS(ctx, conn, stream); err != nil {
		log.Info("player ended", "reason", err)
		return
	}
	log.Info("player ended: the stream is over or the player left")
}

var errPlayerLeft = errors.New("player has left")

// playTS sends a stream until its end, or the player's.
func playTS(ctx context.Context, conn *srt.Conn, stream *sluice.Stream) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	defer func() { _ = conn.Close() }() // never fails; ends what reads it
	wg.Go(func() {
		if _, err := io.Copy(io.Discard, conn); err == nil {
			cancel(errPlayerLeft)
		} else {
			cancel(err)
		}
	})
	err := sendTS(ctx, conn, stream)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if errors.Is(err, errPlayerLeft) {
		return nil
	}
	if err == nil {
		conn.Flush()
	}
	return err
}

func sendTS(ctx context.Context, w io.Writer, stream *sluice.Stream) error {
	sub := stream.Subscribe(sluice.Subscription{})
	defer func() { _ = sub.Close() }() // never fails
	var out *mpegts.Writer
	pick := picker{}
	for {
		p, err := sub.ReadPacket(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if out == nil {
			pick.from(sub.Tracks())
			began := cmp.Or(stream.Began(), p.Track.Time(p.DTS))
			if out, err = mpegts.NewWriter(w, nil, began); err != nil {
				return err
			}
		}
		if !pick.wants(p.Track) {
			continue
		}
		if err := out.WritePacket(p); err != nil && !errors.Is(err, codec.ErrUnsupported) {
			return err
		}
	}
}

// picker chooses one track of each kind: of pictures the largest, of sound the
// first that a transport stream carries.
type picker struct{ video, audio uint32 }

func (c *picker) from(tracks []*sluice.Track) {
	tracks = slices.Clone(tracks)
	slices.SortStableFunc(tracks, func(a, b *sluice.Track) int { return cmp.Compare(b.Width*b.Height, a.Width*a.Height) })
	for _, t := range tracks {
		c.wants(t)
	}
}

func (c *picker) wants(t *sluice.Track) bool {
	chosen := &c.audio
	switch t.Kind {
	case sluice.Video:
		chosen = &c.video
	case sluice.Audio:
	default:
		return false
	}
	if *chosen == 0 {
		if _, err := mpegts.NewWriter(io.Discard, []*sluice.Track{t}, time.Time{}); err == nil {
			*chosen = t.ID
		}
	}
	return *chosen == t.ID
}

// passphrase returns what the stream's SRT players must know, if its publisher
// was granted one.
func (t *broadcasts) passphrase(stream string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b := t.m[stream]; b != nil {
		if p := b.passphrase.Load(); p != nil {
			return *p
		}
	}
	return ""
}

func checkPassphrase(g Grant) error {
	if g.Passphrase == "" {
		return nil
	}
	if err := srt.CheckPassphrase(g.Passphrase); err != nil {
		return fmt.Errorf("ingest: publish: %w", err)
	}
	return nil
}
