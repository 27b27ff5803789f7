package ingest_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/ingest"
)

// A server that counts what each broadcast sends. Run serves until its ctx is
// done; here that is at once.
func ExampleServer() {
	server := &ingest.Server{
		RTMP: "127.0.0.1:0",
		Authorize: func(_ context.Context, r *ingest.Request) (ingest.Grant, error) {
			if r.Name != "s3cret" { // compare hashes, in constant time
				return ingest.Grant{}, fmt.Errorf("%w: stream key is not known", ingest.ErrDenied)
			}
			return ingest.Grant{Stream: "demo"}, nil
		},
		Broadcast: func(ctx context.Context, b *ingest.Broadcast) error {
			return sluice.Pipeline{Source: b, Sinks: []sluice.Sink{sluice.SinkFunc(count)}}.Run(ctx)
		},
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := server.Run(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("stopped")
	// Output: stopped
}

func count(ctx context.Context, src sluice.Source) error {
	for n := 0; ; n++ {
		if _, err := src.ReadPacket(ctx); err == io.EOF {
			log.Println(n, "packets")
			return nil
		} else if err != nil {
			return err
		}
	}
}

// A stream goes to two platforms as well. A target that is away, or refuses, is
// tried again for as long as the stream lasts.
func ExamplePush() {
	server := &ingest.Server{
		RTMP: "127.0.0.1:0",
		Broadcast: func(ctx context.Context, b *ingest.Broadcast) error {
			return sluice.Pipeline{Source: b, Sinks: []sluice.Sink{
				sluice.SinkFunc(count),
				ingest.Push("rtmp://a.example/live2/KEY"),
				ingest.Push("srt://b.example:8890?streamid=publish:KEY"),
			}}.Run(ctx)
		},
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := server.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// Targets come and go while a stream runs.
func ExampleTargets() {
	targets := new(ingest.Targets) // a Sink: targets.Consume(ctx, broadcast)
	small := ingest.Push("rtmps://a.example/app/KEY")
	small.Name, small.Rendition = "backup", ingest.Rendition{Height: 480}
	if err := targets.Add(small); err != nil {
		log.Fatal(err)
	}
	for _, st := range targets.Stats() {
		fmt.Println(st.Name, st.State, st.URL)
	}
	fmt.Println(targets.Remove("backup"))
	// Output:
	// backup idle rtmps://a.example/app/***
	// true
}

// Positions in a directory outlive the process: numbers and eras go on.
func ExampleDir() {
	var positions ingest.Positions = ingest.Dir("/var/lib/sluice/positions")
	server := &ingest.Server{RTMP: ":1935", Positions: positions}
	fmt.Println(server.RTMP)
	// Output: :1935
}

// While an encoder is away viewers see its last picture, for up to two minutes;
// a second encoder on the same key is a hot spare.
func ExampleServer_slate() {
	server := &ingest.Server{
		RTMP:         ":1935",
		Grace:        2 * time.Minute,
		Slate:        ingest.LastPicture, // or what LoadSlate returns
		Second:       ingest.Standby,
		StandbyAfter: time.Second,
	}
	fmt.Println(server.Second)
	// Output: standby
}
