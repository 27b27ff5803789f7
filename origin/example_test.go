package origin_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sluice-live/sluice"
	"github.com/sluice-live/sluice/origin"
)

// nothing is a Source that ends at once.
func nothing() sluice.Source {
	var s sluice.Stream
	s.End(nil)
	return s.Subscribe(sluice.Subscription{})
}

func Example() {
	site := &origin.Server{}
	defer site.Close()

	// A broadcast is watched while something consumes it, and a minute longer.
	if err := site.Stream("demo").Consume(context.Background(), nothing()); err != nil {
		fmt.Println(err)
	}

	web := httptest.NewServer(site) // http.ListenAndServe(":8080", site)
	defer web.Close()
	res, err := http.Get(web.URL + "/live/other/index.m3u8")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	fmt.Println(res.Status)
	// Output: 404 Not Found
}
