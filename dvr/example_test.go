package dvr_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/dvr"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

func Example() {
	dir, err := os.MkdirTemp("", "archive")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	archive := &dvr.Archive{Dir: dir, Create: true}
	if err := archive.Open(); err != nil {
		log.Fatal(err)
	}
	defer archive.Close()

	ctx := context.Background()
	show := archive.Stream("show")
	err = sluice.Pipeline{
		Source:   &sluicetest.Slice{Packets: sluicetest.Packets(3)}, // a broadcast
		Recorder: show,
	}.Run(ctx)
	if err != nil {
		log.Fatal(err)
	}

	from, to, err := show.Span()
	if err != nil {
		log.Fatal(err)
	}
	if _, err := show.Keep(dvr.Recording{Title: "The show", From: from, To: to}); err != nil {
		log.Fatal(err)
	}
	for seg, err := range show.ListTrack(ctx, 1, from, to) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(seg.Number, seg.Track.Time(seg.Start).Format(time.TimeOnly), seg.Size, "bytes")
	}
	// Output:
	// 1790000000 14:13:20 12224 bytes
	// 1790000001 14:13:21 12224 bytes
	// 1790000002 14:13:22 12224 bytes
}
