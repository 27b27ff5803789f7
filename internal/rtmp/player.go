package rtmp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// maxInbox bounds the control messages that wait for a player to take them.
const maxInbox = 64 << 10

// player is one player of a Fanout. Whoever holds mu may write to it, unless
// it is helped: then only its helper does.
type player struct {
	c      *conn
	shard  *shard
	raw    syscall.RawConn // nil: no vectored writes, always helped
	ctx    context.Context
	cancel context.CancelCauseFunc
	kick   chan struct{} // for a helper that waits for media
	wg     sync.WaitGroup

	mu      sync.Mutex
	next    uint64    // number of the next block
	since   time.Time // when it came to next other than by reading on
	waiting bool      // for a block to start with
	part    *block    // being written, of which
	partOff int       // so much is
	private []byte    // for it alone, to be written before the next block
	inbox   []byte    // the same, to be written after that
	helped  bool
	gone    bool
	refused error // why it cannot have what comes next
}

func newPlayer(ctx context.Context, cancel context.CancelCauseFunc, c *conn, s *shard) *player {
	p := &player{c: c, shard: s, ctx: ctx, cancel: cancel, kick: make(chan struct{}, 1), waiting: true}
	p.raw = rawConn(c.nc)
	_ = c.nc.SetWriteDeadline(time.Time{})
	c.wmu.Lock()
	c.out = p.enqueue
	c.wmu.Unlock()
	return p
}

// enqueue takes control messages from the goroutine that reads.
func (p *player) enqueue(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.inbox)+len(b) > maxInbox {
		return fmt.Errorf("%w: %d bytes of answers wait", ErrSlow, len(p.inbox))
	}
	p.inbox = append(p.inbox, b...)
	p.shard.signal()
	return nil
}

// leave ends the player's Serve with a cause. mu is held.
func (p *player) leave(cause error) {
	p.gone = true
	p.cancel(cause)
}

func (p *player) fail(err error) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		if p.ctx.Err() == nil {
			p.shard.run.f.tooSlow.Add(1)
		}
		err = fmt.Errorf("%w for %v", ErrSlow, p.shard.run.f.cfg.WriteTimeout)
	default:
		err = peerGone(err)
	}
	p.leave(err)
}

// idle is called when there is nothing to write.
func (p *player) idle(v *view) {
	if p.refused != nil {
		p.leave(p.refused)
		return
	}
	if v.ended && p.next >= v.end() {
		if v.err != nil {
			p.leave(errors.Join(errEnd, v.err))
			return
		}
		p.leave(errEnd)
	}
}

// place moves a player that waits, or is too far behind, to the newest start.
func (p *player) place(v *view, now time.Time) {
	if !p.waiting && p.next >= v.base && (p.next >= v.end() || !p.behind(v, now)) {
		return
	}
	if !v.hasKey || v.key < p.next || v.key == p.next && !p.waiting {
		if p.next < v.base && !p.waiting {
			p.skip(v.end())
			p.waiting = true
		}
		if p.waiting && v.ended {
			p.next, p.waiting = v.end()-1, false // the good-bye
		}
		return
	}
	b := v.at(v.key)
	if p.refused = p.c.caps.check(b.start.tracks); p.refused != nil {
		p.waiting = true
		return
	}
	setup, err := b.start.messages(b.time)
	if err != nil {
		p.leave(err)
		return
	}
	p.skip(v.key)
	p.private = append(p.private, setup...)
	p.waiting, p.since = false, now
}

// skip moves on to block seq and counts what is missed by it; nothing is
// before the player's first block.
func (p *player) skip(seq uint64) {
	if !p.since.IsZero() && seq > p.next {
		f := p.shard.run.f
		f.dropped.Add(seq - p.next)
		p.c.missed.Add(seq - p.next)
		if !p.waiting {
			f.skips.Add(1)
		}
	}
	p.next = seq
}

func (p *player) behind(v *view, now time.Time) bool {
	from := v.at(p.next).at
	if p.since.After(from) {
		from = p.since // it began with old blocks
	}
	cfg := &p.shard.run.f.cfg
	return v.held(p.next) > cfg.Backlog || now.Sub(from) > cfg.BacklogTime
}

