package mpegts_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/sluice-live/sluice/internal/mpegts"
	"github.com/sluice-live/sluice/internal/sluicetest"
)

// A second of picture and sound goes out as a transport stream, and comes in.
func Example() {
	began := time.Unix(sluicetest.FirstSegment, 0)
	var ts bytes.Buffer
	w, err := mpegts.NewWriter(&ts, nil, began) // takes tracks as they come
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range sluicetest.Packets(1, sluicetest.Audio(2)) {
		if err := w.WritePacket(p); err != nil {
			fmt.Println(err)
			return
		}
	}

	r := mpegts.NewReader(&ts, mpegts.Config{})
	defer r.Close()
	frames := 0
	for {
		p, err := r.ReadPacket(context.Background())
		if err == io.EOF {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		if p.Data == nil {
			fmt.Printf("track %d: %s, %d Hz, from %.1f s\n", p.Track.ID, p.Track.Codec, p.Track.SampleRate, float64(p.DTS)/90000)
			continue
		}
		frames++
	}
	fmt.Println(frames, "frames,", r.Stats().Lost, "packets lost")
	// Output:
	// track 2: mp4a, 48000 Hz, from 1.0 s
	// 47 frames, 0 packets lost
}
