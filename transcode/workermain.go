package transcode

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/m4s"
)

// WorkerMain must be called first in main: it returns at once, unless this
// process was started as a worker by Isolated; then it runs the ladder on its
// pipes and exits.
func WorkerMain() {
	mainCalled.Store(true)
	if os.Getenv(workerEnv) == "" {
		return
	}
	_ = os.Unsetenv(workerEnv) // never fails; what is started from here is no worker
	if err := workerMain(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// beatEvery is how often a worker is heard.
const beatEvery = 200 * time.Millisecond

// A worker's lines begin with what they are.
const (
	lineLog   = 'L'
	lineStats = 'S'
)

func workerMain() error {
	said := &sayer{w: os.NewFile(fdSaid, "said")}
	told := json.NewDecoder(os.NewFile(fdTold, "told"))
	var h hello
	if err := told.Decode(&h); err != nil {
		return fmt.Errorf("transcode: worker is told nothing: %w", err)
	}
	if err := h.limits(); err != nil {
		return err
	}
	l := h.Ladder
	l.Log = slog.New(slog.NewJSONHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	l.Overlays, l.Monitor = new(Overlays), new(Monitor)
	l.Overlays.list = h.Overlays
	l = l.withDefaults()
	quietFFmpeg()
	src := m4s.NewSource(os.NewFile(fdMedia, "media"), m4s.Limits{})
	o := newOutput(l, src)
	o.resume(h.Resume)
	said.stats(o.snapshot())
	o.start(context.Background())
	go listen(told, l.Overlays)
	go func() {
		for range time.Tick(beatEvery) {
			said.stats(o.snapshot())
			h.exceeded()
		}
	}()
	err := m4s.NewEncoder(os.NewFile(fdMade, "made"), m4s.EncoderConfig{}).Consume(context.Background(), ownMade{o})
	said.stats(o.snapshot())
	return err
}

// listen takes changed overlays; a parent that is gone ends the worker.
func listen(told *json.Decoder, o *Overlays) {
	for {
		var list []Overlay
		if err := told.Decode(&list); err != nil {
			os.Exit(1)
		}
		o.replace(list)
	}
}

// replace takes what another process has checked.
func (o *Overlays) replace(list []Overlay) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = list
	o.version++
}

// spareSpace is address space for the stacks of threads and what runtimes reserve.
const spareSpace = 1 << 30

// limits sets what the worker may take of the machine.
func (h *hello) limits() error {
	if h.Nice != 0 {
		if err := lowerPriority(h.Nice); err != nil {
			return fmt.Errorf("transcode: worker with Nice %d: %w", h.Nice, err)
		}
	}
	if space, _ := memory(); h.Memory > 0 && space > 0 {
		if err := limitMemory(space + 2*h.Memory + spareSpace); err != nil {
			return fmt.Errorf("transcode: worker with Memory %d: %w", h.Memory, err)
		}
	}
	return nil
}

// exceeded ends a worker that has taken more than its memory.
func (h *hello) exceeded() {
	if _, resident := memory(); h.Memory > 0 && resident > h.Memory {
		fmt.Fprintf(os.Stderr, "transcode: worker takes %d MB of memory, and may %d\n", resident>>20, h.Memory>>20)
		os.Exit(1)
	}
}

// ownMade is what a ladder made itself: what goes along untouched has gone.
type ownMade struct{ sluice.Source }

// ReadPacket implements sluice.Source.
func (m ownMade) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	for {
		p, err := m.Source.ReadPacket(ctx)
		if err != nil || p.Track.Maker != 0 {
			return p, err
		}
	}
}

// sayer writes a worker's lines.
type sayer struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *sayer) line(kind byte, b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.w.Write(append([]byte{kind}, b...))
	return len(b), err
}

// Write takes a line of the log.
func (s *sayer) Write(b []byte) (int, error) { return s.line(lineLog, b) }

func (s *sayer) stats(st Stats) {
	b, err := json.Marshal(st)
	if err == nil {
		_, err = s.line(lineStats, append(b, '\n'))
	}
	if err != nil {
		os.Exit(1) // nobody listens
	}
}

const maxLine = 64 << 10

// hear takes a worker's lines until there are no more.
func hear(r io.Reader, d *detached) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	for lines.Scan() {
		b := lines.Bytes()
		if len(b) == 0 {
			continue
		}
		switch b[0] {
		case lineLog:
			relay(d.ladder.Log, b[1:])
		case lineStats:
			var s Stats
			if json.Unmarshal(b[1:], &s) == nil {
				moved, excuse := d.stats.worker(s)
				d.progress.figures(s.QueuedPackets > 0, moved)
				if excuse {
					d.progress.excuse()
				}
			}
		}
	}
	_, _ = io.Copy(io.Discard, r) // a worker that speaks nonsense is not kept waiting
}

// relay writes a worker's log line to this process's log.
func relay(log *slog.Logger, line []byte) {
	var fields map[string]any
	if json.Unmarshal(line, &fields) != nil {
		return
	}
	var level slog.Level
	text, _ := fields[slog.LevelKey].(string)
	if level.UnmarshalText([]byte(text)) != nil {
		level = slog.LevelWarn
	}
	message, _ := fields[slog.MessageKey].(string)
	var attrs []slog.Attr
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		if k != slog.LevelKey && k != slog.MessageKey && k != slog.TimeKey {
			attrs = append(attrs, slog.Any(k, fields[k]))
		}
	}
	log.LogAttrs(context.Background(), level, message, attrs...)
}