// gather appends what is to be written next to bufs.
func (p *player) gather(v *view, now time.Time, bufs [][]byte) [][]byte {
	p.place(v, now)
	if p.part != nil {
		off := p.partOff
		for _, b := range p.part.bufs {
			if off < len(b) {
				bufs = append(bufs, b[off:])
			}
			off = max(0, off-len(b))
		}
	}
	if len(p.private) == 0 {
		p.private, p.inbox = p.inbox, nil
	}
	if len(p.private) > 0 {
		bufs = append(bufs, p.private)
	}
	if p.waiting {
		return bufs
	}
	for seq := p.next; seq < v.end() && len(bufs) < maxBufs; seq++ {
		b := v.at(seq)
		if b.news != nil {
			if err := p.c.caps.check(b.news.tracks); err != nil {
				p.refused = err
				break
			}
		}
		bufs = append(bufs, b.bufs...)
	}
	return bufs
}

// advance notes that n bytes of what was gathered have been written.
func (p *player) advance(v *view, n int) {
	f := p.shard.run.f
	f.bytes.Add(uint64(n))
	f.writes.Add(1)
	p.c.sent.Add(uint64(n))
	if p.part != nil {
		left := p.part.size - p.partOff
		if n < left {
			p.partOff += n
			return
		}
		n -= left
		p.part, p.partOff = nil, 0
	}
	k := min(n, len(p.private))
	if p.private = p.private[k:]; len(p.private) > 0 {
		return
	}
	p.private = nil
	for n -= k; n > 0; p.next++ {
		p.c.blocks.Add(1)
		b := v.at(p.next)
		if n < b.size {
			p.part, p.partOff = b, n
		}
		n -= b.size
	}
}

// help gives the player a goroutine of its own until it has caught up. mu is
// held.
func (p *player) help() {
	if p.gone || p.helped {
		return
	}
	p.helped = true
	p.wg.Go(func() {
		h := helper{player: p}
		h.run()
	})
}

func (p *player) kickHelper() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// quit ends writing to the player and waits for its helper.
func (p *player) quit() {
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	// The helper may be setting a deadline of its own: it looks at ctx after
	// that, and whoever set this one has ended ctx before.
	p.cancel(nil)
	_ = p.c.nc.SetWriteDeadline(time.Unix(1, 0))
	p.wg.Wait()
	p.c.wmu.Lock()
	p.c.out = p.c.writeNow
	p.c.wmu.Unlock()
}

// helper writes to a congested player.
type helper struct {
	*player
	w    vectorWriter
	bufs [][]byte
	flat []byte
}

func (h *helper) run() {
	for {
		v := h.shard.run.log.view()
		h.mu.Lock()
		h.bufs = h.gather(&v, time.Now(), h.bufs[:0])
		if len(h.bufs) == 0 {
			h.idle(&v)
		}
		switch {
		case h.gone:
			h.helped = false
			h.mu.Unlock()
			return
		case len(h.bufs) == 0 && h.raw != nil:
			h.helped = false
			_ = h.c.nc.SetWriteDeadline(time.Time{})
			h.mu.Unlock()
			h.shard.signal() // for what came while it was passed over
			return
		case len(h.bufs) == 0:
			h.mu.Unlock()
			select {
			case <-h.kick:
			case <-h.ctx.Done():
			}
			continue
		}
		h.mu.Unlock()
		n, err := h.write()
		h.mu.Lock()
		h.advance(&v, n)
		if err != nil {
			h.fail(err)
		}
		h.mu.Unlock()
	}
}

// write writes some of bufs, waiting until that is possible.
func (h *helper) write() (int, error) {
	_ = h.c.nc.SetWriteDeadline(time.Now().Add(h.shard.run.f.cfg.WriteTimeout))
	if h.ctx.Err() != nil {
		return 0, context.Cause(h.ctx)
	}
	if h.raw != nil {
		return h.w.writeWait(h.raw, h.bufs)
	}
	h.flat = h.flat[:0]
	for _, b := range h.bufs {
		h.flat = append(h.flat, b[:min(len(b), 64<<10-len(h.flat))]...)
	}
	return h.c.nc.Write(h.flat)
}

// rawConn returns the descriptor of a connection that is a socket and nothing
// more.
func rawConn(nc net.Conn) syscall.RawConn {
	tc, ok := nc.(*net.TCPConn)
	if !ok || !vectored {
		return nil
	}
	raw, err := tc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}
