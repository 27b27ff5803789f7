package origin

import (
	"fmt"
	"strings"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/cmaf"
	"github.com/sluice-live/sluice/internal/codec"
)

// initSegment is an init segment and what playlists say of it.
type initSegment struct {
	name string // of its file
	data []byte
	mime string // RFC 6381
}

func newInit(t *sluice.Track) (initSegment, error) {
	if t.Timescale == 0 || t.PartTarget <= 0 {
		return initSegment{}, fmt.Errorf("origin: track %d: no timescale or part target (is there a timeline before the origin?)", t.ID)
	}
	mime, err := codec.RFC6381(t)
	if err != nil {
		return initSegment{}, err
	}
	data, err := cmaf.Init(t)
	if err != nil {
		return initSegment{}, err
	}
	name := cmaf.Name{Track: t.ID, Init: cmaf.InitName(data)}.String()
	return initSegment{name[strings.IndexByte(name, '/')+1:], data, mime}, nil
}

// addInit keeps an init segment for those who ask for it.
func (t *track) addInit(init initSegment) {
	var inits []initSegment
	if old := t.inits.Load(); old != nil {
		for _, have := range *old {
			if have.name == init.name {
				return
			}
		}
		inits = append(inits, *old...)
	}
	inits = append(inits, init)
	t.inits.Store(&inits)
}

// dropInits forgets init segments that no segment needs any more.
func (t *track) dropInits() {
	used := map[string]bool{t.init: true}
	for _, s := range t.segs {
		used[s.init] = true
	}
	for _, r := range t.retired {
		used[r.init] = true
	}
	var inits []initSegment
	for _, init := range *t.inits.Load() {
		if used[init.name] {
			inits = append(inits, init)
		}
	}
	t.inits.Store(&inits)
}

func (t *track) findInit(name string) ([]byte, bool) {
	if inits := t.inits.Load(); inits != nil {
		for _, init := range *inits {
			if init.name == name {
				return init.data, true
			}
		}
	}
	return nil, false
}

func (t *track) mime() string {
	for _, init := range *t.inits.Load() {
		if init.name == t.init {
			return init.mime
		}
	}
	return ""
}
