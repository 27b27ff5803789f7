//go:build !cgo

package main

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/ingest"
	"github.com/sluice-live/sluice/m4s"
)

var errNoTranscoding = errors.New("this program was built without cgo, and so without transcoding: build it with make build")

func workerMain() {}

func (p *platform) newLadder(config) (func(string) sluice.Transform, error) {
	return nil, errNoTranscoding
}

func (p *platform) soundFor(string) sluice.Transform { return nil }

func (p *platform) remoteLadder(string, m4s.Client) (func(string) sluice.Transform, error) {
	return nil, errNoTranscoding
}

func slateOfPicture(file string) (*ingest.Slate, error) {
	if _, err := readPicture(file); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("a clip cannot be made of %s, give an MP4 file: %w", file, errNoTranscoding)
}

func (p *platform) newService() exchange { return nil }

// previews need a decoder.
type previews struct{ http.Handler }

func newPreviews() *previews { return nil }

func (s *previews) has(string) bool { return false }

func (p *platform) previewSink(string) sluice.Sink { return nil }
