package sluice_test

import (
	"context"
	"fmt"
	"io"

	"github.com/sluice-live/sluice"
)

var voice = &sluice.Track{ID: 1, Kind: sluice.Audio, Codec: sluice.MP4A, Timescale: 48000, FrameDur: 1024}

// frame makes the nth frame of a track.
func frame(n int64, text string) sluice.Packet {
	dts := n * voice.FrameDur
	return sluice.Packet{Track: voice, DTS: dts, PTS: dts, Dur: voice.FrameDur, Key: true, Data: []byte(text)}
}

// printer is a sink that prints what it consumes.
func printer(ctx context.Context, src sluice.Source) error {
	for {
		p, err := src.ReadPacket(ctx)
		if err == io.EOF {
			fmt.Println("end")
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Printf("%s at %v\n", p.Data, p.Track.Duration(p.DTS))
	}
}

func ExamplePipeline() {
	w, src := sluice.Pipe(2)
	w.Write(context.Background(), frame(0, "hello"))
	w.Write(context.Background(), frame(1, "world"))
	w.Close(nil)

	err := sluice.Pipeline{
		Source: src,
		Sinks:  []sluice.Sink{sluice.SinkFunc(printer)},
	}.Run(context.Background())
	fmt.Println(err)
	// Output:
	// hello at 0s
	// world at 21.333333ms
	// end
	// <nil>
}

func ExampleStream() {
	ctx := context.Background()
	var s sluice.Stream // the zero value works
	early := s.Subscribe(sluice.Subscription{})
	defer early.Close()
	s.Write(ctx, frame(0, "zero"))
	s.Write(ctx, frame(1, "one"))
	late := s.Subscribe(sluice.Subscription{}) // begins with the newest packet
	defer late.Close()
	s.End(nil)

	fmt.Println("early")
	printer(ctx, early)
	fmt.Println("late")
	printer(ctx, late)
	// Output:
	// early
	// zero at 0s
	// one at 21.333333ms
	// end
	// late
	// one at 21.333333ms
	// end
}

// A sink that is attached to a stream fails alone, and is started again.
func ExampleStream_Attach() {
	ctx := context.Background()
	var s sluice.Stream
	a := s.Attach(ctx, "printer", sluice.SinkFunc(printer), sluice.AttachConfig{})
	s.Write(ctx, frame(0, "hello"))
	s.End(nil)
	fmt.Println(a.Wait(), a.Stats().State)
	// Output:
	// hello at 0s
	// end
	// <nil> ended
}

func ExamplePipe() {
	w, src := sluice.Pipe(8)
	go func() { // in real life: the callback of some library
		w.Write(context.Background(), frame(0, "hello"))
		w.Close(nil)
	}()
	defer src.Close()
	printer(context.Background(), src)
	// Output:
	// hello at 0s
	// end
}

func ExampleTransformFunc() {
	// A transform returns its source wrapped.
	shout := sluice.TransformFunc(func(_ context.Context, src sluice.Source) (sluice.Source, error) {
		return shouting{src}, nil
	})
	w, src := sluice.Pipe(1)
	w.Write(context.Background(), frame(0, "hello"))
	w.Close(nil)
	sluice.Pipeline{
		Source:     src,
		Transforms: []sluice.Transform{shout},
		Sinks:      []sluice.Sink{sluice.SinkFunc(printer)},
	}.Run(context.Background())
	// Output:
	// hello! at 0s
	// end
}

type shouting struct{ sluice.Source }

// Unwrap lets requests for key frames through.
func (s shouting) Unwrap() sluice.Source { return s.Source }

func (s shouting) ReadPacket(ctx context.Context) (sluice.Packet, error) {
	p, err := s.Source.ReadPacket(ctx)
	p.Data = append(p.Data[:len(p.Data):len(p.Data)], '!') // a copy: Data is everyone's
	return p, err
}
