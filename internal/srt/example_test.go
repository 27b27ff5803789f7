package srt_test

import (
	"context"
	"fmt"
	"io"

	"github.com/sluice-live/sluice/internal/srt"
)

// A server takes a publisher with a passphrase.
func Example() {
	ctx := context.Background()
	l, err := srt.Listen(ctx, "127.0.0.1:0", srt.Config{})
	if err != nil {
		panic(err)
	}
	defer l.Close()
	go func() {
		c, err := srt.Dial(ctx, "srt://"+l.Addr().String()+"?streamid=publish:KEY&passphrase=0123456789", srt.Config{})
		if err != nil {
			panic(err)
		}
		if _, err := c.Write([]byte("media")); err != nil {
			panic(err)
		}
		c.Flush()
		c.Close()
	}()
	caller, err := l.Accept(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println("publish", caller.Request().Name)
	if err := caller.Unlock("0123456789"); err != nil {
		caller.Reject(err)
		return
	}
	c, err := caller.Accept()
	if err != nil {
		panic(err)
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	fmt.Println(string(b), err)
	// Output:
	// publish KEY
	// media <nil>
}
