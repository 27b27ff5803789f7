package dvr

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Recording names a range of a stream, and keeps it from Expire: a broadcast
// that is now a VOD, an episode, or, without a Title, a protected range. The
// media is the archive's own: nothing is copied.
type Recording struct {
	ID        string    `json:"id"` // given by Keep
	Title     string    `json:"title,omitempty"`
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Thumbnail time.Time `json:"thumbnail,omitzero"` // the time of the picture that stands for it
	Created   time.Time `json:"created"`            // set by Keep
	// Live is a broadcast that has not ended; To is how far it was when that was
	// last written down.
	Live bool `json:"live,omitempty"`
}

const (
	recordingsDir = "recordings"
	maxTitle      = 1024
	maxRecordings = 1 << 20 // bytes of a recording's file
)

// Keep makes a recording, or replaces the one of the same ID. It returns it as
// it was stored.
func (s *Stream) Keep(r Recording) (Recording, error) {
	if _, err := s.opened(); err != nil {
		return r, err
	}
	if r.ID == "" {
		r.ID = hex.EncodeToString(newID()[:8])
	}
	if r.Created.IsZero() {
		r.Created = time.Now()
	}
	for _, t := range []*time.Time{&r.From, &r.To, &r.Created, &r.Thumbnail} {
		*t = t.UTC().Round(0)
	}
	if err := r.check(); err != nil {
		return r, fmt.Errorf("dvr: keep a recording of %q: %w", s.Name, err)
	}
	b, err := json.MarshalIndent(r, "", "\t")
	dir := filepath.Join(s.dir, recordingsDir)
	if err == nil {
		err = os.MkdirAll(dir, 0o750)
	}
	if err == nil {
		err = replaceFile(filepath.Join(dir, r.ID+".json"), append(b, '\n'))
	}
	if err != nil {
		return r, fmt.Errorf("dvr: keep a recording of %q: %w", s.Name, err)
	}
	return r, nil
}

func (r *Recording) check() error {
	switch {
	case !isRecordingID(r.ID):
		return fmt.Errorf("%.64q cannot be an ID (up to 64 of a-z 0-9 - _)", r.ID)
	case len(r.Title) > maxTitle:
		return fmt.Errorf("the title has more than %d bytes", maxTitle)
	case r.To.Before(r.From) || !r.Live && !r.To.After(r.From):
		return fmt.Errorf("it ends at %v and begins at %v", r.To, r.From)
	case r.From.Year() < 1970 || r.To.Year() > 9999:
		return fmt.Errorf("it lasts from %v until %v", r.From, r.To)
	}
	return nil
}

func isRecordingID(id string) bool {
	return id != "" && len(id) <= 64 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// Recordings returns all recordings of the stream, by when they begin. Files
// that it does not understand are reported, and count as nothing else.
func (s *Stream) Recordings(ctx context.Context) ([]Recording, error) {
	if _, err := s.opened(); err != nil {
		return nil, err
	}
	dir := filepath.Join(s.dir, recordingsDir)
	names, err := readNames(dir)
	if err != nil {
		return nil, fmt.Errorf("dvr: recordings of %q: %w", s.Name, err)
	}
	var all []Recording
	var bad error
	for _, name := range names {
		id, ok := strings.CutSuffix(name, ".json")
		if !ok || !isRecordingID(id) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r, err := s.FindRecording(id)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			bad = errors.Join(bad, err)
			continue
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Recording) int { return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.ID, b.ID)) })
	return all, bad
}

// FindRecording returns one recording; fs.ErrNotExist where there is none.
func (s *Stream) FindRecording(id string) (r Recording, err error) {
	if _, err := s.opened(); err != nil {
		return r, err
	}
	if !isRecordingID(id) {
		return r, fmt.Errorf("dvr: recording %.64q of %q: %w", id, s.Name, fs.ErrNotExist)
	}
	b, err := readSome(filepath.Join(s.dir, recordingsDir, id+".json"), maxRecordings)
	if err == nil {
		r, err = parseRecording(b)
	}
	if err == nil && r.ID != id {
		err = fmt.Errorf("it says that it is %q: %w", r.ID, ErrFormat)
	}
	if err != nil {
		return Recording{}, fmt.Errorf("dvr: recording %q of %q: %w", id, s.Name, err)
	}
	return r, nil
}

