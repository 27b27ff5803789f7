package rtmp

import (
	"fmt"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
)

// block is one packet cut into chunks, shared by all players.
type block struct {
	bufs  [][]byte
	size  int
	total uint64 // bytes in all blocks before it
	at    time.Time
	time  uint32 // RTMP time stamp
	start *setup // if not nil a player may begin here, and needs this before
	news  *setup // if not nil, what the block tells of
}

// view is the state of a fanLog at one moment; its blocks do not change.
type view struct {
	base   uint64 // number of blocks[0]
	blocks []*block
	key    uint64 // number of the newest start
	hasKey bool
	total  uint64 // bytes in all blocks there ever were
	ended  bool
	err    error // why, with ended
}

func (v *view) end() uint64           { return v.base + uint64(len(v.blocks)) }
func (v *view) at(seq uint64) *block  { return v.blocks[seq-v.base] }
func (v *view) held(seq uint64) int64 { return int64(v.total - v.at(seq).total) }

// fanLog holds the newest blocks: those from the newest start on, and as many
// before it as a player may be behind. One goroutine appends; readers take
// views, which cost no copying: blocks are appended behind what a view sees and
// dropped by slicing.
type fanLog struct {
	limits FanoutConfig
	mu     sync.Mutex
	v      view
}

func (l *fanLog) view() view {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.v
}

func (l *fanLog) append(b *block) {
	for _, buf := range b.bufs {
		b.size += len(buf)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b.total = l.v.total
	l.v.total += uint64(b.size)
	if b.start != nil {
		l.v.key, l.v.hasKey = l.v.end(), true
	}
	l.v.blocks = append(l.v.blocks, b)
	l.trim(b.at)
}

// trim drops what no player may still want. The newest group of pictures is
// kept whole unless it is larger than the cache.
func (l *fanLog) trim(now time.Time) {
	for l.v.base < l.v.end()-1 {
		held, age := l.v.held(l.v.base), now.Sub(l.v.at(l.v.base).at)
		needed := l.v.hasKey && l.v.key == l.v.base || held <= l.limits.Backlog && age <= l.limits.BacklogTime
		if needed && held <= l.limits.Cache {
			return
		}
		if l.v.hasKey && l.v.key == l.v.base {
			l.v.hasKey = false // players wait for the next one
		}
		l.v.blocks = l.v.blocks[1:]
		l.v.base++
	}
}

// end closes the log; players leave when they have what is before.
func (l *fanLog) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.v.ended, l.v.err = true, err
}

// pump fills a log from a source.
type pump struct {
	log   *fanLog
	began func() time.Time
	mux   mux
	setup *setup
}

// packet appends a packet, and before it what has changed of its track.
func (p *pump) packet(in sluice.Packet) error {
	if p.mux.began.IsZero() {
		p.mux.began = p.began()
	}
	now := time.Now()
	if p.mux.add(in.Track) {
		p.setup = p.mux.setup()
		at, _ := p.mux.stamp(in)
		b, err := p.setup.messages(uint32(at))
		if err != nil {
			return fmt.Errorf("rtmp: fan-out: %w", err)
		}
		p.log.append(&block{bufs: [][]byte{b}, at: now, time: uint32(at), news: p.setup})
	}
	if in.Data == nil || !p.mux.carries(in.Track) {
		return nil
	}
	b := &block{at: now}
	b.bufs, b.time = p.mux.cut(in)
	if in.Key && (in.Track.Kind == sluice.Video || !p.mux.has(sluice.Video)) {
		b.start = p.setup
	}
	p.log.append(b)
	return nil
}
