package rtmp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-live/sluice"
)

// How a packet goes to many players:
//
//	Stream ── subscription ── pump ── fanLog ──┬── shard ── player, player, player …
//	                                           └── shard ── player, player, player …
//
// The pump cuts each packet into chunks once. A shard is a goroutine that looks
// after its players in turn: it collects what lies between a player's place in
// the log and its end, and writes that with one writev that does not block. A
// player whose socket is full is left to a goroutine of its own until it has
// caught up, so that no other waits for it.
//
// Shards belong to a Fanout, one per processor, rather than to the process:
// whoever started them can join them, a stream's blocks stay in one place's
// cache, and a sleeping shard costs nothing.

// FanoutConfig configures a Fanout. The zero value is good.
type FanoutConfig struct {
	// Backlog and BacklogTime are how far a player may be behind before it is
	// moved forward to the newest key frame: 8 MiB and 5 s if 0.
	Backlog     int64
	BacklogTime time.Duration
	// Cache bounds what is held for players to begin with: 32 MiB if 0. A
	// group of pictures that is larger is not kept, and players wait for the
	// next.
	Cache int64
	// WriteTimeout is how long a player may take no byte: 20 s if 0.
	WriteTimeout time.Duration
	// Drain is how long players may take to fetch what is left of a stream
	// that has ended: 5 s if 0.
	Drain time.Duration
}

func (c FanoutConfig) withDefaults() FanoutConfig {
	setDefault(&c.Backlog, 8<<20)
	setDefault(&c.BacklogTime, 5*time.Second)
	setDefault(&c.Cache, 32<<20)
	setDefault(&c.WriteTimeout, 20*time.Second)
	setDefault(&c.Drain, 5*time.Second)
	return c
}

// FanoutStats are a Fanout's counters.
type FanoutStats struct {
	Players   int    // now
	Joined    uint64 // all told
	Bytes     uint64 // written to players
	Writes    uint64 // system calls, or writes where there are no vectored ones
	Congested uint64 // times that a player's socket was full
	Skips     uint64 // times that a player was moved forward
	Dropped   uint64 // messages that players missed by that
	TooSlow   uint64 // players disconnected because they took nothing
}

// Fanout plays one stream to any number of players, over one subscription that
// lasts as long as there are players.
type Fanout struct {
	began     func() time.Time
	tracks    func() []*sluice.Track
	subscribe func() sluice.Source
	mux       mux // to begin with
	cfg       FanoutConfig

	mu  sync.Mutex
	run *run // nil without players

	joined, bytes, writes, congested, skips, dropped, tooSlow atomic.Uint64
}

// NewFanout returns a Fanout that plays src. It needs no closing: what it
// starts for its players ends with the last of them.
func NewFanout(src *sluice.Stream, cfg FanoutConfig) *Fanout {
	return &Fanout{
		began:     src.Began,
		tracks:    src.Tracks,
		subscribe: func() sluice.Source { return src.Subscribe(sluice.Subscription{}) },
		mux:       mux{stream: mediaStream},
		cfg:       cfg.withDefaults(),
	}
}

// Stats returns the counters.
func (f *Fanout) Stats() FanoutStats {
	f.mu.Lock()
	players := 0
	if f.run != nil {
		players = f.run.players
	}
	f.mu.Unlock()
	return FanoutStats{
		players, f.joined.Load(), f.bytes.Load(), f.writes.Load(),
		f.congested.Load(), f.skips.Load(), f.dropped.Load(), f.tooSlow.Load(),
	}
}

