package dvr

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// The reasons for gaps.
const (
	gapSource = iota // nothing arrived
	gapQueue         // the disk did not keep up
	gapDisk          // the disk refused
	gaps
)

var gapNames = [gaps]string{"source", "slow_disk", "disk_error"}

// metrics are the counters of an Archive.
type metrics struct {
	once     sync.Once
	bytes    atomic.Uint64
	segments atomic.Uint64
	gaps     [gaps]atomic.Uint64
	errors   atomic.Uint64
	refused  atomic.Uint64
	damaged  atomic.Uint64
	expired  atomic.Uint64
	writes   prometheus.Histogram
	syncs    prometheus.Histogram
}

func (m *metrics) gap(why int) { m.gaps[why].Add(1) }

func (m *metrics) init() {
	m.once.Do(func() {
		buckets := []float64{.0001, .0003, .001, .003, .01, .03, .1, .3, 1, 3, 10}
		m.writes = prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_dvr_write_seconds", Help: "How long the disk took for a part.", Buckets: buckets,
		})
		m.syncs = prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_dvr_sync_seconds", Help: "How long it took until what was written of a blob was on disk.", Buckets: buckets,
		})
	})
}

// Stats are counters of an Archive since its program started, and gauges.
type Stats struct {
	Recording int    // streams
	Queued    int    // bytes that wait for the disk
	Bytes     uint64 // of media written
	Segments  uint64 // written, gaps included
	// Gaps are the segments of which there is no media, because nothing arrived,
	// because the disk did not keep up, and because it refused.
	SourceGaps, SlowDiskGaps, DiskErrorGaps uint64
	DiskErrors                              uint64
	Refused                                 uint64 // packets that cannot be packaged
	Damaged                                 uint64 // segments found damaged
	Expired                                 uint64 // bytes removed
}

// Stats returns the archive's counters.
func (a *Archive) Stats() Stats {
	m := &a.metrics
	s := Stats{
		Bytes: m.bytes.Load(), Segments: m.segments.Load(),
		SourceGaps: m.gaps[gapSource].Load(), SlowDiskGaps: m.gaps[gapQueue].Load(), DiskErrorGaps: m.gaps[gapDisk].Load(),
		DiskErrors: m.errors.Load(), Refused: m.refused.Load(), Damaged: m.damaged.Load(), Expired: m.expired.Load(),
	}
	if st, err := a.opened(); err == nil {
		st.mu.Lock()
		defer st.mu.Unlock()
		s.Recording = len(st.recording)
		for _, r := range st.recording {
			s.Queued += r.queue.held()
		}
	}
	return s
}

// Collector returns the archive's Prometheus metrics, for one registry.
func (a *Archive) Collector() prometheus.Collector {
	a.metrics.init()
	return collector{a}
}

type collector struct{ a *Archive }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sluice_dvr_"+name, help, labels, nil)
}

var (
	descRecording = desc("recording", "Streams being recorded.")
	descQueued    = desc("queue_bytes", "Media that waits for the disk.")
	descBytes     = desc("written_bytes_total", "Media written.")
	descSegments  = desc("segments_total", "Segments written, gaps included.")
	descGaps      = desc("gaps_total", "Segments without media.", "reason")
	descErrors    = desc("disk_errors_total", "Times that the disk refused something.")
	descRefused   = desc("refused_packets_total", "Packets that could not be packaged.")
	descDamaged   = desc("damaged_segments_total", "Segments found damaged.")
	descExpired   = desc("removed_bytes_total", "Bytes removed to make room, or by request.")
	allDesc       = []*prometheus.Desc{descRecording, descQueued, descBytes, descSegments, descGaps, descErrors, descRefused, descDamaged, descExpired}
)

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range allDesc {
		ch <- d
	}
	c.a.metrics.writes.Describe(ch)
	c.a.metrics.syncs.Describe(ch)
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.a.Stats()
	for d, v := range map[*prometheus.Desc]int{descRecording: s.Recording, descQueued: s.Queued} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v))
	}
	for d, v := range map[*prometheus.Desc]uint64{descBytes: s.Bytes, descSegments: s.Segments, descErrors: s.DiskErrors,
		descRefused: s.Refused, descDamaged: s.Damaged, descExpired: s.Expired} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
	for i, v := range [...]uint64{s.SourceGaps, s.SlowDiskGaps, s.DiskErrorGaps} {
		ch <- prometheus.MustNewConstMetric(descGaps, prometheus.CounterValue, float64(v), gapNames[i])
	}
	c.a.metrics.writes.Collect(ch)
	c.a.metrics.syncs.Collect(ch)
}
