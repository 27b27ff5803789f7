package ingest

import (
	"context"
	"encoding/binary"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-live/sluice"
)

// camera publishes 25 pictures a second and AAC at the pace of time. Its
// packets' Data tell who made them.
type camera struct {
	mark   byte
	gop    int
	video  *sluice.Track
	audio  *sluice.Track
	ended  chan struct{}
	err    error // what feed ended with, once ended is closed
	asked  int   // for key frames
	cancel context.CancelFunc

	mu     sync.Mutex
	frozen chan struct{} // closed by thaw; nil while it runs
	muted  bool          // sends announcements only, as pings would come
}

const frameTime = 40 * time.Millisecond

func newCamera(t testing.TB, mark byte, width int) *camera {
	return &camera{
		mark: mark, gop: 50, ended: make(chan struct{}),
		video: raw(avcTrack(t, width, 25, 1), videoID, 1000), audio: raw(aac48(t), audioID, 1000),
	}
}

// cameraSource is a camera as a Source: it makes packets as they are read.
type cameraSource struct {
	*camera
	began  time.Time
	n      int // pictures
	sounds int
}

func (c *cameraSource) Tracks() []*sluice.Track { return []*sluice.Track{c.video, c.audio} }
func (c *cameraSource) Close() error            { return nil }

func (c *cameraSource) RequestKey(uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	return true
}

func (c *cameraSource) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	picture := time.Duration(c.n) * frameTime
	sound := time.Duration(c.sounds) * 1024 * time.Second / 48000
	at := picture
	isSound := c.audio != nil && (c.video == nil || sound < picture)
	if isSound {
		at = sound
	}
	if err := c.until(ctx, c.began.Add(at)); err != nil {
		return sluice.Packet{}, err
	}
	ms := at.Round(time.Millisecond).Milliseconds()
	data := binary.BigEndian.AppendUint32([]byte{c.mark}, uint32(c.n))
	if isSound {
		c.sounds++
		return c.unlessMuted(sluice.Packet{Track: c.audio, DTS: ms, PTS: ms, Key: true, Data: data}), nil
	}
	c.n++
	return c.unlessMuted(sluice.Packet{Track: c.video, DTS: ms, PTS: ms, Key: (c.n-1)%c.gop == 0, Data: data}), nil
}

func (c *camera) unlessMuted(p sluice.Packet) sluice.Packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.muted {
		p.Data = nil
	}
	return p
}

func (c *camera) mute() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.muted = true
}

// until waits for a time, and for the camera to run.
func (c *camera) until(ctx context.Context, at time.Time) error {
	if err := sleep(ctx, time.Until(at)); err != nil {
		return err
	}
	c.mu.Lock()
	frozen := c.frozen
	c.mu.Unlock()
	if frozen == nil {
		return ctx.Err()
	}
	select {
	case <-frozen:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// freeze stops the camera without a word; thaw has it send what it has missed
// at once, as a stopped process does.
func (c *camera) freeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = make(chan struct{})
}

func (c *camera) thaw() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.frozen)
	c.frozen = nil
}

// publish connects the camera.
func (c *camera) publish(ctx context.Context, b *Broadcast, second Second) {
	ctx, c.cancel = context.WithCancel(ctx)
	h := hints{known: true, video: c.video != nil, audio: c.audio != nil}
	conn, err := b.attach(ctx, newInput(1000, rtmpWrap, func() hints { return h }), second)
	if err != nil {
		c.err = err
		close(c.ended)
		return
	}
	go func() {
		defer close(c.ended)
		ours, err := b.feed(conn, &cameraSource{camera: c, began: time.Now()})
		if c.err = ours; ours == nil {
			c.err = err
		}
	}()
}

// kill ends the camera's connection.
func (c *camera) kill() {
	c.cancel()
	<-c.ended
}

// viewing is what a broadcast's reader saw.
type viewing struct {
	b       *Broadcast
	mu      sync.Mutex
	packets []seen
	done    chan error
}

type seen struct {
	sluice.Packet
	at time.Time
}

// view reads a broadcast from now on, until its end.
func view(ctx context.Context, b *Broadcast) *viewing {
	v := &viewing{b: b, done: make(chan error, 1)}
	go func() {
		for {
			p, err := b.ReadPacket(ctx)
			if err != nil {
				v.done <- err
				return
			}
			v.mu.Lock()
			v.packets = append(v.packets, seen{p, time.Now()})
			v.mu.Unlock()
		}
	}()
	return v
}

// shot is a row of pictures of one maker.
type shot struct {
	mark        byte
	era         uint32
	width       int
	first, last time.Time // DTS
	came, ended time.Time // when the reader had them
	pictures    int
	key         bool // begins with one
}

// shots are the pictures so far, by maker and era.
func (v *viewing) shots() (all []shot) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.packets {
		if p.Data == nil || p.Track.Kind != sluice.Video {
			continue
		}
		at := p.Track.Time(p.DTS)
		if n := len(all); n == 0 || all[n-1].mark != p.Data[0] || all[n-1].era != p.Track.Era {
			all = append(all, shot{mark: p.Data[0], era: p.Track.Era, width: p.Track.Width, first: at, came: p.at, key: p.Key})
		}
		r := &all[len(all)-1]
		r.last, r.ended = at, p.at
		r.pictures++
	}
	return all
}

// marks are the makers of the shots, in order.
func (v *viewing) marks() string {
	var s []byte
	for _, r := range v.shots() {
		s = append(s, r.mark)
	}
	return string(s)
}

// finish ends the broadcast and holds what is true of all of them.
func (v *viewing) finish(t *testing.T) {
	v.b.End()
	require.Equal(t, io.EOF, <-v.done)
	v.check(t)
}

func (v *viewing) check(t *testing.T) {
	c := newChecker(t)
	c.packets(v.plain())
	c.sane()
}

func (v *viewing) plain() []sluice.Packet {
	all := make([]sluice.Packet, 0, len(v.packets))
	for _, p := range v.packets {
		all = append(all, p.Packet)
	}
	return all
}

// stage runs a test of a broadcast in fake time.
func stage(t *testing.T, c broadcastConfig, f func(t *testing.T, b *Broadcast, v *viewing)) {
	synctest.Test(t, func(t *testing.T) {
		if c.grace == 0 {
			c.grace = 30 * time.Second
		}
		var saved Position
		b := testBroadcastWith(c, &saved)
		v := view(t.Context(), b)
		f(t, b, v)
		require.NoError(t, b.Close())
		synctest.Wait()
	})
}