// run is a Fanout's life from the first player to the last.
type run struct {
	f       *Fanout
	src     sluice.Source
	log     fanLog
	shards  []*shard
	players int // guarded by Fanout.mu
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

func (f *Fanout) start() *run {
	ctx, cancel := context.WithCancel(context.Background())
	r := &run{f: f, src: f.subscribe(), log: fanLog{limits: f.cfg}, cancel: cancel}
	for range runtime.GOMAXPROCS(0) {
		s := &shard{run: r, wake: make(chan struct{}, 1)}
		r.shards = append(r.shards, s)
		r.wg.Go(func() { s.loop(ctx) })
	}
	r.wg.Go(func() { r.pump(ctx) })
	return r
}

func (r *run) stop() {
	r.cancel()
	_ = r.src.Close()
	r.wg.Wait()
}

func (r *run) pump(ctx context.Context) {
	p := pump{log: &r.log, began: r.f.began, mux: r.f.mux}
	for _, t := range preferred(r.src.Tracks()) {
		p.mux.add(t)
	}
	p.setup = p.mux.setup()
	for {
		in, err := r.src.ReadPacket(ctx)
		if err == nil {
			err = p.packet(in)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			r.end(ctx, err)
			return
		}
		// The first shard's round needs no other goroutine to wake up.
		for _, s := range r.shards[1:] {
			s.signal()
		}
		r.shards[0].round()
	}
}

// end tells the players that the stream is over and waits while they fetch
// what is left.
func (r *run) end(ctx context.Context, err error) {
	if err == io.EOF {
		err = nil
	}
	v := r.log.view()
	var at uint32
	if n := len(v.blocks); n > 0 {
		at = v.blocks[n-1].time
	}
	r.log.append(&block{bufs: [][]byte{r.f.mux.goodBye(at)}, at: time.Now(), time: at})
	r.log.end(err)
	r.wake()
	drain := time.NewTimer(r.f.cfg.Drain)
	defer drain.Stop()
	select {
	case <-ctx.Done():
	case <-drain.C:
		for _, s := range r.shards {
			for _, p := range s.list() {
				p.cancel(errors.Join(errEnd, err))
			}
		}
	}
}

// goodBye returns what is said behind the last packet.
func (m *mux) goodBye(at uint32) []byte {
	if m.publish {
		return coded(call("deleteStream", 0, nil, float64(m.stream)))
	}
	notify := onStatus(m.stream, "status", "NetStream.Play.UnpublishNotify", "stream has ended")
	notify.Time = at
	return coded(notify, userControl(eventStreamEOF, m.stream))
}

func (r *run) wake() {
	for _, s := range r.shards {
		s.signal()
	}
}

// Serve answers the play command and plays until the player leaves (nil), the
// stream ends (nil, or the stream's error), the player takes no bytes
// (ErrSlow), or ctx ends. It closes the connection.
//
// A player that lists the codecs it takes, and not the stream's, is refused.
func (f *Fanout) Serve(ctx context.Context, c *ServerConn) error {
	defer func() { _ = c.Close() }() // it may have gone first
	if err := c.caps.check(chosen(f.tracks())); err != nil {
		err = fmt.Errorf("rtmp: play to %s: %w", remote(c.nc), err)
		return errors.Join(err, c.Reject(err))
	}
	err := c.write(
		userControl(eventStreamBegin, mediaStream),
		onStatus(c.stream, "status", "NetStream.Play.Reset", "playing "+c.req.Name),
		onStatus(c.stream, "status", "NetStream.Play.Start", "playing "+c.req.Name),
	)
	if err != nil {
		return fmt.Errorf("rtmp: play to %s: %w", remote(c.nc), peerGone(err))
	}
	own, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := f.join(own, cancel, c.conn)
	err = c.within(own, c.readPlayer)
	if cause := context.Cause(own); cause != nil {
		err = cause
	}
	f.part(p)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errEnd):
		c.linger()
		if err == errEnd {
			return nil
		}
	case errors.Is(err, ErrCodec):
		_ = c.Reject(err) // it may have gone first
	case err == errLeft, errors.Is(peerGone(err), io.ErrUnexpectedEOF):
		return nil
	}
	return fmt.Errorf("rtmp: play to %s: %w", remote(c.nc), err)
}

// errLeft says that a player has said good-bye.
var errLeft = errors.New("player has left")

// readPlayer reads what a player sends until it leaves.
func (c *ServerConn) readPlayer() error {
	for {
		m, err := c.read()
		if err != nil {
			return err
		}
		if !isCommand(m) {
			continue
		}
		cmd, err := parseCommand(m)
		if err != nil {
			return err
		}
		switch cmd.name {
		case "deleteStream", "closeStream", "FCUnsubscribe":
			return errLeft
		}
		if err := c.answer(cmd); err != nil {
			return err
		}
	}
}

func (f *Fanout) join(ctx context.Context, cancel context.CancelCauseFunc, c *conn) *player {
	f.mu.Lock()
	if f.run == nil {
		f.run = f.start()
	}
	r := f.run
	r.players++
	s := r.shards[0]
	for _, o := range r.shards {
		if len(o.list()) < len(s.list()) {
			s = o
		}
	}
	p := newPlayer(ctx, cancel, c, s)
	s.add(p)
	f.mu.Unlock()
	f.joined.Add(1)
	p.mu.Lock()
	p.help() // it has a group of pictures to fetch: not at the others' expense
	p.mu.Unlock()
	return p
}

// part takes a player out of everything that knows it.
func (f *Fanout) part(p *player) {
	p.shard.remove(p)
	p.quit()
	f.mu.Lock()
	r := f.run
	r.players--
	last := r.players == 0
	if last {
		f.run = nil
	}
	f.mu.Unlock()
	if last {
		r.stop()
	}
}
