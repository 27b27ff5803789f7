package origin

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sluice-live/sluice"
)

// broadcast is what is watched under one name, from the first packet until it
// is forgotten.
type broadcast struct {
	srv     *Server
	name    string
	since   time.Time
	packets sluice.Stream // for players of other protocols
	spool   *spool
	tracks  atomic.Pointer[[]*track] // in the source's order; copied on write
	entry   atomic.Pointer[entry]    // the multivariant playlist's state
	viewers viewers
	gone    context.Context // done when it is forgotten
	leave   func()          // ends everybody who waits for it

	busy     atomic.Bool // something consumes into it
	finished atomic.Bool // its source has ended
	expiry   *time.Timer // guarded by srv.mu

	// The writer's own.
	nonce      string
	generation uint64
	refused    map[*sluice.Track]bool
	expected   []uint32 // IDs of the source's tracks
	stale      bool     // the multivariant playlist is no longer true
}

func newBroadcast(srv *Server, name string) *broadcast {
	b := &broadcast{
		srv: srv, name: name, since: time.Now(),
		nonce: nonce(), refused: map[*sluice.Track]bool{},
	}
	gone, cancel := context.WithCancel(context.Background())
	b.gone = gone
	b.leave = func() {
		cancel()
		b.packets.End(nil)
	}
	b.spool = &spool{log: srv.log().With("stream", name), stats: &srv.disk, list: b.segments}
	var err error
	if b.spool.dir, err = srv.spoolDir(name); err != nil {
		b.spool.failed(err)
	}
	b.tracks.Store(&[]*track{})
	b.entry.Store(&entry{stale: make(chan struct{})})
	return b
}

// nonce begins the ETags of a broadcast, so that those of an earlier process
// never match.
func nonce() string {
	var n [5]byte
	_, _ = rand.Read(n[:]) // never fails
	return base32.StdEncoding.EncodeToString(n[:])
}

func (b *broadcast) nextGeneration() string {
	b.generation++
	return b.nonce + strconv.FormatUint(b.generation, 36)
}

// segments returns all that the spool may be asked for.
func (b *broadcast) segments() (all []*segment) {
	for _, t := range *b.tracks.Load() {
		all = append(all, t.now.Load().all()...)
	}
	return all
}

// track returns the track with an ID as in URLs.
func (b *broadcast) track(id string) *track {
	for _, t := range *b.tracks.Load() {
		if t.id == id {
			return t
		}
	}
	return nil
}

// prepare returns the track that desc describes, made if it is new.
func (b *broadcast) prepare(desc *sluice.Track) (*track, error) {
	id := strconv.FormatUint(uint64(desc.ID), 10)
	if t := b.track(id); t != nil {
		return t, t.describe(desc)
	}
	t := &track{id: id, kind: desc.Kind, b: b, window: b.srv.Window}
	t.now.Store(&snapshot{target: targetDuration(desc), stale: make(chan struct{})})
	if t.window <= 0 {
		t.window = defaultWindow
	}
	if err := t.describe(desc); err != nil {
		return nil, err
	}
	tracks := append(slices.Clone(*b.tracks.Load()), t)
	b.tracks.Store(&tracks)
	return t, nil
}

// refuse logs, once, that a track is left out.
func (b *broadcast) refuse(desc *sluice.Track, err error) {
	if !b.refused[desc] && len(b.refused) < 64 {
		b.refused[desc] = true
		b.srv.log().Warn("origin: track is left out", "stream", b.name, "track", desc.ID, "codec", desc.Codec, "err", err)
	}
}

// reports tells players of t how far the other tracks are.
func (b *broadcast) reports(t *track) string {
	var out []byte
	for _, other := range *b.tracks.Load() {
		now := other.now.Load()
		if other == t || now.ended {
			continue
		}
		last := now.newest()
		if last == nil {
			continue
		}
		out = append(out, `#EXT-X-RENDITION-REPORT:URI="../`...)
		out = append(out, other.id...)
		out = append(out, `/index.m3u8",LAST-MSN=`...)
		out = strconv.AppendUint(out, last.Number, 10)
		out = append(out, ",LAST-PART="...)
		out = strconv.AppendInt(out, int64(max(len(last.parts)-1, 0)), 10) // a gap has none
		out = append(out, '\n')
	}
	return string(out)
}

// relieve drops the oldest media that could not be spooled, if it is too much.
func (b *broadcast) relieve() {
	for b.spool.heap.Load() > maxUnspooled {
		dropped := false
		for _, t := range *b.tracks.Load() {
			dropped = t.shed() || dropped
		}
		if !dropped {
			return
		}
	}
}

// forget removes the spooled media. Nothing consumes any more.
func (b *broadcast) forget() error {
	if b.expiry != nil {
		b.expiry.Stop()
	}
	for _, s := range b.segments() {
		if s.body != nil {
			s.body.remove()
		}
	}
	return os.RemoveAll(b.spool.dir)
}
