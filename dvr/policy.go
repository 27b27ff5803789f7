package dvr

import "time"

// Policy says what is recorded of a stream and how long it is kept. The zero
// value records all, for ever.
type Policy struct {
	// Age is how long media is kept; 0 is for ever. What goes is whole hours, so
	// some is up to an hour older.
	Age time.Duration
	// Bytes is how much is kept of the stream, all tracks together; 0 is all.
	Bytes int64
	// Windows are the times of the day at which the stream is recorded; none is
	// always. A segment is recorded if it begins in one.
	Windows []Window
	// Keep makes a Recording of every broadcast, so that it outlives Age, Bytes
	// and Archive.DiskShare.
	Keep bool
	// Join is how long after an end that was none (a crash, a cancelled Consume)
	// recording may go on for Keep to count it to the same broadcast; default 5
	// minutes.
	Join time.Duration
}

const defaultJoin = 5 * time.Minute

// Window is a time of the day in UTC, from From until To after midnight. Where
// To is not after From it lasts over midnight.
type Window struct{ From, To time.Duration }

func (w Window) holds(at time.Duration) bool {
	if w.From < w.To {
		return at >= w.From && at < w.To
	}
	return at >= w.From || at < w.To
}

// records reports whether what begins at a time is recorded.
func (p *Policy) records(at time.Time) bool {
	at = at.UTC()
	day := at.Sub(at.Truncate(24 * time.Hour))
	for _, w := range p.Windows {
		if w.holds(day) {
			return true
		}
	}
	return len(p.Windows) == 0
}
