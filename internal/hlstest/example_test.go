package hlstest_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/sluice-live/sluice/internal/hlstest"
)

func ExampleWalk() {
	ctx := context.Background()
	report, err := hlstest.Walk(ctx, http.DefaultClient, "http://127.0.0.1:8080/live/demo/index.m3u8",
		hlstest.Options{For: time.Minute})
	if err != nil {
		log.Fatal(err) // nothing could be walked
	}
	fmt.Println(report) // violations, then statistics
}

func ExampleParse() {
	p, err := hlstest.Parse([]byte("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:3.84,\na.m4s\n#EXT-X-ENDLIST\n"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Segments[0].URI, p.Segments[0].Dur, p.EndList)
	// Output: a.m4s 3.84s true
}
