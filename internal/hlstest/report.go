package hlstest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxPerRule bounds how many violations of one rule a rendition reports; the
// rest are only counted.
const maxPerRule = 8

// Violation is one broken rule.
type Violation struct {
	Rule      string // short name, "part-duration"
	Rendition string // path of the media playlist; empty for the presentation
	At        time.Time
	Detail    string
	Excerpt   string // lines of the playlist it is about
	Should    bool   // RFC 8216bis says SHOULD, not MUST
}

// String is one line, and the excerpt behind it.
func (v Violation) String() string {
	level := "MUST"
	if v.Should {
		level = "SHOULD"
	}
	s := fmt.Sprintf("%s %-6s [%s] %s: %s", v.At.UTC().Format("15:04:05.000"), level, v.Rule, v.Rendition, v.Detail)
	if v.Excerpt != "" {
		s += "\n    | " + strings.ReplaceAll(strings.TrimRight(v.Excerpt, "\n"), "\n", "\n    | ")
	}
	return s
}

// Stats counts what one rendition's walk saw.
type Stats struct {
	Rendition                      string
	Kind, Codec                    string // "vide" or "soun"; sample entry
	Reloads, Parts, Segments, Gaps int
	Discontinuities                int
	Hints, HintsUnused             int // hints followed; those whose segment ended before them
	Deltas                         int // delta updates that skipped something
	Removed                        int // requests for segments and parts that had left the playlist
	Probes                         int
	Late                           int // reloads that came with more than the part asked for
	Window                         time.Duration
	// Latency is now less the end of the newest part, when its playlist came;
	// Blocking is how long after the hinted part's last byte its playlist came.
	Latency, Blocking Spread
}

// Spread sums up durations.
type Spread struct {
	N             int
	Min, Max, Sum time.Duration
}

func (s *Spread) add(d time.Duration) {
	if s.N == 0 {
		s.Min, s.Max = d, d
	}
	s.Min, s.Max = min(s.Min, d), max(s.Max, d)
	s.N++
	s.Sum += d
}

// String gives minimum, mean and maximum.
func (s Spread) String() string {
	if s.N == 0 {
		return "none"
	}
	round := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	return fmt.Sprintf("min %v mean %v max %v", round(s.Min), round(s.Sum/time.Duration(s.N)), round(s.Max))
}

// Report is what a walk found.
type Report struct {
	URL        string
	Walked     time.Duration
	Violations []Violation
	Dropped    int // violations beyond the first few of the same rule
	Renditions []Stats
}

// OK says that nothing that must hold was broken.
func (r Report) OK() bool {
	return !slices.ContainsFunc(r.Violations, func(v Violation) bool { return !v.Should })
}

// Has says that a rule was broken.
func (r Report) Has(rule string) bool {
	return slices.ContainsFunc(r.Violations, func(v Violation) bool { return v.Rule == rule })
}

// String lists violations, then statistics.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s walked for %v: %d violations", r.URL, r.Walked.Round(time.Millisecond), len(r.Violations)+r.Dropped)
	if r.Dropped > 0 {
		fmt.Fprintf(&b, " (%d alike not shown)", r.Dropped)
	}
	b.WriteByte('\n')
	for _, v := range r.Violations {
		fmt.Fprintln(&b, v)
	}
	for _, s := range r.Renditions {
		fmt.Fprintf(&b, "%s (%s %s): %d parts, %d segments, %d gaps, %d discontinuities, window %v\n",
			s.Rendition, s.Kind, s.Codec, s.Parts, s.Segments, s.Gaps, s.Discontinuities, s.Window.Round(time.Millisecond))
		fmt.Fprintf(&b, "    %d reloads (%d late), %d hints (%d unused), %d deltas, %d removed fetched, %d probes\n",
			s.Reloads, s.Late, s.Hints, s.HintsUnused, s.Deltas, s.Removed, s.Probes)
		fmt.Fprintf(&b, "    latency %v; playlist behind part %v\n", s.Latency, s.Blocking)
	}
	return b.String()
}

// notes collects violations from all goroutines of a walk.
type notes struct {
	mu      sync.Mutex
	list    []Violation
	count   map[[2]string]int
	dropped int
	found   func(Violation)
}

func (n *notes) add(v Violation) {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := [2]string{v.Rule, v.Rendition}
	if n.count[key]++; n.count[key] > maxPerRule {
		n.dropped++
		return
	}
	v.At = time.Now()
	n.list = append(n.list, v)
	if n.found != nil {
		n.found(v)
	}
}

// excerpt cuts the lines around the first one that contains mark.
func excerpt(raw []byte, mark string, around int) string {
	lines := strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
	at := slices.IndexFunc(lines, func(l string) bool { return mark != "" && strings.Contains(l, mark) })
	if at < 0 {
		at = len(lines) - 1
	}
	return strings.Join(lines[max(0, at-around):min(len(lines), at+around+1)], "\n")
}
