package hlstest

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// What a live presentation may answer with at most: a playlist of a day of
// 2-second segments is below 8 MiB, a 10-second segment at 40 Mbit/s 50 MB.
const (
	maxPlaylist = 8 << 20
	maxMedia    = 64 << 20
)

// origin is what a web page's player says it is, so that CORS headers show.
const origin = "https://player.example"

// answer is a whole HTTP response.
type answer struct {
	URL       string
	Status    int
	Header    http.Header
	Body      []byte // decoded
	Gzip      bool
	Sent, Got time.Time
}

func (a answer) String() string { return fmt.Sprintf("%s: %d", a.URL, a.Status) }

// ask performs one request and reads the answer whole. Headers come in pairs.
func ask(ctx context.Context, c *http.Client, method, url string, limit int64, header ...string) (answer, error) {
	a := answer{URL: url, Sent: time.Now()}
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return a, fmt.Errorf("hlstest: request: %w", err)
	}
	req.Header.Set("Origin", origin)
	// Said explicitly, so that the transport leaves the coding alone.
	req.Header.Set("Accept-Encoding", "identity")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return a, fmt.Errorf("hlstest: %s: %w", method, err)
	}
	defer func() { _ = resp.Body.Close() }()
	a.Status, a.Header = resp.StatusCode, resp.Header
	a.Body, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	a.Got = time.Now()
	if err == nil && int64(len(a.Body)) > limit {
		err = fmt.Errorf("longer than %d bytes", limit)
	}
	if err == nil && resp.Header.Get("Content-Encoding") == "gzip" && method != http.MethodHead && len(a.Body) > 0 {
		a.Gzip = true
		a.Body, err = gunzip(a.Body, limit)
	}
	if err != nil {
		return a, fmt.Errorf("hlstest: body of %s: %w", url, err)
	}
	return a, nil
}

func gunzip(data []byte, limit int64) ([]byte, error) {
	zr, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(zr, limit+1))
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	if int64(len(out)) > limit {
		return nil, errors.New("gzip: too long")
	}
	return out, nil
}
