package origin

import (
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// kind is what a request is for.
type kind uint8

const (
	kindOther kind = iota
	kindMultivariant
	kindPlaylist
	kindSegment
	kindPart
	kindInit
	kinds
)

var kindNames = [kinds]string{"other", "multivariant", "playlist", "segment", "part", "init"}

// statuses are the HTTP statuses that are ever answered; index 0 stands for
// none of them.
var statuses = [...]int{0, http.StatusOK, http.StatusNoContent, http.StatusPartialContent, http.StatusNotModified,
	http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
	http.StatusRequestedRangeNotSatisfiable, statusGone, http.StatusServiceUnavailable}

// metrics are the counters of a Server.
type metrics struct {
	requests [kinds][len(statuses)]atomic.Uint64
	bytes    [kinds]atomic.Uint64
	parts    atomic.Uint64
	blocked  atomic.Int64
	blocks   atomic.Uint64
}

func (m *metrics) count(k kind, status int, sent int64) {
	i := 0
	for j, s := range statuses {
		if s == status {
			i = j
		}
	}
	m.requests[k][i].Add(1)
	m.bytes[k].Add(uint64(sent))
}

// block counts a request that has to wait, until the function it returns is
// called.
func (m *metrics) block() (done func()) {
	m.blocks.Add(1)
	m.blocked.Add(1)
	return func() { m.blocked.Add(-1) }
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sluice_origin_"+name, help, labels, nil)
}

var (
	descStreams  = desc("streams", "Streams that can be watched now, those that have just ended included.")
	descRequests = desc("requests_total", "HTTP requests answered; status 499 is a client that left while it waited.", "kind", "status")
	descBytes    = desc("response_bytes_total", "Bytes of response bodies sent.", "kind")
	descBlocked  = desc("blocked_requests", "Requests that wait now for something to come.")
	descBlocks   = desc("blocks_total", "Requests that had to wait for something to come.")
	descParts    = desc("parts_total", "Parts made.")
	descSpool    = desc("spool_bytes", "Media of live windows on disk.")
	descHeap     = desc("heap_bytes", "Media of live windows in memory, because it is new or the disk does not take it.")
	descErrors   = desc("spool_errors_total", "Failures to write media of live windows to disk.")
)

// Collector returns the server's metrics, named sluice_origin_….
func (s *Server) Collector() prometheus.Collector { return collector{s} }

type collector struct{ s *Server }

func (c collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	streams := 0
	if names := c.s.names.Load(); names != nil {
		streams = len(*names)
	}
	m := &c.s.metrics
	gauge(descStreams, float64(streams))
	gauge(descBlocked, float64(m.blocked.Load()))
	gauge(descSpool, float64(c.s.disk.bytes.Load()))
	gauge(descHeap, float64(c.s.disk.heap.Load()))
	counter(descErrors, uint64(c.s.disk.errors.Load()))
	counter(descParts, m.parts.Load())
	counter(descBlocks, m.blocks.Load())
	for k, name := range kindNames {
		counter(descBytes, m.bytes[k].Load(), name)
		for i, status := range statuses {
			if n := m.requests[k][i].Load(); n > 0 {
				counter(descRequests, n, name, strconv.Itoa(status))
			}
		}
	}
}
