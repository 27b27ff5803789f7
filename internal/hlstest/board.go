package hlstest

import (
	"fmt"
	"sync"
	"time"
)

// board keeps what each rendition showed when, and what the others' rendition
// reports claimed about it, to be compared at the end.
type board struct {
	mu     sync.Mutex
	seen   map[*rendition][]mark
	claims []claim
}

type mark struct {
	at  time.Time
	pos position
}

type claim struct {
	by, about *rendition
	sent, got time.Time
	pos       position

	excerpt string
}

func newBoard() board { return board{seen: map[*rendition][]mark{}} }

func (b *board) saw(r *rendition, at time.Time, pos position) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen[r] = append(b.seen[r], mark{at, pos})
}

func (b *board) claim(c claim) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.claims = append(b.claims, c)
}

// judge holds each report against what its rendition showed around that time.
func (b *board) judge(w *walk) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.claims {
		marks := b.seen[c.about]
		if len(marks) == 0 {
			continue
		}
		say := func(format string, args ...any) {
			w.notes.add(Violation{Rule: "rendition-report", Rendition: c.by.name, Excerpt: c.excerpt,
				Detail: fmt.Sprintf("about %s, answered %s: ", c.about.name, c.got.UTC().Format("15:04:05.000")) + fmt.Sprintf(format, args...)})
		}
		if floor, ok := newest(marks, c.sent.Add(-w.opts.Slack)); ok && c.pos.before(floor) {
			say("said %d.%d; %d.%d was there %v before", c.pos.MSN, c.pos.Part, floor.MSN, floor.Part, w.opts.Slack)
		}
		end := c.got.Add(w.opts.Slack)
		if ceiling, ok := newest(marks, end); ok && ceiling.before(c.pos) && marks[len(marks)-1].at.After(end) {
			say("said %d.%d; %v later only %d.%d was there", c.pos.MSN, c.pos.Part, w.opts.Slack, ceiling.MSN, ceiling.Part)
		}
	}
}

// newest returns the position of the last mark not after a time.
func newest(marks []mark, at time.Time) (position, bool) {
	var out position
	found := false
	for _, m := range marks {
		if m.at.After(at) {
			break
		}
		out, found = m.pos, true
	}
	return out, found
}
