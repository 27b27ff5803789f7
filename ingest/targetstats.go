package ingest

import (
	"sync"
	"time"
)

// TargetState is what a Target is doing.
type TargetState uint8

// The states of a Target.
const (
	TargetIdle       TargetState = iota // it has no stream
	TargetConnecting                    // it waits for the stream to begin, or for the server to take it
	TargetLive                          // the server takes the stream
	TargetRetrying                      // the connection failed; another follows
	TargetRefused                       // the server said no, or the stream is not for it; it is tried again, less often
)

var targetStates = [...]string{"idle", "connecting", "live", "retrying", "refused"}

// String returns "idle", "connecting", "live", "retrying" or "refused".
func (s TargetState) String() string {
	if int(s) < len(targetStates) {
		return targetStates[s]
	}
	return "unknown"
}

// MarshalText returns what String does.
func (s TargetState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// TargetStats are a Target's state, and its counters since it was made.
type TargetStats struct {
	Name     string      `json:"name"`
	URL      string      `json:"url"` // without the key
	State    TargetState `json:"state"`
	Since    time.Time   `json:"since"`         // when it came to this state
	Error    string      `json:"error"`         // of the last failure, without the key; "" once it is live again
	Next     time.Time   `json:"next,omitzero"` // when it is tried again
	Bytes    uint64      `json:"bytes"`         // sent
	Packets  uint64      `json:"packets"`       // access units and audio frames sent
	Dropped  uint64      `json:"dropped"`       // packets left out because the target was too slow
	Connects uint64      `json:"connects"`      // times that it went live
	Failures uint64      `json:"failures"`      // attempts and connections that failed
}

// linkStats are what one connection counts.
type linkStats struct {
	connects, bytes, packets, dropped uint64
	away                              bool // it has no connection, and sees to that by itself
}

// books hold a Target's state.
type books struct {
	mu       sync.Mutex
	taken    bool
	st       TargetStats
	link     func() linkStats // of the connection there is
	lastLive time.Time        // when the last connection began
	lastGone time.Time        // when it ended
}

func (b *books) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.taken {
		return false
	}
	b.taken = true
	return true
}

func (b *books) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken = false
	b.set(TargetIdle)
	b.st.Next = time.Time{}
}

func (b *books) set(s TargetState) {
	if b.st.State != s || b.st.Since.IsZero() {
		b.st.State, b.st.Since = s, time.Now()
	}
}

func (b *books) connecting() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.st.Next = time.Time{}
	if b.st.State == TargetIdle { // one that failed before says so until it is live
		b.set(TargetConnecting)
	}
}

func (b *books) live(link func() linkStats) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(TargetLive)
	b.st.Error = ""
	b.link, b.lastLive = link, time.Now()
}

// gone folds in what the connection counted.
func (b *books) gone() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.link().connects == 0 {
		b.lastLive = time.Time{}
	} else {
		b.lastGone = time.Now()
	}
	b.st = b.sum()
	b.link = nil
}

func (b *books) sum() TargetStats {
	st := b.st
	if b.link != nil {
		l := b.link()
		st.Connects += l.connects
		st.Bytes += l.bytes
		st.Packets += l.packets
		st.Dropped += l.dropped
		switch {
		case !l.away || st.State != TargetLive:
		case l.connects == 0:
			st.State = TargetConnecting
		default:
			st.State = TargetRetrying
		}
	}
	return st
}

func (b *books) failed(text string, refused bool, next time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.st.Failures++
	b.st.Error, b.st.Next = text, next
	b.set(TargetRetrying)
	if refused {
		b.set(TargetRefused)
	}
}

// liveness is how long the newest connection lasted, 0 where the attempt had
// none, and how long ago any was.
type liveness struct{ lasted, ago time.Duration }

func (b *books) wasLive(attempt time.Time) liveness {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := liveness{ago: time.Since(b.lastGone)} // very long if there was none
	if !b.lastLive.Before(attempt) {
		l.lasted = b.lastGone.Sub(b.lastLive)
	}
	return l
}

// Stats returns the target's state and counters.
func (t *Target) Stats() TargetStats {
	t.books.mu.Lock()
	st := t.books.sum()
	t.books.mu.Unlock()
	st.Name, st.URL = t.name(), t.mask()
	return st
}
