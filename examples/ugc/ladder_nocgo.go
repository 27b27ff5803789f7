//go:build !cgo

package main

import (
	"errors"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/m4s"
)

var errNoTranscoding = errors.New("this program was built without cgo, and so without transcoding: build it with make build")

func workerMain() {}

func (p *platform) newLadder(config) (func(string) sluice.Transform, error) {
	return nil, errNoTranscoding
}

func (p *platform) remoteLadder(string, m4s.Client) (func(string) sluice.Transform, error) {
	return nil, errNoTranscoding
}

func (p *platform) newService() exchange { return nil }