func parseRecording(b []byte) (r Recording, err error) {
	if err := json.Unmarshal(b, &r); err != nil {
		return Recording{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if err := r.check(); err != nil {
		return Recording{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return r, nil
}

// Rename gives a recording another title.
func (s *Stream) Rename(id, title string) error {
	r, err := s.FindRecording(id)
	if err != nil {
		return err
	}
	r.Title = title
	_, err = s.Keep(r)
	return err
}

// Release deletes a recording. Its media stays as long as the stream's other
// media does; Erase removes that.
func (s *Stream) Release(id string) error {
	if _, err := s.opened(); err != nil {
		return err
	}
	err := fs.ErrNotExist
	if isRecordingID(id) {
		err = os.Remove(filepath.Join(s.dir, recordingsDir, id+".json"))
	}
	if err != nil {
		return fmt.Errorf("dvr: release recording %.64q of %q: %w", id, s.Name, err)
	}
	return nil
}

// keep begins the recording that Policy.Keep wants, with the first segment, or
// goes on with one that was left without an end a moment ago.
func (r *recorder) keep(start time.Time) {
	if !r.policy.Keep || r.recording != nil || r.keepErr != nil {
		return
	}
	join := r.policy.Join
	if join <= 0 {
		join = defaultJoin
	}
	all, err := r.stream.Recordings(r.st.ctx)
	for _, old := range all {
		if !old.Live {
			continue
		}
		if to := r.stream.lastBefore(r.st, old.From, start); to.After(old.To) {
			old.To = to
		}
		if gap := start.Sub(old.To); r.recording == nil && gap >= 0 && gap < join {
			r.recording = &old
			continue
		}
		old.Live = false
		if old.To.After(old.From) {
			_, err = r.stream.Keep(old)
		} else {
			err = r.stream.Release(old.ID) // nothing came of it
		}
	}
	if r.recording == nil {
		r.recording = &Recording{Title: r.stream.Name, From: start, To: start, Live: true}
	}
	kept, kerr := r.stream.Keep(*r.recording)
	r.recording = &kept
	if r.keepErr = errors.Join(err, kerr); r.keepErr != nil {
		r.stream.archive.log().Error("dvr: cannot keep the broadcast as a recording", "stream", r.stream.Name, "err", r.keepErr)
	}
}

// endRecording notes how far the recording has come, and that it has ended.
func (r *recorder) endRecording(ended bool) {
	if r.recording == nil || r.keepErr != nil && r.recording.ID == "" {
		return
	}
	now := *r.recording
	if old, err := r.stream.FindRecording(now.ID); err == nil {
		now = old // renamed meanwhile
	} else if errors.Is(err, fs.ErrNotExist) {
		return // released meanwhile
	}
	now.To, now.Live = r.last, !ended
	if _, err := r.stream.Keep(now); err != nil {
		r.stream.archive.log().Error("dvr: cannot complete a recording", "stream", r.stream.Name, "err", err)
	}
}

// lastBefore returns until when there is something recorded in a range.
func (s *Stream) lastBefore(st *state, from, to time.Time) (last time.Time) {
	ids, err := s.trackIDs()
	if err != nil {
		return last
	}
	for _, id := range ids {
		err := s.walk(st.ctx, st, id, from, to, func(f found) bool {
			if end := f.Track.Time(f.Start + f.Dur); end.After(last) && f.Track.Time(f.Start).Before(to) {
				last = end
			}
			return true
		})
		if err != nil {
			return last
		}
	}
	if last.After(to) {
		last = to
	}
	return last
}
