package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/sluice-live/sluice/ingest"
)

const maxSlatePicture = 32 << 20

// loadSlate reads what --slate names; nil where it names nothing.
func loadSlate(file string) (*ingest.Slate, error) {
	switch file {
	case "":
		return nil, nil
	case "last":
		return ingest.LastPicture, nil
	}
	var slate *ingest.Slate
	var err error
	switch strings.ToLower(filepath.Ext(file)) {
	case ".png", ".jpg", ".jpeg":
		slate, err = slateOfPicture(file)
	default:
		slate, err = ingest.LoadSlate(file)
	}
	if err != nil {
		return nil, fmt.Errorf("--slate: %w", err)
	}
	return slate, nil
}

func readPicture(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSlatePicture+1))
	if err == nil && len(b) > maxSlatePicture {
		err = fmt.Errorf("%s is larger than %d MiB", file, maxSlatePicture>>20)
	}
	return b, err
}
