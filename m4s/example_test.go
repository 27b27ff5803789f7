package m4s_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/internal/sluicetest"
	"github.com/sluice-live/sluice/m4s"
)

// A node publishes what is pushed to it, and another server pulls it.
func Example() {
	ctx := context.Background()
	var stream sluice.Stream // of one name, as this is an example
	token := []m4s.TokenHash{m4s.HashToken("secret")}
	node := &m4s.Handler{
		Play:      func(context.Context, string) (*sluice.Stream, error) { return &stream, nil },
		Publish:   func(ctx context.Context, _ string, src sluice.Source) error { return stream.Consume(ctx, src) },
		Authorize: m4s.Tokens{Read: token, Write: token}.Authorize,
	}
	mux := http.NewServeMux()
	mux.Handle("/m4s/{stream}", node)
	server := httptest.NewServer(mux)
	defer server.Close()
	client := m4s.Client{Token: "secret"}

	src := &sluicetest.Slice{Packets: sluicetest.Packets(2)} // or an ingest.Broadcast
	push := &m4s.Push{URL: server.URL + "/m4s/demo", Client: client}
	if err := push.Consume(ctx, src); err != nil {
		fmt.Println(err)
	}

	pull := &m4s.Pull{URL: server.URL + "/m4s/demo", Client: client}
	defer pull.Close()
	p, err := pull.ReadPacket(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Track.Kind, p.Track.Codec, "segment", p.Segment)
	// Output:
	// video avc1 segment 1790000001
}
